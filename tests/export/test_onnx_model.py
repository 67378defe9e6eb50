"""Whole networks as ONNX models: every shipped cfg, every form, batch and size; what cannot be written is refused."""
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.errors import UsageError
from runner.export import OnnxOptions, newest_opset, onnx_model
from runner.export.onnx_model import OLDEST_OPSET, is_recurrent
from runner.export.verify import Difference, OnnxSession, differences, pattern
from runner.layers import Yolo
from runner.network import Network
from tests.paths import ROOT

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

# a smaller input; with it, layers of type [connected] and their files are smaller too
SETTINGS = {"vgg16": ("net.width=32", "net.height=32"),
            "yolov1": ("net.width=64", "net.height=64"), "yolov1-tiny": ("net.width=64", "net.height=64"),
            "darknet53": ("net.width=64", "net.height=64"), "resnet50": ("net.width=64", "net.height=64"),
            "resnet18": ("net.width=64", "net.height=64"), "darknet19": ("net.width=64", "net.height=64"),
            "extraction": ("net.width=64", "net.height=64"),
            **dict.fromkeys(("yolov2", "yolov2-tiny", "yolov3", "yolov3-tiny", "yolov4", "yolov4-tiny", "yolo-fastest"),
                            ("net.width=64", "net.height=96")),
            "lstm": ("net.time_steps=3",), "rnn": ("net.time_steps=3",), "gru": ("net.time_steps=3",)}
CFGS = sorted((ROOT / "cfg").glob("*.cfg"))
DETECTOR = """[net]
width=64
height=32
channels=3
[convolutional]
filters=8
size=3
stride=4
pad=1
batch_normalize=1
activation=leaky
[convolutional]
filters={filters}
size=1
activation={activation}
[{head}]
{options}
"""
HEADS = {
    "yolo": (21, "classes=2 num=6 mask=0,1,5 anchors=4,6,9,7,12,20,3,3,2,2,16,9 scale_x_y=1.2"),
    "new_coords": (21, "classes=2 num=3 anchors=4,6,9,7,12,20 new_coords=1 scale_x_y=2"),
    "Gaussian_yolo": (33, "classes=2 num=3 anchors=4,6,9,7,12,20 yolo_point=left_top"),
    "region": (21, "classes=2 num=3 softmax=1 anchors=1,2,3,1,2,2"),
    "region_logistic": (21, "classes=2 num=3 anchors=1,2,3,1,2,2"),
    "region_background": (21, "classes=2 num=3 background=1 softmax=1 anchors=1,2,3,1,2,2"),
}


def agree(net: Network, options: OnnxOptions, rows: int) -> list[Difference]:
    model = onnx_model(net, options)
    onnx.checker.check_model(model, full_check=True)
    x = pattern(net, rows * (net.env.time_steps if is_recurrent(net) else 1))
    session = OnnxSession(model.SerializeToString())
    found = differences(net, session, x, form=options.form, thresh=options.thresh,
                        agnostic=options.agnostic_nms)
    assert found and all(one.fits for one in found), found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)
def test_a_shipped_network_computes_the_same(path: Path) -> None:
    net = runner.load(path, settings=SETTINGS.get(path.stem, ()))
    agree(net, OnnxOptions(batch=1), 1)
    agree(net, OnnxOptions(batch=None), 3)


def detector(tmp_path: Path, head: str, compat: str | None = None) -> Network:
    filters, options = HEADS[head]
    path = tmp_path / "net.cfg"
    activated = head == "new_coords"
    section = "yolo" if activated else head.removesuffix("_logistic").removesuffix("_background")
    path.write_text(DETECTOR.format(filters=filters, head=section, options=options.replace(" ", "\n"),
                                    activation="logistic" if activated else "linear"))
    net = runner.load(path, seed=3, compat=compat)
    for layer in net.layers:
        if "biases" in layer.params:        # several hundred boxes, some of them sure
            layer.params["biases"][...] = np.random.default_rng(1).normal(size=layer.params["biases"].shape)
    return net


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", ["raw", "decoded", "nms"])
@pytest.mark.parametrize("compat", [None, "alexeyab"])
def test_a_head_in_every_form(tmp_path: Path, head: str, form: Any, compat: str | None) -> None:
    net = detector(tmp_path, head, compat)
    agree(net, OnnxOptions(form, thresh=.3), 1)
    agree(net, OnnxOptions(form, batch=2, thresh=.3), 2)
    found = agree(net, OnnxOptions(form, batch=None, thresh=.3), 3)
    assert form != "nms" or found[1].largest > 0, "nothing was detected, so nothing was compared"


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 17])
def test_suppression_of_all_classes_together(tmp_path: Path, opset: int) -> None:
    """It is compared with the network; the model of suppression class by class differs from it."""
    net, x = detector(tmp_path, "yolo"), pattern(detector(tmp_path, "yolo"), 2)
    options = OnnxOptions("nms", batch=2, opset=opset, thresh=.3, agnostic_nms=True)
    assert agree(net, options, 2)[1].largest > 0
    counts = []
    for agnostic in (False, True):
        session = OnnxSession(onnx_model(net, replace(options, agnostic_nms=agnostic)).SerializeToString())
        found = differences(net, session, x, form="nms", thresh=.3, agnostic=True)
        assert all(one.fits for one in found) == agnostic
        counts.append(len(session.run({session.inputs[0].name: x})["boxes"]))
        assert session.metadata["agnostic_nms"] == str(agnostic)
    assert 0 < counts[1] < counts[0]


