"""What a cfg means: the numbers in it that must agree, each with the sentence that says so."""
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import network_checks, weights
from runner.cli import main
from runner.config import Report
from runner.errors import CfgError, ShapeError
from runner.training.loop import train
from tests.paths import ROOT

NET = "[net]\nwidth=64\nheight=64\nchannels=3\n"
HEAD = "[yolo]\nclasses=1\nnum=2\nanchors=10,14, 23,27\n"


def conv(filters: int = 1, stride: int = 1, activation: str = "linear") -> str:
    return f"[convolutional]\nfilters={filters}\nsize=3\npad=1\nstride={stride}\nactivation={activation}\n"


def said(tmp_path: Path, text: str) -> tuple[list[str], list[str]]:
    """-> errors, warnings of a cfg, with its folder taken off."""
    (tmp_path / "a.cfg").write_text(text)
    _, report = runner.check(tmp_path / "a.cfg")
    plain = [[line.replace(f"{tmp_path}/", "") for line in lines] for lines in (report.errors, report.warnings)]
    return plain[0], plain[1]


# --- [net] ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines, says", [
    ("policy=steps\nsteps=400,450000\nscales=.1,.1\nmax_batches=500",
     "a.cfg:6: [net] steps=450000 will not be reached: training ends at max_batches=500, so the learning rate does "
     "not change there"),
    ("policy=step\nstep=900\nmax_batches=500\nscale=.1",
     "a.cfg:6: [net] step=900 will not be reached: training ends at max_batches=500, so the learning rate does not "
     "change"),
    ("burn_in=1000\nmax_batches=500\nlearning_rate=.01\npower=1",
     "a.cfg:5: [net] burn_in=1000 is not over when training ends at max_batches=500: the learning rate rises only to "
     "0.005, not to 0.01"),
    ("policy=sgdr\nsgdr_cycle=501\nmax_batches=500",
     "a.cfg:6: [net] sgdr_cycle=501 is not over when training ends at max_batches=500"),
    ("steps=100", "a.cfg:5: [net] steps has no effect with policy=constant: it belongs to policy=steps"),
    ("policy=steps\nsteps=9,5\nscales=1,1",
     "a.cfg:6: [net] steps=9,5 do not ascend: a step that follows a later one is taken together with it"),
    ("batch=1\nsubdivisions=8",
     "a.cfg:6: [net] batch=1 is less than subdivisions=8: an update sees 8 images, as in darknet"),
    ("batch=10\nsubdivisions=4",
     "a.cfg:6: [net] batch=10 is not a multiple of subdivisions=4: an update sees 8 images, as in darknet"),
    ("policy=step\nstep=9", "a.cfg:5: [net] policy=step changes nothing without scale="),
    ("policy=poly",
     "a.cfg:5: [net] policy=poly lowers the rate to 0 at max_batches=: without it the rate does not change"),
    ("policy=steps\nsteps=-1,50,900\nscales=1,1,1\nburn_in=100",
     "a.cfg:8: [net] burn_in=100 ends after steps=50: the rate jumps there"),
    ("time_steps=4", "a.cfg:5: [net] time_steps=4 multiplies the batch, and no layer here is recurrent"),
    ("max_crop=12",
     "a.cfg:5: [net] max_crop=12 is below min_crop=64, the width of the network: images are scaled to 12 to 64 pixels, "
     "as in darknet"),
])
def test_a_warning_of_the_net_section(tmp_path: Path, lines: str, says: str) -> None:
    assert said(tmp_path, f"{NET}{lines}\n[avgpool]\n[softmax]\n") == ([], [says])


@pytest.mark.parametrize("lines", [
    "policy=steps\nsteps=499\nscales=.1\nmax_batches=500", "policy=steps\nsteps=9\nscales=.1", "min_crop=70",
    "burn_in=500\nmax_batches=500", "policy=sgdr\nsgdr_cycle=500\nmax_batches=500", "batch=8\nsubdivisions=8"])
