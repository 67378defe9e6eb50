"""Values without a meaning, values without a use, and sizes of the input that fit or never fit."""
from pathlib import Path

import pytest

import runner
from runner import network_checks
from runner.config import Options
from runner.layers import LAYERS, Yolo
from runner.net_options import NetOptions
from tests.paths import ROOT
from tests.test_network_checks import HEAD, NET, conv, said


@pytest.mark.parametrize("section, option, values", [
    ("net", "momentum", ("-0.1", "1", "9")), ("net", "decay", ("-1e-9",)), ("net", "learning_rate", ("-1",)),
    ("net", "B1", ("1", "-0.5")), ("net", "B2", ("1",)), ("net", "rho", ("1",)), ("net", "eps", ("0",)),
    ("net", "power", ("-4",)), ("net", "scale", ("0", "-0.1")), ("net", "scales", ("0.1,0", "-1")),
    ("net", "gamma", ("0", "-1")), ("net", "ema_alpha", ("1", "-0.1")), ("net", "angle", ("-7", "181")),
    ("net", "label_smooth_eps", ("1.5", "-0.1")), ("net", "reposition", ("-0.1", "1.5")), ("net", "balance", ("2",)),
    ("net", "split_share", ("-0.1", "1")), ("net", "max_grad_norm", ("-1",)), ("net", "hue", ("-0.1",)),
    ("yolo", "ignore_thresh", ("7", "-0.1", "1.01")), ("yolo", "truth_thresh", ("1.1", "-1")),
    ("yolo", "iou_thresh", ("2", "-0.2")), ("yolo", "scale_x_y", ("-1", "0")), ("yolo", "jitter", ("1.1", "-0.3")),
    ("yolo", "resize", ("0", "-1.5")), ("yolo", "random", ("-1",)), ("yolo", "label_smooth_eps", ("1.5", "-0.1")),
    ("yolo", "iou_normalizer", ("-0.07",)), ("yolo", "obj_normalizer", ("-1",)), ("yolo", "cls_normalizer", ("-1",)),
    ("yolo", "delta_normalizer", ("-1",)), ("yolo", "max_delta", ("-5",)), ("yolo", "beta_nms", ("-0.6",)),
    ("yolo", "counters_per_class", ("-1",)), ("Gaussian_yolo", "uc_normalizer", ("-1",)),
    ("region", "thresh", ("1.2", "-0.6")), ("region", "coord_scale", ("-1",)), ("region", "noobject_scale", ("-1",)),
    ("region", "object_scale", ("-5",)), ("region", "class_scale", ("-1",)), ("region", "mask_scale", ("-1",)),
    ("detection", "coord_scale", ("-1",)), ("detection", "jitter", ("1.5",)), ("cost", "scale", ("-1",)),
    ("cost", "noobj", ("-1",)), ("cost", "thresh", ("-1",)), ("dropout", "probability", ("-0.1", "1.5", "nan")),
    ("dropout", "dropblock_size_rel", ("-0.1", "1.5")), ("softmax", "temperature", ("0", "-1")),
    ("normalization", "alpha", ("-1",)), ("normalization", "beta", ("-1",)), ("normalization", "kappa", ("0", "-2")),
    ("convolutional", "learning_rate", ("-1",)), ("convolutional", "clip", ("-1",))])
def test_a_value_outside_its_meaning_is_an_error(section: str, option: str, values: tuple[str, ...],
                                                 tmp_path: Path) -> None:
    for value in values:
        text = f"{NET}{option}={value}\n[softmax]\n" if section == "net" else f"{NET}[{section}]\n{option}={value}\n"
        error, = (line for line in said(tmp_path, text)[0] if f"[{section}] {option} must be " in line)
        assert f"Got {value!r}" in error


# factors, offsets and indices without a range of their own
UNBOUNDED = {
    "steps": "negative ones are before the first update, as in a cfg of darknet", "mean": "an offset",
    "alpha": "a factor of a sum", "beta": "a factor of a sum", "scale": "a factor of values",
    "from": "an index", "layers": "an index", "share_index": "an index", "yolo_layer": "an index",
    "stride": "negative ones make an image smaller"}


def test_every_number_has_a_range_or_a_reason() -> None:
    kinds: list[type[Options]] = [NetOptions, *(layer.Options for layer in LAYERS.values())]
    for kind in kinds:
        for name, f in kind.declared().items():
            numeric = f.type in (int, float, tuple[int, ...], tuple[float, ...])
            ranged = any(f.metadata[bound] is not None for bound in ("low", "above", "high", "below"))
            assert not numeric or ranged or f.metadata["reason"] or name in UNBOUNDED, f"{kind.__qualname__}.{name}"


@pytest.mark.parametrize("lines, says", [
    ("learning_rate=0", "a.cfg:5: [net] learning_rate=0: training changes no weight"),
    ("policy=exp\ngamma=1.1",
     "a.cfg:6: [net] gamma=1.1 multiplies the learning rate at every update: it grows without end"),
    ("policy=sgdr\nlearning_rate_min=1\nmax_batches=9",
     "a.cfg:6: [net] learning_rate_min=1 is above learning_rate=0.001: the rate rises in every cycle"),
    ("letter_box=1", "a.cfg:5: [net] letter_box has no effect here: it is for detectors, and this network has no "
                     "detection heads")])
