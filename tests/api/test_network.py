"""What `runner.load` returns: predict, detect, outputs, names, and what each refuses."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import runner
from runner.errors import DataError, ShapeError, UsageError, WeightsError
from tests import toy_text
from tests.paths import ROOT

DIGITS = ROOT / "data" / "digits" / "test"
SEVEN = DIGITS / "7" / "0004.png"


@pytest.fixture(scope="module")
def net() -> runner.Model:
    return runner.load(ROOT / "weights" / "shipped" / "net")


@pytest.fixture(scope="module")
def detector() -> runner.Model:
    return runner.load(ROOT / "weights" / "shipped" / "scenes")


@pytest.fixture(scope="module")
def scene() -> Path:
    return ROOT / "data" / "scenes" / "images" / "test" / "0000.png"


def test_every_way_to_give_an_image(net: runner.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.open(SEVEN)
    array = np.asarray(image)
    first, = net.predict(SEVEN)
    assert first.name == "7" and first.probability > .99 and first.image == str(SEVEN) and len(first.predictions) == 5
    ways: list[Any] = [str(SEVEN), image, image.convert("RGB"), array, array[..., None], array[None], [array / 255],
                       array / np.float32(255), [SEVEN], iter([image]), array[None, None]]
    for way in ways:
        other, = net.predict(way)
        np.testing.assert_allclose(other.probabilities, first.probabilities, atol=1e-6)
    monkeypatch.chdir(ROOT)
    assert {result.name for result in net.predict("data/digits/test/7")} >= {"7"}
    assert len(net.predict(["data/digits/test/7", array])) == len(list((DIGITS / "7").glob("*.png"))) + 1
    assert len(net.predict("data/digits/test/[78]/0004.png")) == 2


def test_a_batch_of_inputs_gives_the_array_of_before(net: runner.Model) -> None:
    x = np.random.default_rng(0).random((3, 1, 16, 16), np.float32)
    y = net.predict(x)
    assert isinstance(y, np.ndarray) and y.shape == (3, 10)
    np.testing.assert_array_equal(y, runner.Network.predict(net, x))
    np.testing.assert_array_equal(y, net.predict(x.transpose(0, 2, 3, 1)))
    np.testing.assert_array_equal(y, net.predict(x.reshape(3, -1)))
    np.testing.assert_array_equal(net.forward((x * 255).astype(np.uint8))[0],
                                  net.predict((x * 255).astype(np.uint8) / np.float32(255)))


@pytest.mark.parametrize("wrong, error, sentence", [
    (3, UsageError, r"an image is a path, an array or a Pillow image, and several are a list of them. Got 3 \(int\)"),
    (None, UsageError, "Got None"), (b"GIF", UsageError, "bytes"), ({"a": 1}, UsageError, "dict"),
    ([3], UsageError, r"a Pillow image. Got 3 \(int\)"), ([[SEVEN]], UsageError, "list"),
    ("nothing.png", DataError, "nothing.png: there is no such file"),
    (np.full((9, 9), 200), DataError, "image 0: pixels must be uint8"),
    (np.full((9, 9), 200.), DataError, "image 0: floating point pixels must be in 0..1"),
])
def test_what_predict_refuses(net: runner.Model, wrong: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        net.predict(wrong)


def test_bad_images_are_skipped_on_request(net: runner.Model, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"bad.png: the file is empty"):
        net.predict([SEVEN, tmp_path / "bad.png"])
    good, bad = net.predict([SEVEN, tmp_path / "bad.png"], on_bad="skip")
    assert good.name == "7" and bad.name == "" and np.isnan(bad.probability)
    assert bad.to_dict() == {"image": str(tmp_path / "bad.png"), "error": bad.error} and bad.error in str(bad)


def test_a_result_in_short(net: runner.Model) -> None:
    result, = net.predict(SEVEN, top=2)
    assert str(result).startswith(f"{SEVEN}: 7 1, ") and "array" not in repr(result)
    best = result.to_dict()["predictions"][0]
    assert best == {"class": "7", "index": 7, "probability": result.probability}


def test_detections(detector: runner.Model, scene: Path) -> None:
    found, = detector.detect(scene)
    assert found.size == (96, 96) and len(found) == len(found.detections) == 3 and found.names == ["1", "2", "9"]
    assert found.boxes.shape == (3, 4) and found.classes.tolist() == [1, 2, 9] and (found.confidences > .9).all()
    assert found.boxes[0].tolist() == pytest.approx(found.detections[0].corners(96, 96))
    assert [one["name"] for one in found.to_dict()["objects"]] == found.names == [one.name for one in found]
    assert found.draw().size == (96, 96) and found.draw(200).size == (288, 288)
    assert "pixels" not in repr(found) and str(found).endswith("1 0.99, 2 0.98, 9 0.99")
    assert detector.detect(np.asarray(Image.open(scene)))[0].to_dict()["objects"] == found.to_dict()["objects"]
    chosen: list[list[str | int]] = [["2", 9], [2, 9], ["2", "9"]]
    for classes in chosen:
        assert detector.detect(scene, classes=classes)[0].names == ["2", "9"]
    nothing, = detector.detect(np.zeros((96, 96)))
    assert nothing and nothing.boxes.shape == (0, 4) and str(nothing) == "0: nothing found"
    with pytest.raises(UsageError, match="there is no class 'dog'"):
        detector.detect(scene, classes=["dog"])


def test_the_right_function_is_named(net: runner.Model, detector: runner.Model, scene: Path) -> None:
    boxes, no_boxes = r"\[yolo\] predicts boxes.*use runner.detect\(net", r"finds no boxes.*net.predict\(images\)"
    _refused(lambda: runner.infer(detector, scene), UsageError, boxes)
    _refused(lambda: detector.predict(scene), UsageError, boxes)
    _refused(lambda: runner.detect(net, scene), UsageError, no_boxes)
    _refused(lambda: net.detect(scene), UsageError, no_boxes)
    _refused(lambda: runner.detect(detector, scene, classes="7"),       # type: ignore[arg-type]
             UsageError, "classes must be a list of class numbers")


def test_a_path_given_to_infer_is_that_image(net: runner.Model, detector: runner.Model, scene: Path) -> None:
    for one in (str(SEVEN), SEVEN, Image.open(SEVEN), np.asarray(Image.open(SEVEN))):
        result, = runner.infer(net, one)
        assert result.predictions[0].index == 7
    found, = runner.detect(detector, str(scene))
    assert len(found) == 3


def test_prepared_images(net: runner.Model) -> None:
    x = net.prepare([SEVEN, np.zeros((40, 30, 3), np.uint8)])
    assert x.shape == (2, 1, 16, 16) and x.dtype == np.float32
    np.testing.assert_allclose(net.predict(x)[0], net.predict(SEVEN)[0].probabilities, rtol=1e-4, atol=1e-7)
    assert net.prepare([]).shape == (0, 1, 16, 16)
    with pytest.raises(UsageError, match="how is one of"):
        net.prepare(SEVEN, "squeeze")


def test_feature_maps_by_name(net: runner.Model) -> None:
    x = net.prepare(SEVEN)
    by_name, in_order = net.outputs(x, by_name=True), net.outputs(x)
    assert list(by_name) == net.layers.names and by_name["convolutional2"].shape == (1, 32, 8, 8)
    for one, other in zip(by_name.values(), in_order, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrong, error, sentence", [
    ("photo.png", UsageError, r"net.prepare\(images\) makes one. Got str"),
    (np.zeros((1, 1, 8, 8)), ShapeError, r"takes \(images, 1, 16, 16\)"),
    (np.zeros((1, 4, 16, 4)), ShapeError, r"takes \(images, 1, 16, 16\)"),
])
def test_what_an_input_is_not(net: runner.Model, wrong: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        net.outputs(wrong)


def test_a_network_in_words(net: runner.Model, detector: runner.Model) -> None:
    assert "net.cfg" in repr(net) and "8 layers, 33,882 parameters, 16 x 16 x 1 -> 10 values" in repr(net)
    html = net._repr_html_()
    assert html.count("<tr>") == 9 and "&lt;runner.Model" in html and "33,882" in html
    assert net.classes == detector.classes == 10


def test_save_does_not_overwrite(net: runner.Model, tmp_path: Path) -> None:
    net.save(tmp_path / "a.weights")
    again = runner.load(ROOT / "cfg" / "net.cfg", tmp_path / "a.weights")
    np.testing.assert_array_equal(again.layers["conv0"].params["weights"], net.layers[0].params["weights"])
    before = (tmp_path / "a.weights").read_bytes()
    with pytest.raises(UsageError, match="this file exists"):
        again.save(tmp_path / "a.weights")
    net.save(tmp_path / "a.weights", overwrite=True)
    assert (tmp_path / "a.weights").read_bytes() == before


def test_a_network_of_values_takes_arrays(tmp_path: Path) -> None:
    model = toy_text.model(tmp_path)
    assert model.predict(np.eye(4, dtype=np.uint8)).shape == (4, 4)
    with pytest.raises(ShapeError, match="takes 4 values, not images"):
        model.predict("photo.png")


def _refused(call: Callable[[], object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_what_load_refuses() -> None:
    cfg = ROOT / "cfg" / "net.cfg"
    wrong: Any = 3
    _refused(lambda: runner.load(wrong), UsageError, "cfg is a path. Got int")
    _refused(lambda: runner.load(cfg, wrong), UsageError, "weights is a path. Got int")
    _refused(lambda: runner.load(cfg, settings="net.batch=3"), UsageError, r"a list of settings: \['net.batch=3'\]")
    _refused(lambda: runner.load("nothing"), UsageError, "nothing: neither a file nor a run")
    _refused(lambda: runner.load(cfg, "nothing.weights"), WeightsError, "no such weights file")
    _refused(lambda: runner.load(cfg, names=["a", "b"]).names, UsageError, "has 10 classes, but there are 2 names")


def test_class_names(tmp_path: Path, net: runner.Model) -> None:
    assert net.names == list("0123456789")
    cfg = ROOT / "cfg" / "net.cfg"
    with pytest.warns(UserWarning, match="net.cfg: the weights are random: pass weights="):
        assert runner.load(cfg, names=list("abcdefghij")).predict(np.zeros((9, 9)))[0].name in "abcdefghij"
    (tmp_path / "my.names").write_text("\n".join("abcdefghij"))
    assert runner.load(cfg, names=tmp_path / "my.names").names == list("abcdefghij")
    (tmp_path / "my.cfg").write_text(cfg.read_text())
    assert runner.load(tmp_path / "my.cfg").names == list("abcdefghij"), "the .names file beside the cfg"
