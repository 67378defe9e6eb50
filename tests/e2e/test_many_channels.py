"""Networks with other than one or three channels, from every kind of image file, for both tasks."""
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import weights
from runner.cli import main

CLASSIFIER = """[net]
width=8
height=8
channels={channels}
batch=4
max_batches=40
learning_rate=.1
hue=.1
saturation=1.5
exposure=1.5

[convolutional]
filters=4
size=3
pad=1
activation=leaky

[connected]
output=2
activation=linear

[softmax]
"""
DETECTOR = """[net]
width=32
height=32
channels={channels}
batch=2
max_batches=2
learning_rate=.001
hue=.1
saturation=1.5
exposure=1.5
mosaic=1

[convolutional]
filters=7
size=3
stride=8
pad=1
activation=linear

[yolo]
anchors=8,8
num=1
classes=2
"""


def save_pages(path: Path, pixels: np.ndarray) -> None:
    first, *rest = (Image.fromarray(np.ascontiguousarray(plane)) for plane in pixels.transpose(2, 0, 1))
    first.save(path, save_all=True, append_images=rest)


SAVE: dict[str, Callable[[Path, np.ndarray], None]] = {
    "png": lambda path, pixels: Image.fromarray(pixels).save(path),
    "webp": lambda path, pixels: Image.fromarray(pixels).save(path, lossless=True, exact=True),
    "tif": lambda path, pixels: Image.fromarray(pixels).save(path),
    "tiff": save_pages,
    "npy": np.save,
    "npz": np.savez,
}
SOURCES = [("png", 4), ("webp", 4), ("tif", 4), ("tiff", 4), ("npy", 4), ("npz", 4), ("tiff", 5), ("npy", 8),
           ("png", 2), ("npz", 2)]


def images_of(channels: int, count: int, side: int) -> list[np.ndarray]:
    """Images that differ by their last channel: 200 and more in every other one, below 50 in the others."""
    rng = np.random.default_rng(channels)
    images = [rng.integers(0, 50, (side, side + 2, channels), dtype=np.uint8) for _ in range(count)]
    for image in images[::2]:
        image[..., -1] += 200
    return images


def classes(folder: Path, kind: str, channels: int) -> Path:
    """A classification dataset data/{train,test}/{high,low}/*, and its cfg."""
    for number, pixels in enumerate(images_of(channels, 16, 8)):
        place = folder / "data" / ("train" if number < 10 else "test") / ("low" if number % 2 else "high")
        place.mkdir(parents=True, exist_ok=True)
        SAVE[kind](place / f"{number}.{kind}", pixels)
    (folder / "a.cfg").write_text(CLASSIFIER.format(channels=channels))
    return folder / "a.cfg"


def boxes(folder: Path, kind: str, channels: int) -> Path:
    """A detection dataset of YOLO labels, data/images/{train,val}/*, and its cfg."""
    for number, pixels in enumerate(images_of(channels, 6, 40)):
        part = "train" if number < 4 else "val"
        for place in ("images", "labels"):
            (folder / "data" / place / part).mkdir(parents=True, exist_ok=True)
        SAVE[kind](folder / "data" / "images" / part / f"{number}.{kind}", pixels)
        (folder / "data" / "labels" / part / f"{number}.txt").write_text(f"{number % 2} .5 .5 .4 .4\n")
    (folder / "data" / "classes.txt").write_text("high\nlow\n")
    (folder / "a.cfg").write_text(DETECTOR.format(channels=channels))
    return folder / "a.cfg"


@pytest.mark.parametrize("kind, channels", SOURCES)
def test_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str,
                      channels: int) -> None:
    classes(tmp_path, kind, channels)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "a.cfg", "--data", "data", "--quiet", "--no-report"]) == 0
    capsys.readouterr()
    assert main(["test", "a.cfg", "--data", "data"]) == 0
    assert "6 images, accuracy 100.00 %" in capsys.readouterr().out
    assert main(["predict", "a.cfg", "data/test/high", "--json", "-", "--top", "1"]) == 0
    assert [one["predictions"][0]["class"] for one in json.loads(capsys.readouterr().out)] == ["high"] * 3


@pytest.mark.parametrize("kind, channels", SOURCES)
def test_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str,
                    channels: int) -> None:
    boxes(tmp_path, kind, channels)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "a.cfg", "--data", "data", "--quiet", "--no-report"]) == 0
    assert main(["test", "a.cfg", "--data", "data"]) == 0
    capsys.readouterr()
    assert main(["detect", "a.cfg", "data/images/val", "--save", "out", "--thresh", "0"]) == 0
    out, err = capsys.readouterr()
    assert out.count("found") == 2 and sorted(path.name for path in Path("out").glob("*.png")) == ["4.png", "5.png"]
    assert f"out: the drawings show the first {'of 2 channels' if channels == 2 else f'three of {channels} channels'}" \
        in err
    with Image.open("out/4.png") as drawn:
        assert drawn.mode == "RGB"


