"""detect on videos, with a small one made here.  Needs OpenCV: requirements-video.txt."""
import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.cli import main
from runner.errors import DataError, MissingExtra
from runner.images.video import Video, VideoWriter, camera_number, is_video
from tests.cli.test_detect import (  # noqa: F401  (a fixture: a network that finds one box, a dog, in any image)
    model,
)

needs_opencv = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('cv2')",
                                  reason="needs OpenCV: pip install -r requirements-video.txt")


@pytest.fixture
def clip(model: Path) -> Path:  # noqa: F811
    """Ten frames of 64 x 48, the first red, the last blue."""
    with VideoWriter(model / "clip.mp4", 5) as writer:
        for i in range(10):
            writer.write(Image.new("RGB", (64, 48), (250 - 25 * i, 0, 25 * i)))
    return model


def test_what_is_a_video() -> None:
    assert is_video("a/b.MP4") and is_video("camera") and is_video("camera:2") and not is_video("photos/camera.jpg")
    assert camera_number("camera:" + "9" * 5000) is None
    assert (camera_number("camera"), camera_number("camera:3"), camera_number("clip.mp4")) == (0, 3, None)


@needs_opencv
def test_frames_are_images(clip: Path) -> None:
    with Video(str(clip / "clip.mp4")) as video:
        frames = list(video)
    assert len(frames) == 10 and video.rate == 5 and frames[0].shape == (3, 48, 64) and frames[0].dtype == np.float32
    red, _, blue = frames[0].mean(axis=(1, 2))
    assert red > .8 and blue < .2
    with Video(str(clip / "clip.mp4"), channels=1) as video:
        assert next(iter(video)).shape == (1, 48, 64)


@needs_opencv
def test_detect_on_a_video(clip: Path, capsys: pytest.CaptureFixture) -> None:
    files = {kind: str(clip / f"o.{kind}") for kind in ("json", "csv")}
    assert main(["detect", str(clip / "a.cfg"), str(clip / "clip.mp4"), str(clip / "wide.png"), "--weights",
                 str(clip / "a.weights"), "--every", "3", "--save", str(clip / "out"), "--txt", str(clip / "out"),
                 "--json", files["json"], "--csv", files["csv"]]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"{clip}/clip.mp4, frame 1: dog 100 %", f"{clip}/clip.mp4, frame 4: dog 100 %"]
    assert said[4] == f"{clip}/wide.png: 1 found"
    shown = json.loads(Path(files["json"]).read_text())
    assert [(Path(one["filename"]).name, one["frame_id"]) for one in shown] == [
        ("clip.mp4", 1), ("clip.mp4", 4), ("clip.mp4", 7), ("clip.mp4", 10), ("wide.png", 5)]
    table = list(csv.DictReader(Path(files["csv"]).read_text().splitlines()))
    assert [row["frame"] for row in table] == ["1", "4", "7", "10", ""]
    assert {path.name for path in (clip / "out").iterdir()} == {
        ".cfgrunner", "clip.mp4", "wide.png", "wide.txt", *(f"clip-{n:06d}.txt" for n in (1, 4, 7, 10))}
    with Video(str(clip / "out" / "clip.mp4")) as video:
        drawn = list(video)
    assert len(drawn) == 4
    with Video(str(clip / "clip.mp4")) as video:
        plain = next(iter(video))
    assert (np.abs(drawn[0] - plain) > .3).any(), "the box is drawn"


@needs_opencv
def test_frames_at_most(clip: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["detect", str(clip / "a.cfg"), str(clip / "clip.mp4"), "--weights", str(clip / "a.weights"),
                 "--frames", "2", "--every", "2"]) == 0
    assert [line.split(": ")[0][-7:] for line in capsys.readouterr().out.splitlines()] == ["frame 1", "frame 3"]


@needs_opencv
def test_what_is_no_video(clip: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        Video("nowhere.mp4")
    (clip / "text.mp4").write_text("no video")
    assert main(["detect", str(clip / "a.cfg"), str(clip / "text.mp4"), "--weights", str(clip / "a.weights")]) == 2
    assert "text.mp4: this is not a video that OpenCV can read" in capsys.readouterr().err


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'opencv-python-headless'.*-r requirements-video\.txt"):
        Video("clip.mp4")