def test_what_agrees_is_passed_without_a_word(tmp_path: Path, lines: str) -> None:
    assert said(tmp_path, f"{NET}{lines}\n[avgpool]\n[softmax]\n") == ([], [])


def test_the_number_of_images_of_an_update_is_the_one_that_is_computed(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\ninputs=2\nbatch=2\nsubdivisions=8\nmax_batches=1\n[softmax]\n")
    report = Report()
    net = runner.load(tmp_path / "a.cfg", report=report)
    part = np.zeros((max(net.options.batch // net.options.subdivisions, 1), 2), np.float32)
    step, = list(train(net, iter([(part, part)] * 8)))
    assert f"an update sees {step.images} images" in report.warnings[0]


@pytest.mark.parametrize("option, hint", [("saturation", True), ("exposure", True), ("aspect", True), ("hue", False)])
def test_a_factor_of_zero_is_an_error_and_one_of_hue_is_not(tmp_path: Path, option: str, hint: bool) -> None:
    errors, _ = said(tmp_path, f"{NET}{option}=0\n[avgpool]\n[softmax]\n")
    wanted = f"a.cfg:5: [net] {option} must be a number, greater than 0. Got '0' (1 changes nothing)"
    assert errors == ([wanted] if hint else [])


def test_a_hue_beyond_the_circle(tmp_path: Path) -> None:
    assert said(tmp_path, f"{NET}hue=18\n[avgpool]\n[softmax]\n")[0] == [
        "a.cfg:5: [net] hue must be a number, at least 0, at most 1. Got '18'"]


def test_inputs_and_the_size_of_an_image_must_agree(tmp_path: Path) -> None:
    errors, _ = said(tmp_path, f"{NET}inputs=100\n[avgpool]\n[softmax]\n")
    assert errors == ["a.cfg:5: [net] inputs=100, and width x height x channels is 64 x 64 x 3 = 12288: leave inputs "
                      "out for images, or the other three for values"]
    assert said(tmp_path, f"{NET}inputs=12288\n[avgpool]\n[softmax]\n") == ([], [])


@pytest.mark.parametrize("layer", ["[connected]\noutput=2", "[rnn]\noutput=2\nhidden=2", "[gru]\noutput=2",
                                   "[lstm]\noutput=2", "[softmax]", "[convolutional]", "[crnn]"])
def test_without_any_size_the_net_section_is_named(tmp_path: Path, layer: str) -> None:
    wanted = "a.cfg:1: [net] needs width, height and channels (or inputs, where the input is not an image)"
    assert said(tmp_path, f"[net]\n{layer}\n")[0] == [wanted]
    with pytest.raises(CfgError, match="needs width, height and channels"):
        runner.load(tmp_path / "a.cfg")


def test_any_number_of_channels_is_one_that_images_may_have(tmp_path: Path) -> None:
    for channels in (2, 4, 8):
        text = NET.replace("channels=3", f"channels={channels}") + "[avgpool]\n[softmax]\n"
        assert said(tmp_path, text) == ([], [])


# --- numbers in a value --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["10,14  23,27", "10,14 23,27", "10 14, 23,27", "10,14, 23 .5", "10,14, 23\t-5"])
def test_a_blank_between_numbers_is_a_missing_comma(tmp_path: Path, value: str) -> None:
    text = NET + conv(12) + HEAD.replace("10,14, 23,27", value)
    assert said(tmp_path, text)[0] == [f"a.cfg:14: [yolo] anchors must be numbers separated by commas, at least 0. Got "
                                       f"{value!r} (a comma is missing)"]


@pytest.mark.parametrize("value", ["10,14,,23,27", ",10,14,23,27", "10,14, ,27"])
def test_nothing_before_a_comma(tmp_path: Path, value: str) -> None:
    errors, _ = said(tmp_path, NET + conv(12) + HEAD.replace("10,14, 23,27", value))
    assert errors[0].endswith(f"Got {value!r} (a number is missing before a comma)")
    assert said(tmp_path, NET + conv(12) + HEAD.replace("23,27", "23,27,"))[0] == [], "after the last one is fine"


def test_a_decimal_comma(tmp_path: Path) -> None:
    assert said(tmp_path, f"{NET}learning_rate=0,001\n[avgpool]\n[softmax]\n")[0] == [
        "a.cfg:5: [net] learning_rate must be a number, at least 0. Got '0,001' (a decimal point, not a comma)"]


def test_a_blank_inside_a_number(tmp_path: Path) -> None:
    errors, _ = said(tmp_path, NET + conv(1).replace("filters=1", "filters=2 1"))
    assert errors == ["a.cfg:6: [convolutional] filters must be an integer, at least 1. Got '2 1' (a blank inside a "
                      "number)"]


# --- heads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num, anchors, says", [
    (2, "10,14", "a.cfg:14: [yolo] anchors must be 2 pairs of width and height, as num=2 says. Got 1 (num=1?)"),
    (2, "10,14,23,27,37,58", "a.cfg:14: [yolo] anchors must be 2 pairs of width and height, as num=2 says. Got 3 "
                             "(num=3?)"),
    (2, "10,14,23", "a.cfg:14: [yolo] anchors must be pairs of width and height. Got 3 numbers"),
    (2, "10,14,0,27", "a.cfg:14: [yolo] the sides of an anchor must be greater than 0. Got 0"),
])
def test_anchors_and_num_must_agree(tmp_path: Path, num: int, anchors: str, says: str) -> None:
    assert said(tmp_path, NET + conv(12) + f"[yolo]\nclasses=1\nnum={num}\nanchors={anchors}\n")[0] == [says]


def test_anchors_left_out_and_repeated_are_warned_of(tmp_path: Path) -> None:
    errors, warnings = said(tmp_path, NET + conv(12) + "[yolo]\nclasses=1\nnum=2\nmask=1,1\n")
    assert not errors
    assert warnings == ["a.cfg:11: [yolo] anchors are left out: all 2 are 0.5 x 0.5, as in darknet",
                        "a.cfg:14: [yolo] mask names anchor 1 more than once: of equal anchors only the first learns"]


def test_heads_of_different_classes_are_reported_with_both_lines_even_if_one_cannot_be_built(tmp_path: Path) -> None:
    text = NET + conv(12) + HEAD + "[route]\nlayers=0\n" + HEAD.replace("classes=1", "classes=2")
    errors, _ = said(tmp_path, text)
    assert errors[-1] == ("a.cfg:18: [yolo] classes=2, and classes=1 in a.cfg:12: [yolo]: the heads of a network must "
                          "have the same classes")
    assert "filters=14" in errors[0], "the head with the wrong filters= is reported too"


@pytest.mark.parametrize("activation, coords, says", [
    ("linear", 1, "a.cfg:15: [yolo] new_coords=1 wants activation=logistic in layer 0 [convolutional]; it is linear "
                  "(a.cfg:10: [convolutional]), as in PyTorch's cfgs: --compat yolor"),
    ("leaky", 0, "a.cfg:10: [convolutional] activation=leaky in layer 0 [convolutional], and layer 2 [yolo] wants raw "
                 "values: activation=linear"),
    ("logistic", 1, None), ("linear", 0, None),
])
def test_what_a_head_reads(tmp_path: Path, activation: str, coords: int, says: str | None) -> None:
    """A [dropout] in between does not hide the layer that made the values."""
    text = NET + conv(12, activation=activation) + HEAD + f"new_coords={coords}\n"
    text = text.replace("[yolo]", "[dropout]\nprobability=0\n[yolo]")
    says = says and says.replace("a.cfg:15", "a.cfg:17")
    assert said(tmp_path, text) == ([], [says] if says else [])


@pytest.mark.parametrize("line, name", [("", "activation=logistic, the default,"),
                                        ("activation=leaky\n", "activation=leaky")])
def test_logistic_reads_raw_values(tmp_path: Path, line: str, name: str) -> None:
    text = NET + "[connected]\noutput=3\n{}[dropout]\nprobability=.5\n[logistic]\n"
    _, warnings = said(tmp_path, text.format(line))
    assert len(warnings) == 1
    assert f"{name} in layer 0 [connected], and layer 2 [logistic] wants raw values" in warnings[0]
    assert not said(tmp_path, text.format("activation=linear\n"))[1]


def test_the_default_activation_before_a_head_is_named_as_the_default(tmp_path: Path) -> None:
    _, warnings = said(tmp_path, NET + conv(12).replace("activation=linear\n", "") + HEAD)
    assert warnings == ["a.cfg:5: [convolutional] activation=logistic, the default, in layer 0 [convolutional], and "
                        "layer 1 [yolo] wants raw values: activation=linear"]


def test_a_jitter_that_leaves_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, NET + conv(12) + HEAD + "jitter=.5\n")[1] == [
        "a.cfg:15: [yolo] jitter=0.5 may crop the whole image away: it is a fraction of each side, cut off at both "
        "ends"]
    assert said(tmp_path, NET + conv(12) + HEAD + "jitter=.3\n") == ([], [])


def test_a_coarse_grid_has_the_large_anchors(tmp_path: Path) -> None:
    def heads(fine: int, coarse: int) -> str:
        head = "[yolo]\nclasses=1\nnum=2\nanchors=10,14, 23,27\nmask={}\n"
        return NET + conv(6) + head.format(fine) + "[route]\nlayers=0\n" + conv(6, 2) + head.format(coarse)
    assert said(tmp_path, heads(0, 1)) == ([], [])
    assert said(tmp_path, heads(1, 0))[1] == [
        "a.cfg:15: [yolo] layer 1 has 64 x 64 cells, and larger anchors than layer 4 with 32 x 32: are the masks "
        "swapped?"]


# --- the graph -----------------------------------------------------------------------------------------------


def test_wrong_indices_show_in_who_reads_what(tmp_path: Path) -> None:
    text = NET + conv(12) + HEAD + "[route]\nlayers=0\n" + conv(12) + "[route]\nlayers=1,2\n" + conv(12) + HEAD
    assert said(tmp_path, text)[1] == [
        "a.cfg:17: [convolutional] no layer reads the output of layer 3: it is computed for nothing",
        "a.cfg:24: [route] layer 4 reads layer 1 [yolo], which holds boxes: is the index right?"]


def test_a_network_that_nothing_teaches(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Features may be wanted of it: it loads, `check` says it, and `train` refuses."""
    assert said(tmp_path, NET + conv()) == ([], [])
    why = "nothing in this network is compared with labels, so it cannot be trained"
    assert main(["check", str(tmp_path / "a.cfg")]) == 0
    assert f"warning: {tmp_path}/a.cfg: {why}" in capsys.readouterr().out
    assert main(["train", str(tmp_path / "a.cfg"), "--data", str(ROOT / "data" / "digits")]) == 2
    assert capsys.readouterr().err.startswith(f"run.py: {tmp_path}/a.cfg: {why}")


@pytest.mark.parametrize("layers, why", [
    ("[logistic]\n[crop]\n", "layer 1 [logistic] has 8192 values, and the output of the network, layer 2 [crop], has"),
    ("[softmax]\nnoloss=1\n[crop]\n[cost]\n", ""),
    ("[softmax]\n[cost]\n[cost]\n", ""),
    ("[avgpool]\n[softmax]\n" + HEAD, "layer 2 [softmax] is compared with classes, and layer 3 [yolo] with boxes"),
])
def test_heads_that_want_different_labels(tmp_path: Path, layers: str, why: str) -> None:
    layers = layers.replace("[crop]", "[crop]\ncrop_width=1\ncrop_height=1")
    (tmp_path / "a.cfg").write_text(NET + conv(2 if HEAD not in layers else 12) + layers)
    net, report = runner.check(tmp_path / "a.cfg")
    if net is None:     # the last one needs an image for its second head
        (tmp_path / "a.cfg").write_text(NET + conv(12) + "[softmax]\nspatial=1\n" + HEAD)
        net, report = runner.check(tmp_path / "a.cfg")
        why = why.replace("layer 2", "layer 1").replace("layer 3", "layer 2")
    assert net is not None, report.errors
    found = network_checks.untrainable(net.layers)
    assert found.startswith(why) and bool(found) == bool(why), found


PYRAMID = conv(stride=2) * 2 + "{deeper}[upsample]\n[route]\nlayers=-1,0\n" + conv() + "[avgpool]\n[softmax]\n"


@pytest.mark.parametrize("width, height, deeper, joins, why", [
    (62, 64, "", "3 joins 32 x 32 and 31 x 32, and layer 4",
     "width and height must be multiples of 4 (62 x 64 is not; 60 x 64 and 64 x 64 are)"),
    (2, 6, "", "3 joins 2 x 4 and 1 x 3, and layer 4",
     "width and height must be multiples of 4 (2 x 6 is not; 4 x 8 is)"),
    (64, 64, conv(stride=2), "4 joins 16 x 16 and 32 x 32, and layer 5",
     "their strides are 4 and 2, so they meet at no size of the input"),
])
def test_maps_that_do_not_meet(tmp_path: Path, width: int, height: int, deeper: str, joins: str, why: str) -> None:
    net = NET.replace("width=64", f"width={width}").replace("height=64", f"height={height}")
    errors, _ = said(tmp_path, net + PYRAMID.format(deeper=deeper))
    line = 25 if deeper else 19
    assert errors == [f"a.cfg:{line}: [route] layer {joins} [convolutional] needs an image: {why}"]
    assert said(tmp_path, NET + PYRAMID.format(deeper="")) == ([], [])


@pytest.mark.parametrize("cfg, size, fits", [
    ("yolov3", (400, 400), "layer 86 joins 26 x 26 and 25 x 25, and layer 87 [convolutional] needs an image: width and "
                           "height must be multiples of 32 (400 x 400 is not; 384 x 384 and 416 x 416 are)"),
    ("yolov4", (600, 608), "multiples of 32 (600 x 608 is not; 576 x 608 and 608 x 608 are)"),
    ("yolov4-tiny", (400, 416), "multiples of 32 (400 x 416 is not; 384 x 416 and 416 x 416 are)"),
    ("yolov3-tiny", (300, 90), "multiples of 32 (300 x 90 is not; 288 x 64 and 320 x 96 are)"),
])
def test_a_published_network_at_a_size_it_cannot_have(cfg: str, size: tuple[int, int], fits: str) -> None:
    def at(width: str, height: str) -> tuple:
        return runner.check(ROOT / "cfg" / f"{cfg}.cfg", settings=[f"net.width={width}", f"net.height={height}"])
    own, _ = runner.check(ROOT / "cfg" / f"{cfg}.cfg")
    net, report = at(*map(str, size))
    assert net is None and len(report.errors) == 1 and fits in report.errors[0]
    for text in fits.partition("is not; ")[2].removesuffix(" are)").split(" and "):
        net, _ = at(*text.split(" x "))
        assert net is not None and own is not None and net.param_count == own.param_count


@pytest.mark.parametrize("reader", ["[maxpool]", "[upsample]", "[yolo]", "[shortcut]\nfrom=-2", "[batchnorm]",
                                    "[dropout]\n[convolutional]", "[route]\nlayers=-1,0\n[convolutional]",
                                    "[activation]\n[local]"])
def test_who_cannot_read_a_flat_route(tmp_path: Path, reader: str) -> None:
    errors, _ = said(tmp_path, NET + conv() + conv(stride=2) + "[route]\nlayers=0,1\n" + reader)
    assert len(errors) == 1
    assert errors[0].startswith("a.cfg:18: [route] layer 2 joins 64 x 64 and 32 x 32, and layer ")


@pytest.mark.parametrize("reader", ["[connected]\noutput=2\n[softmax]\n", "[softmax]", "[dropout]\nprobability=0\n"
                                    "[activation]\n[connected]\noutput=2\n[softmax]", "[logistic]", "[cost]"])
def test_who_can_and_summary_draws_it(tmp_path: Path, reader: str, capsys: pytest.CaptureFixture) -> None:
    assert said(tmp_path, NET + conv() + conv(stride=2) + "[route]\nlayers=0,1\n" + reader)[0] == []
    assert main(["summary", str(tmp_path / "a.cfg")]) == 0
    assert f"{64 * 64 + 32 * 32} values" in capsys.readouterr().out


def test_summary_refuses_what_check_refuses(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_text(NET + conv() + conv(stride=2) + "[route]\nlayers=0,1\n" + conv())
    assert main(["summary", str(tmp_path / "a.cfg")]) == 2
    assert "layer 2 joins 64 x 64 and 32 x 32" in capsys.readouterr().err


def test_a_network_is_not_resized_to_maps_that_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + PYRAMID.format(deeper=""))
    net = runner.load(tmp_path / "a.cfg")
    with pytest.raises(ShapeError, match=r"cannot take 62 x 64 x 3: layer 4 \[convolutional\]: expects an image"):
        net.resize(62, 64)
    assert net.in_shape == (3, 64, 64) and net.out_shape == (1,)


def test_a_shortcut_that_does_not_meet_says_which_sizes_would(tmp_path: Path) -> None:
    text = NET + conv(stride=2) * 3 + "[upsample]\n[shortcut]\nfrom={}\n" + conv() + "[softmax]"
    small = text.replace("width=64", "width=60").replace("height=64", "height=60")
    wanted = "width and height must be multiples of 8 (60 x 60 is not; 56 x 56 and 64 x 64 are)"
    assert said(tmp_path, small.format("1,1"))[0][0].endswith(f": {wanted}")
    assert said(tmp_path, small.format("1"))[1] == [
        f"a.cfg:25: [shortcut] layer 4 adds images of 16 x 16 and 15 x 15, where both have pixels: {wanted}"]
    assert said(tmp_path, text.format("0")) == ([], []), "every second pixel, as pjreddie's ResNets have it"


def test_a_blur_that_leaves_nothing(tmp_path: Path) -> None:
    text = NET + "[avgpool]\n" + conv(5) + "antialiasing=2\n[softmax]\n" + conv()
    assert said(tmp_path, text)[0] == ["a.cfg:6: [convolutional] layer 1: antialiasing=2 blurs 2 x 2 pixels, which do "
                                       "not fit into 1 x 1"]


def test_images_that_do_not_come_from_the_input(tmp_path: Path) -> None:
    """A network of values has no width and height that could fit."""
    start = "[net]\ninputs=4\n[implicit]\nfilters=4\n[reorg]\nstride=2\nreverse=1\n[implicit]\nfilters=2\n"
    errors, _ = said(tmp_path, f"{start}[route]\nlayers=1,2\n{conv()}")
    assert errors == ["a.cfg:11: [route] layer 3 joins 2 x 2 and 1 x 1, and layer 4 [convolutional] needs an image"]
    assert said(tmp_path, f"{start}[shortcut]\nfrom=1\n[softmax]\n")[0] == []


def test_the_grid_of_a_head(tmp_path: Path) -> None:
    text = NET + conv(stride=2) + conv(stride=2) + conv(12) + HEAD
    assert said(tmp_path, text) == ([], [])
    assert said(tmp_path, text.replace("width=64", "width=66"))[1] == [
        "a.cfg:2: [net] 66 x 64 is not a multiple of 4, the stride of layer 3 [yolo]: the outermost cells are partly "
        "beyond the image"]


def test_a_grid_finer_than_the_pixels_of_the_input(tmp_path: Path) -> None:
    text = NET.replace("width=64", "width=65") + "[upsample]\nstride=1000\n" + conv(12) + HEAD
    assert said(tmp_path, text) == ([], [])


def test_sizes_that_random_would_try(tmp_path: Path) -> None:
    text = NET + "resize_step=2\n" + PYRAMID.format(deeper="").partition("[avgpool]")[0]
    text += conv(12) + HEAD + "random=1\n"
    assert said(tmp_path, text)[1] == [
        "a.cfg:37: [yolo] random=1 changes the size of the input in steps of resize_step=2 pixels, and layer 3 [route] "
        "needs multiples of 4: training will refuse that. Set resize_step=4 in [net]"]
    assert said(tmp_path, text.replace("resize_step=2", "resize_step=4")) == ([], [])


@pytest.mark.parametrize("end, yes", [
    ("[softmax]", True), ("[logistic]", True), ("[softmax]\n[cost]", True), ("[activation]\nactivation=logistic", True),
    ("[convolutional]\nactivation=logistic\n[avgpool]\n[dropout]\nprobability=.5", True),
    ("[connected]\nactivation=linear\n[cost]", False), ("[activation]\nactivation=tanh", False),
    ("[softmax]\n[connected]\nactivation=relu", False), ("[maxpool]", False),
])
def test_outputs_that_are_probabilities(tmp_path: Path, end: str, yes: bool) -> None:
    (tmp_path / "a.cfg").write_text(f"{NET}{end}\n")
    net = runner.load(tmp_path / "a.cfg")
    assert network_checks.gives_probabilities(net.layers, net.links, net.last) == yes


def test_outputs_that_are_no_probabilities_are_printed_as_values(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[connected]\noutput=2\nactivation=linear\n[cost]")
    net = runner.load(tmp_path / "a.cfg")
    net.layers[0].params["weights"][...] = 0
    net.layers[0].params["biases"][:] = -12.5, 170
    weights.save(net, tmp_path / "a.weights")
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    call = ["predict", str(tmp_path / "a.cfg"), str(tmp_path / "a.png"), "--weights", str(tmp_path / "a.weights")]
    assert main(call) == 0
    assert capsys.readouterr().out == f"{tmp_path}/a.png  1 170   0 -12.5\n"
    assert main([*call, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["predictions"][0] == {"class": "1", "index": 1, "value": 170}


@pytest.mark.parametrize("verb", [["train", "--data"], ["predict"], ["detect"], ["test", "--data"]])
def test_whoever_reads_image_files_refuses_other_channels_at_once(tmp_path: Path, verb: list[str],
                                                                  capsys: pytest.CaptureFixture) -> None:
    head = conv(12) + HEAD if verb == ["detect"] else "[connected]\noutput=10\n[softmax]\n"
    (tmp_path / "a.cfg").write_text(NET.replace("channels=3", "channels=4") + head)
    weights.save(runner.load(tmp_path / "a.cfg"), tmp_path / "a.weights")
    images = str(ROOT / "data" / "digits")
    assert main([verb[0], str(tmp_path / "a.cfg"), *verb[1:], images, "--weights", str(tmp_path / "a.weights")]) == 2
    assert re.search(r"digits/\S+\.png: the image has 1 channel \(L\), and channels=4 needs an image with 4\n",
                     capsys.readouterr().err)


def test_confidences_above_1_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_text(NET + conv(12) + HEAD + "new_coords=1\n")
    net = runner.load(tmp_path / "a.cfg")
    net.layers[0].params["biases"][:] = 3
    weights.save(net, tmp_path / "a.weights")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    call = ["detect", str(tmp_path / "a.cfg"), str(tmp_path / "a.png"), "--weights", str(tmp_path / "a.weights")]
    assert main(call) == 0
    assert "boxes with a confidence above 1, so these are not probabilities" in capsys.readouterr().err
    assert main([*call, "--compat", "yolor"]) == 0
    assert "above 1" not in capsys.readouterr().err