@pytest.mark.parametrize("task, kind, channels", [(classes, "tiff", 5), (boxes, "npy", 4), (classes, "png", 2)])
def test_sheets_and_reports_say_which_channels_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture[str], kind: str, channels: int,
                                                         task: Callable[[Path, str, int], Path]) -> None:
    task(tmp_path, kind, channels)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "a.cfg"]) == 0
    assert main(["data", "data", "--quiet", "--save", "sheet.png"]) == 0
    kinds = {"tiff": "all TIFF, 5 channels", "npy": "all array, 4 channels", "png": "all grey, transparent"}
    assert kinds[kind] in capsys.readouterr().out
    assert main(["augment", "a.cfg", "--data", "data", "--save", "augmented.png", "--rows", "1"]) == 0
    assert main(["train", "a.cfg", "--data", "data", "--quiet"]) == 0
    shown = "of 2 channels, in grey" if channels == 2 else f"three of {channels} channels"
    assert f"shown: the first {shown}" in Path("weights/a/report.html").read_text()


def test_a_container_of_four_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text(CLASSIFIER.format(channels=4))
    pixels, labels = np.stack(images_of(4, 16, 8)), np.arange(16) % 2
    np.savez("a.npz", x_train=pixels[:10], y_train=labels[:10], x_test=pixels[10:].transpose(0, 3, 1, 2),
             y_test=labels[10:])
    assert main(["data", "a.npz", "--quiet"]) == 0
    assert "all 4 channels" in capsys.readouterr().out
    assert main(["train", "a.cfg", "--data", "a.npz", "--quiet", "--no-report"]) == 0
    capsys.readouterr()
    assert main(["predict", "a.cfg", "a.npz:test#0", "a.npz:test#1", "--json", "-", "--top", "1"]) == 0
    assert [one["predictions"][0]["index"] for one in json.loads(capsys.readouterr().out)] == [0, 1]
    assert main(["train", "a.cfg", "--data", "a.npz", "--quiet", "--set", "net.channels=3"]) == 2
    assert "a.npz:train#0: the image has 4 channels" in capsys.readouterr().err


@pytest.mark.parametrize("task", [classes, boxes])
def test_data_of_other_channels_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str],
                                                   task: Callable[[Path, str, int], Path]) -> None:
    task(tmp_path, "png", 4)
    monkeypatch.chdir(tmp_path)
    setting = ["--set", "net.channels=5"]
    sentence = re.compile(r"data/\S+/\d+\.png: the image has 4 channels \(RGBA\), and channels=5 needs an image with "
                          r"5\n")
    for verb in (["train", "--quiet"], ["augment", "--save", "a.png"], ["test", "--weights", "a.weights"]):
        weights.save(runner.load("a.cfg", settings=["net.channels=5"]), "a.weights")
        assert main([verb[0], "a.cfg", "--data", "data", *verb[1:], *setting]) == 2
        assert sentence.search(capsys.readouterr().err)
    one = next(str(path) for path in Path("data").rglob("*.png"))
    assert main(["predict" if task is classes else "detect", "a.cfg", one, "--weights", "a.weights", *setting]) == 2
    assert sentence.search(capsys.readouterr().err)
    Path("a.cfg").write_text(Path("a.cfg").read_text().replace("channels=4", "channels=5\ndata=data"))
    assert main(["data", "a.cfg", "--quiet"]) == 1
    assert sentence.search(capsys.readouterr().out)
    assert main(["check", "a.cfg"]) == 1
    assert sentence.search(capsys.readouterr().out)


def test_single_images_of_other_channels_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    classes(tmp_path, "png", 4)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("data/train/low/1.png")
    assert main(["train", "a.cfg", "--data", "data", "--quiet", "--no-report"]) == 0
    sentence = "data/train/low/1.png: the image has 3 channels (RGB), and channels=4 needs an image with 4"
    assert f"{sentence}; the image is skipped" in capsys.readouterr().err
    assert main(["train", "a.cfg", "--data", "data", "--quiet", "--no-report", "--on-bad", "error", "--name", "b"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_video_has_three_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    boxes(tmp_path, "png", 4)
    monkeypatch.chdir(tmp_path)
    weights.save(runner.load("a.cfg"), "a.weights")
    Path("clip.mp4").write_bytes(b"")
    assert main(["detect", "a.cfg", "clip.mp4", "--weights", "a.weights"]) == 2
    assert "clip.mp4: the images of a video have 3 channels, and channels=4 needs" in capsys.readouterr().err


def test_images_of_several_kinds_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    boxes(tmp_path, "png", 4)
    monkeypatch.chdir(tmp_path)
    for number, kind in enumerate(("webp", "tif", "tiff", "npy", "npz"), 10):
        SAVE[kind](Path(f"data/images/train/{number}.{kind}"), images_of(4, 1, 40)[0])
        Path(f"data/labels/train/{number}.txt").write_text("0 .5 .5 .4 .4\n")
    np.save("data/images/train/0.npy", np.zeros(3))      # a copy of 0.png that a cache made
    assert main(["data", "data", "--json", "-", "--quiet"]) in (0, 1)
    train = json.loads(capsys.readouterr().out)["train"]
    assert train["images"] == 9 and not train["unreadable"]
    assert main(["train", "a.cfg", "--data", "data", "--quiet", "--no-report", "--on-bad", "error"]) == 0