def test_a_value_without_use_is_a_warning(tmp_path: Path, lines: str, says: str) -> None:
    assert said(tmp_path, f"{NET}{lines}\n[avgpool]\n[softmax]\n") == ([], [says])


def test_options_that_a_detector_does_not_read(tmp_path: Path) -> None:
    text = f"{NET}min_crop=9\nmax_crop=99\nangle=7\naspect=.75\nhue=.1\n{conv(12)}{HEAD}"
    errors, warnings = said(tmp_path, text)
    assert not errors and [line.split()[2] for line in warnings] == ["min_crop", "max_crop", "angle", "aspect"]
    assert all("it is for classifiers, and this network has detection heads" in line for line in warnings)
    assert said(tmp_path, f"{NET}angle=0\naspect=1\nmin_crop=64\n{conv(12)}{HEAD}") == ([], []), "these change nothing"


def test_a_dropout_of_everything(tmp_path: Path) -> None:
    assert said(tmp_path, f"{NET}{conv()}[dropout]\nprobability=1\n[avgpool]\n[softmax]\n")[1] == [
        "a.cfg:12: [dropout] probability=1 zeroes every value: no layer before layer 1 learns anything"]


# --- sizes that never fit, and those that do -----------------------------------------------------------------


@pytest.mark.parametrize("between, joined, reason", [
    ("[upsample]\n", "128 x 128 and 64 x 64", "their strides are 1/2 and 1, so they meet at no size of the input"),
    ("[convolutional]\nsize=3\n", "62 x 62 and 64 x 64",
     "both have stride 1, and layers without pad=1 made one of them smaller, at every size of the input"),
    ("[avgpool]\n", "1 x 1 and 64 x 64", "one of them has the same size at every size of the input"),
    ("[maxpool]\nsize=2\nstride=2\n", "32 x 32 and 64 x 64",
     "their strides are 2 and 1, so they meet at no size of the input")])
def test_why_a_route_fits_at_no_size(tmp_path: Path, between: str, joined: str, reason: str) -> None:
    error, = said(tmp_path, f"{NET}{conv()}{between}[route]\nlayers=-1,-2\n{conv()}[softmax]\n")[0]
    assert error.endswith(f"layer 2 joins {joined}, and layer 3 [convolutional] needs an image: {reason}")


@pytest.mark.parametrize("size, fits", [("400 x 400", "384 x 384 and 416 x 416"), ("16 x 16", "32 x 32"),
                                        ("448 x 420", "448 x 416 and 448 x 448")])
def test_the_sizes_that_fit_a_reorg(size: str, fits: str) -> None:
    width, height = size.split(" x ")
    _, report = runner.check(ROOT / "cfg" / "yolov2.cfg", settings=[f"net.width={width}", f"net.height={height}"])
    is_are = "are" if "and" in fits else "is"
    assert report.errors[0].endswith(f": width and height must be multiples of 32 ({size} is not; {fits} {is_are})")


@pytest.mark.parametrize(("lines", "says"), [
    ("policy=sgdr\nsgdr_cycle=100\nmax_batches=500",
     "sgdr_cycle=100, sgdr_mult=2: the cycle up to update 700 is not over when training ends at max_batches=500"),
    ("policy=sgdr\nsgdr_cycle=300\nsgdr_mult=1\nmax_batches=500",
     "sgdr_cycle=300, sgdr_mult=1: the cycle up to update 600 is not over when training ends at max_batches=500"),
    ("min_crop=130\nmax_batches=1",
     "max_crop=128 is below min_crop=130: images are scaled to 128 to 130 pixels, as in darknet"),
    ("policy=sgdr\nsgdr_cycle=100\nmax_batches=300", ""), ("policy=sgdr\nmax_batches=500", ""),
    ("policy=sgdr\nsgdr_cycle=1\nsgdr_mult=1\nmax_batches=2000000000", ""),
])
def test_numbers_of_the_net_section_that_do_not_agree(tmp_path: Path, lines: str, says: str) -> None:
    (tmp_path / "a.cfg").write_text(f"[net]\nwidth=64\nheight=64\nchannels=3\n{lines}\n[avgpool]\n")
    _, report = runner.check(tmp_path / "a.cfg")
    line = 5 if "crop" in lines else 6
    assert report.warnings == ([f"{tmp_path}/a.cfg:{line}: [net] {says}"] if says else [])