def test_boxes_larger_than_the_image_are_compared_by_their_own_size(tmp_path: Path) -> None:
    """Their float32 coordinates differ by more than the tolerance of an image's."""
    net = detector(tmp_path, "yolo")
    head = net.layers[2]
    assert isinstance(head, Yolo)
    head.anchors = head.anchors * 5000
    found = agree(net, OnnxOptions("nms", thresh=.3), 1)
    assert found[0].scale > 5000


def test_yolov1_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_text("[net]\nwidth=32\nheight=32\nchannels=1\n[connected]\noutput=108\nactivation=logistic\n"
                    "[detection]\nclasses=2\ncoords=4\nside=3\nnum=2\nsqrt=1\n")
    net = runner.load(path)
    for form in ("raw", "decoded", "nms"):
        agree(net, OnnxOptions(form, thresh=.1), 1)     # type: ignore[arg-type]


@pytest.mark.parametrize("head", ["yolo", "Gaussian_yolo", "region"])
def test_the_size_of_the_input_can_stay_open(tmp_path: Path, head: str) -> None:
    net = detector(tmp_path, head)
    session = OnnxSession(onnx_model(net, OnnxOptions("decoded", any_size=True, batch=None)).SerializeToString())
    for width, height in ((64, 32), (96, 64)):
        net.resize(width, height)
        found = differences(net, session, pattern(net, 2), form="decoded")
        assert all(one.fits for one in found), found


def test_a_layer_that_depends_on_the_size_is_named(tmp_path: Path) -> None:
    net = runner.load(ROOT / "cfg/net.cfg")
    with pytest.raises(UsageError, match=r"layer \d+ \[connected\]"):
        onnx_model(net, OnnxOptions(any_size=True))
    assert net.in_shape == runner.load(ROOT / "cfg/net.cfg").in_shape


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 15, 18, 21])
def test_opsets(tmp_path: Path, opset: int) -> None:
    agree(detector(tmp_path, "yolo"), OnnxOptions("nms", opset=opset), 1)


def test_the_newest_opset_works_and_the_next_is_refused(tmp_path: Path) -> None:
    net = detector(tmp_path, "yolo")
    agree(net, OnnxOptions("nms", opset=newest_opset()), 1)
    for opset in (newest_opset() + 1, OLDEST_OPSET - 1):
        with pytest.raises(UsageError, match=f"from {OLDEST_OPSET} to {newest_opset()}"):
            onnx_model(net, OnnxOptions(opset=opset))


def test_a_classifier_has_no_boxes() -> None:
    with pytest.raises(UsageError, match="no boxes to write in form 'nms'"):
        onnx_model(runner.load(ROOT / "cfg/net.cfg"), OnnxOptions("nms"))


def test_the_tree_of_yolo9000_has_no_decoded_form(tmp_path: Path) -> None:
    (tmp_path / "two.tree").write_text("a -1\nb -1\n")
    net = detector(tmp_path, "region")
    object.__setattr__(net.layers[2].options, "tree", str(tmp_path / "two.tree"))
    agree(net, OnnxOptions("raw"), 1)
    with pytest.raises(UsageError, match=r"net.cfg:\d+: \[region\] layer 2: .*use --raw"):
        onnx_model(net, OnnxOptions("decoded"))


def test_metadata_are_those_that_consumers_read(tmp_path: Path) -> None:
    model = onnx_model(detector(tmp_path, "yolo"), OnnxOptions("decoded"), names=["cat", "dog's"])
    facts = {item.key: item.value for item in model.metadata_props}
    assert facts["task"] == "detect" and facts["stride"] == "4" and facts["imgsz"] == "[32, 64]"
    assert facts["names"] == str({0: "cat", 1: "dog's"}) and facts["resize"] == "stretch"
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["output0"]


def test_a_wrong_weight_is_found(tmp_path: Path) -> None:
    """The comparison can fail."""
    net = detector(tmp_path, "yolo")
    for form in ("raw", "decoded", "nms"):
        session = OnnxSession(onnx_model(net, OnnxOptions(form, thresh=.3)).SerializeToString())    # type: ignore[arg-type]
        net.layers[1].params["biases"][4] += 1
        assert not all(one.fits for one in differences(net, session, pattern(net, 1), form=form, thresh=.3))
