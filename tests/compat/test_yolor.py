"""compat="yolor": what the PyTorch forks that read cfgs compute, held against their formulas written out anew."""
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner import weights
from runner.cli import main
from runner.config import Report
from runner.detection import predict_boxes
from runner.errors import WeightsError
from runner.model import Model

ANCHORS = ((10, 13), (16, 30), (33, 23))
CLASSES = 2
BODY = """[net]
width=64
height=32
channels=3
batch=2

[convolutional]
batch_normalize=1
filters=8
size=3
stride=8
pad=1
activation=swish
{constants}
[convolutional]
filters=21
activation=linear
{scaled}
[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23
num=3
classes=2
scale_x_y=1.05
"""
PLAIN = BODY.format(constants="", scaled="")
YOLOR = BODY.format(constants="[implicit_add]\nfilters=8\n[implicit_mul]\nfilters=21\n[route]\nlayers=0\n"
                              "[shift_channels]\nfrom=1", scaled="[control_channels]\nfrom=2")


def load(tmp_path: Path, text: str = PLAIN, **more: Any) -> Model:
    (tmp_path / "a.cfg").write_text(text)
    return runner.load(tmp_path / "a.cfg", **more)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def decoded(raw: np.ndarray, width: int, height: int) -> list[tuple[float, ...]]:
    """raw (3 * 7, h, w) -> (x, y, w, h in pixels, objectness, class 0, class 1) of every cell and anchor: the lines of
    the fork's YOLOLayer, one number at a time."""
    _, rows, columns = raw.shape
    found = []
    for row in range(rows):
        for column in range(columns):
            for k, (anchor_width, anchor_height) in enumerate(ANCHORS):
                s = [sigmoid(float(value)) for value in raw[7 * k:7 * k + 7, row, column]]
                found.append(((s[0] * 2 - .5 + column) * width / columns, (s[1] * 2 - .5 + row) * height / rows,
                              (s[2] * 2) ** 2 * anchor_width, (s[3] * 2) ** 2 * anchor_height, *s[4:]))
    return found


def test_the_heads_decode_as_the_fork_does_whatever_scale_x_y_says(tmp_path: Path) -> None:
    net = load(tmp_path, compat="yolor", dtype="float64")
    head, raw = net.layers[-1], np.random.default_rng(0).normal(size=(1, 21, 4, 8)) * 2
    output, _ = head.forward(raw)
    wanted = np.array(decoded(raw[0], 64, 32))
    boxes = predict_boxes(net.layers, {2: output}, (64, 32), 0, nms=0, relative=False)
    np.testing.assert_allclose(boxes.boxes, wanted[:, :4], rtol=1e-10)
    np.testing.assert_allclose(boxes.objectness, wanted[:, 4], rtol=1e-10)
    np.testing.assert_allclose(boxes.probability, wanted[:, 4:5] * wanted[:, 5:], rtol=1e-10)


def test_the_numbers_of_the_report(tmp_path: Path) -> None:
    """Raw 1 in the first cell of 8 pixels: x at 7.70 and 21.4 wide there, 5.94 and 27.2 with darknet's formula."""
    raw = np.ones((1, 21, 4, 8), np.float32)
    for compat, x, width in (("yolor", 7.70, 21.38), (None, 5.94, 27.18)):
        head: Any = load(tmp_path, compat=compat).layers[-1]
        box = head.decode(head.forward(raw)[0].reshape(1, 3, 7, 4, 8))[0, 0, 0, 0]
        assert (round(float(box[0]) * 64, 2), round(float(box[2]) * 64, 2)) == (x, width)


def test_an_inference_plan_decodes_the_same(tmp_path: Path) -> None:
    net = load(tmp_path, YOLOR, compat="yolor")
    x = np.random.default_rng(0).random((2, 3, 32, 64), np.float32)
    np.testing.assert_allclose(net.optimized().predict(x), net.predict(x), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("iou_loss", ["mse", "ciou"])
def test_training_is_that_of_logistic_outputs_and_new_coords(tmp_path: Path, iou_loss: str) -> None:
    text = PLAIN + f"iou_loss={iou_loss}\n"
    net = load(tmp_path, text, compat="yolor", dtype="float64")
    other = load(tmp_path, text.replace("linear", "logistic").replace("1.05", "2\nnew_coords=1"), dtype="float64")
    other.env.compat = net.env.compat       # for the batch norm
    x = np.random.default_rng(1).random((2, 3, 32, 64))
    truth = np.array([[[.3, .4, .2, .5, 1]], [[.8, .2, .4, .3, 0]]])
    losses = []
    for each in (net, other):
        y, tape = each.forward(x, train=True)
        losses.append((y, each.backward(tape, truth)[0], each.layers[0].grads["weights"]))
    for ours, theirs in zip(*losses, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert np.abs(losses[0][2]).max() > 0


def test_reorg_takes_a_block_column_by_column(tmp_path: Path) -> None:
    """And its stride is 2 in that fork, which reads no option of the section: yolor_p6.cfg gives none."""
    layer = load(tmp_path, "[net]\nwidth=6\nheight=4\nchannels=3\n[reorg]\n", compat="yolor").layers[0]
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 3, 4, 6)), rng.normal(size=(2, 12, 2, 3))
    y, saved = layer.forward(x)
    wanted = np.concatenate([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], axis=1)
    assert np.array_equal(y, wanted) and y.shape[1:] == layer.out_shape
    dx, = layer.backward(dy, saved)
    assert dx is not None and np.isclose((y * dy).sum(), (x * dx).sum()), "backward is the transpose of forward"


