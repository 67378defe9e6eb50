"""Tiles: where they lie, and that they find what the whole image is too small for, each object once."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.errors import DataError, UsageError
from runner.images import read_image
from runner.images.arrays import to_float
from runner.inference.tiling import MOST_AUTO, Tiling, auto_size, tiling
from tests.paths import ROOT
from tools.make_canvases import canvas

SCENES = ROOT / "data/scenes/images/test"


@pytest.mark.parametrize("overlap", [0, .2, .5])
@pytest.mark.parametrize("size", [(1000, 700), (97, 800), (640, 96)])
def test_tiles_cover_the_image_and_overlap(size: tuple[int, int], overlap: float) -> None:
    tiles = Tiling((96, 96), overlap).crops(size, (32, 32))
    seen = np.zeros(size[::-1], int)
    for left, top, right, bottom in tiles.tolist():
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1] and right - left == bottom - top == 96
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1
    for low, side in ((0, size[0]), (1, size[1])):
        starts = np.unique(tiles[:, low])
        assert starts[0] == 0 and starts[-1] + 96 == side
        assert (np.diff(starts) <= round(96 * (1 - overlap))).all()


def test_the_size_of_a_tile() -> None:
    assert auto_size((4000, 3000), (416, 416)) == (416, 416)
    assert auto_size((1000, 300), (416, 416)) == (300, 300)             # lower than the input: its aspect ratio
    assert auto_size((623, 500), (416, 416)) == (623, 500)              # hardly larger: no tiles
    assert auto_size((4000, 3000), (608, 320)) == (608, 320)
    width, height = auto_size((9000, 6000), (416, 416))
    assert width == height > 416
    assert MOST_AUTO >= len(Tiling().crops((9000, 6000), (416, 416))) > .8 * MOST_AUTO
    assert Tiling().crops((416, 416), (416, 416)).shape == (0, 4)
    assert Tiling((500, 500)).crops((400, 300), (96, 96)).shape == (0, 4)


def test_what_people_write() -> None:
    assert tiling(None) is None and tiling("auto") == tiling("AUTO") == Tiling()
    for tiles in ("640x480", "640X480", (640, 480)):
        assert tiling(tiles, .1, "wbf") == Tiling((640, 480), .1, "wbf")
    assert tiling(640) == tiling("640") == Tiling((640, 640))


@pytest.mark.parametrize(("tiles", "overlap", "merge", "said"), [
    ("large", .2, "nmm", "tiles are auto, N or WxH, in pixels. Got 'large'"), ("0x4", .2, "nmm", "Got '0x4'"),
    ((1, 2, 3), .2, "nmm", "tiles are auto"), (True, .2, "nmm", "tiles are auto"), (1.5, .2, "nmm", "tiles are auto"),
    ("-4", .2, "nmm", "tiles are auto"), ("auto", .95, "nmm", "must be a number from 0 to 0.9. Got 0.95"),
    ("auto", float("nan"), "nmm", "must be a number from 0 to 0.9"), ("auto", "a fifth", "nmm", "Got 'a fifth'"),
    ("auto", .2, "mean", "merge must be one of nmm, nms, wbf")])
def test_values_that_are_not_allowed(tiles: Any, overlap: Any, merge: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tiling(tiles, overlap, merge)


def test_more_tiles_than_anyone_waits_for() -> None:
    with pytest.raises(DataError, match=r"an image of 4000x3000 pixels would have 187,500 tiles of 8x8, but at most"):
        Tiling((8, 8), 0).crops((4000, 3000), (416, 416))


@pytest.fixture(scope="module")
def scenes() -> runner.Model:
    folder = ROOT / "weights/shipped/scenes"
    return runner.load(folder / "scenes.cfg", folder / "best.weights")


@pytest.mark.parametrize("name", ["0003", "0015", "0033", "0091"])
def test_an_object_on_a_seam_is_found_once(name: str, scenes: runner.Model) -> None:
    """A scene with one digit, 14 to 29 pixels wide, at positions across the seams of tiles that share 19 pixels."""
    scene = to_float(read_image(SCENES / f"{name}.png", 1))
    alone, = scenes.detect([scene], thresh=.5)
    assert len(alone) == 1
    for shift in range(0, 96, 12):
        board = np.full((1, 288, 288), float(np.median(scene)), np.float32)
        board[:, 96:192, shift:shift + 96] = scene
        found, = scenes.detect([board], thresh=.5, tiles=96)
        assert found.names == alone.names, shift
        assert np.abs(found.boxes - alone.boxes - np.array([shift, 96, shift, 96])).max() < 7, shift


def test_tiles_find_what_the_whole_image_is_too_small_for(scenes: runner.Model) -> None:
    pixels, lines = canvas([f"{number:04d}" for number in range(64)])
    plain, = scenes.detect([pixels], thresh=.5)
    tiled, = scenes.detect([pixels], thresh=.5, tiles="auto")
    assert len(plain) < 20 and .75 * len(lines) < len(tiled) < 1.25 * len(lines)


def test_an_image_that_needs_no_tiles_is_detected_as_without(scenes: runner.Model) -> None:
    """Bit-identical; and options of suppression mean the same."""
    paths = [str(SCENES / f"{number:04d}.png") for number in range(6)]
    tiles = scenes.detect(paths, tiles="auto", max_det=3)
    for plain, tiled in zip(scenes.detect(paths, max_det=3), tiles, strict=True):
        assert plain.detections == tiled.detections


def test_at_most_so_many_boxes_of_all_tiles(scenes: runner.Model) -> None:
    pixels, _ = canvas([f"{number:04d}" for number in range(64)])
    everything, = scenes.detect([pixels], tiles=192)
    few, = scenes.detect([pixels], tiles=192, max_det=5, not_classes=["3"])
    best = sorted((one for one in everything if one.name != "3"), key=lambda one: -one.confidence)[:5]
    assert sorted(few, key=lambda one: -one.confidence) == best


def test_a_network_with_a_state_has_no_tiles(tmp_path: Path) -> None:
    cfg = ("[net]\nwidth=16\nheight=16\nchannels=1\n[conv_lstm]\noutput=6\npad=1\n[convolutional]\nfilters=6\nsize=1\n"
           "[yolo]\nclasses=1\nnum=1\nanchors=4,4\n")
    (tmp_path / "a.cfg").write_text(cfg)
    net = runner.load(tmp_path / "a.cfg")
    with pytest.raises(UsageError, match=r"layer 0 \[conv_lstm\] carries a state from image to image"):
        runner.detect(net, [], tiles="auto")


def test_an_image_with_too_many_tiles_is_named_and_the_others_are_detected(scenes: runner.Model) -> None:
    small = str(SCENES / "0003.png")
    images: list[str | np.ndarray] = [small, np.zeros((1, 1300, 1300), np.float32), small]
    first, large, last = scenes.detect(images, tiles=12, overlap=0, whole=False, on_bad="skip")
    assert not first.error and not last.error
    assert large.error.startswith("an image of 1300x1300 pixels would have 11,881 tiles of 12x12")
    with pytest.raises(DataError, match=r"^image 1: an image of 1300x1300"):
        scenes.detect(images, tiles=12, overlap=0, whole=False, on_bad="error")


@pytest.mark.parametrize(("options", "said"), [
    ({"nms": float("nan")}, "nms must be"), ({"nms": None}, "nms must be"),
    ({"nms": -1}, "nms must"), ({"thresh": "a"}, "thresh must be"),
    ({"thresh": float("nan")}, "thresh must"), ({"max_det": 1.5}, "max_det must be"),
    ({"max_det": "3"}, "max_det must"), ({"max_det": True}, "max_det must"), ({"nms_kind": 3}, "nms.kind"),
    ({"tiles": 96, "merge": None}, "merge"), ({"tiles": 96, "overlap": ".5"}, "overlap"),
    ({"tiles": 96, "overlap": None}, "overlap")])
def test_arguments_from_python_that_are_not_allowed(options: dict[str, Any], said: str, scenes: runner.Model) -> None:
    with pytest.raises(UsageError, match=said):
        scenes.detect([], **options)