@pytest.mark.parametrize(("between", "says"), [
    ("[batchnorm]\n", "new_coords=1 wants values of 0 to 1, as of activation=logistic, and layer 1 [batchnorm] makes "
                      "others of them"),
    ("[shortcut]\nfrom=-1\nactivation=linear\n",
     "new_coords=1 wants activation=logistic in layer 1 [shortcut]; it is linear"),
    ("[shortcut]\nfrom=-1\nactivation=logistic\n", ""), ("[activation]\nactivation=logistic\n", ""),
])
def test_what_is_between_the_activation_and_new_coords(tmp_path: Path, between: str, says: str) -> None:
    (tmp_path / "a.cfg").write_text(
        "[net]\nwidth=8\nheight=8\nchannels=1\n[convolutional]\nfilters=6\nsize=1\nactivation=logistic\n"
        f"{between}[yolo]\nclasses=1\nnum=1\nanchors=4,4\nmask=0\nnew_coords=1\n")
    _, report = runner.check(tmp_path / "a.cfg")
    assert not report.errors and len(report.warnings) == bool(says)
    assert all(says in warning for warning in report.warnings)


@pytest.mark.parametrize("layer", ["[local]\nfilters=2\nsize=4\nstride=4", "[deconvolutional]\nfilters=2\nsize=4",
                                   "[shortcut]\nfrom=-1"])
def test_a_logistic_activation_gives_probabilities_in_every_layer(tmp_path: Path, layer: str) -> None:
    for activation, yes in (("logistic", True), ("linear", False)):
        (tmp_path / "a.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=1\n[dropout]\nprobability=0\n"
                                        f"{layer}\nactivation={activation}\n")
        net = runner.load(tmp_path / "a.cfg")
        assert network_checks.gives_probabilities(net.layers, net.links, net.last) == yes


@pytest.mark.parametrize(("layer", "named"), [
    ("[local]\nfilters=6\nsize=1\nactivation=linear\n", "layer 1 [local]"), ("", None)])
def test_weights_that_random_cannot_resize(tmp_path: Path, layer: str, named: str | None) -> None:
    _, warnings = said(tmp_path, NET + conv(12) + layer + conv(12) + HEAD + "random=1\n")
    says = f"the weights of {named} depend on it: training will refuse that. Set random=0"
    assert [warning for warning in warnings if says in warning or "refuse" in warning] == (warnings if named else [])
    assert len(warnings) == bool(named)


def test_a_crop_hides_the_size_of_the_input(tmp_path: Path) -> None:
    """Behind it no size of the input is better than another one."""
    text = NET.replace("64", "65") + "[crop]\ncrop_width=48\ncrop_height=48\n" + conv(12, stride=2) + HEAD
    assert said(tmp_path, text) == ([], [])


def test_an_update_of_sequences(tmp_path: Path) -> None:
    _, warnings = said(tmp_path, "[net]\ninputs=4\nbatch=1\nsubdivisions=4\ntime_steps=2\n[gru]\noutput=4\n[softmax]\n")
    assert warnings == ["a.cfg:4: [net] batch=1 is less than subdivisions=4: an update sees 4 sequences, as in darknet"]


def test_a_num_below_the_anchors_that_masks_name_is_a_warning(tmp_path: Path) -> None:
    """As in cspx-p7-mish.cfg: no head may be refused, and the last anchors are read."""
    anchors = "[yolo]\nclasses=1\nnum=2\nanchors=10,14,23,27,37,58\n"
    text = NET + conv(6) + anchors + "mask=0\n" + "[route]\nlayers=0\n" + anchors + "mask=2\n"
    says = "num=2, and anchors has 3 pairs, which mask= names up to 2: num=3 is meant, and all 3 are used; darknet " \
           "reads beyond its array"
    assert said(tmp_path, text) == ([], [f"a.cfg:13: [yolo] {says}", f"a.cfg:20: [yolo] {says}"])
    net = runner.load(tmp_path / "a.cfg")
    heads = [layer for layer in net.layers if isinstance(layer, Yolo)]
    assert [head.anchors.tolist() for head in heads] == 2 * [[[10, 14], [23, 27], [37, 58]]]
    errors, _ = said(tmp_path, text.replace("mask=2", "mask=3"))
    assert any(line.endswith("mask must hold indices of anchors, 0 to 2 (num=2). Got 3") for line in errors)


@pytest.mark.parametrize("text", ["32 ; 64", "32;", "32 // was 64"])
def test_a_comment_of_another_language(tmp_path: Path, text: str) -> None:
    errors, _ = said(tmp_path, NET.replace("width=64", f"width={text}") + conv(12) + HEAD)
    assert errors == [f"a.cfg:2: [net] width must be an integer, at least 0. Got {text!r} (a comment behind a value "
                      "begins with #)"]


@pytest.mark.parametrize(("text", "near"), [("l1", "L1"), ("SSE", "sse"), ("Hinge", "hinge")])
def test_a_choice_in_another_case_is_suggested(tmp_path: Path, text: str, near: str) -> None:
    errors, _ = said(tmp_path, f"{NET}[cost]\ntype={text}\n")
    assert len(errors) == 1 and errors[0].endswith(f"Got {text!r} (did you mean {near!r}?)")


def test_an_exponential_policy_without_its_factor(tmp_path: Path) -> None:
    text = "[net]\nwidth=4\nheight=4\nchannels=1\npolicy=exp\n{}[softmax]\n"
    assert said(tmp_path, text.format("")) == ([], ["a.cfg:5: [net] policy=exp changes nothing without gamma="])
    assert said(tmp_path, text.format("gamma=.99\n")) == ([], [])