def test_batch_norm_adds_the_forks_epsilon(tmp_path: Path) -> None:
    net = load(tmp_path, compat="yolor", dtype="float64")
    layer, x = net.layers[0], np.random.default_rng(0).random((1, 3, 32, 64))
    layer.buffers["rolling_variance"][:] = 1e-4
    layer.params["weights"][...] = 0
    layer.params["weights"][:, 0, 1, 1] = 1
    z = x[:, :1, ::8, ::8] / math.sqrt(1e-4 + 1e-4)
    np.testing.assert_allclose(layer.forward(x)[0], np.broadcast_to(z / (1 + np.exp(-z)), (1, 8, 4, 8)), rtol=1e-9)


# --- weights -----------------------------------------------------------------------------------------------------


def exported(net: Model, path: Path, less: int = 0) -> Path:
    """As the fork's save_weights: header, then only the convolutional layers."""
    parts = [(net.layers[i].params | net.layers[i].buffers)[name].ravel() for i in (0, 5)
             for name in net.layers[i].stored]
    values = np.concatenate(parts)
    path.write_bytes(struct.pack("<3iQ", 0, 2, 5, 0) + values[:len(values) - less].astype("<f4").tobytes())
    return path


def test_a_file_without_implicit_values_is_loaded_and_it_is_said(tmp_path: Path) -> None:
    source, report = load(tmp_path, YOLOR, seed=1), Report()
    file = exported(source, tmp_path / "fork.weights")
    before = load(tmp_path, YOLOR, compat="yolor")
    net = load(tmp_path, YOLOR, weights=file, compat="yolor", report=report)
    assert report.warnings == [f"{file}: the file has no values of [implicit_add] and [implicit_mul], as the YOLOR "
                               "fork writes it: 29 values of this network stay as they were"]
    for i in (0, 5):
        assert np.array_equal(net.layers[i].params["weights"], source.layers[i].params["weights"])
    for i in (1, 2):
        assert np.array_equal(net.layers[i].params["weights"], before.layers[i].params["weights"])


def test_a_file_with_them_is_loaded_whole_and_one_too_short_is_refused(tmp_path: Path) -> None:
    net = load(tmp_path, YOLOR, seed=1)
    weights.save(net, tmp_path / "own.weights")
    report = Report()
    again = load(tmp_path, YOLOR, weights=tmp_path / "own.weights", report=report, compat="yolor")
    assert np.array_equal(again.layers[1].params["weights"], net.layers[1].params["weights"]) and not report.warnings
    with pytest.raises(WeightsError, match="The cfg needs 466 values in all, the file has 436"):
        load(tmp_path, YOLOR, weights=exported(net, tmp_path / "short.weights", less=1))


# --- it is proposed by name ----------------------------------------------------------------------------------------


PROPOSED = ("of the YOLOR forks, whose heads decode boxes by another formula: for weights trained there, add --compat "
            "yolor")


@pytest.mark.parametrize("text, sign", [
    (YOLOR, "a.cfg:14: [implicit_add] these sections are "),
    (PLAIN.replace("swish", "silu"), "a.cfg:13: [convolutional] activation=silu is "),
    (PLAIN, ""), (PLAIN.replace("swish", "silu").replace("linear", "logistic") + "new_coords=1\n", ""),
])
def test_the_signs(tmp_path: Path, text: str, sign: str) -> None:
    report = Report()
    load(tmp_path, text, report=report)
    assert report.warnings == ([f"{tmp_path}/{sign}{PROPOSED}"] if sign else [])
    asked = Report()
    load(tmp_path, text.replace("logistic", "linear"), report=asked, compat="yolor")
    assert not asked.warnings, "no suggestion if --compat yolor is given; new_coords is not a sign"


def test_the_command_line_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from PIL import Image
    exported(load(tmp_path, YOLOR, seed=1), tmp_path / "fork.weights")
    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    call = ["detect", str(tmp_path / "a.cfg"), str(tmp_path / "a.png"), "--weights", str(tmp_path / "fork.weights")]
    assert main([*call, "--compat", "yolor"]) == 0
    assert "add --compat yolor" not in capsys.readouterr().err
    assert main(call) == 0
    assert "add --compat yolor" in capsys.readouterr().err


def test_check_and_summary_take_it_too(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = exported(load(tmp_path, YOLOR, seed=1), tmp_path / "fork.weights")
    assert main(["check", str(tmp_path / "a.cfg"), "--compat", "yolor", "--weights", str(file)]) == 0
    out = capsys.readouterr().out
    assert "the file has no values of [implicit_add]" in out and "add --compat yolor" not in out
    (tmp_path / "a.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[reorg]\n[softmax]\nspatial=1\n")
    for compat, size in ((["--compat", "yolor"], "4 x 4 x 12"), ([], "8 x 8 x 3")):
        assert main(["summary", str(tmp_path / "a.cfg"), *compat]) == 0
        assert re.search(rf"reorg +8 x 8 x 3 +{size}", capsys.readouterr().out)
