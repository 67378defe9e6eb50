"""`detect`: crops, objects made unrecognisable, confidences in labels, and tracks."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.detection import tracking
from runner.images.video import Video, VideoWriter
from tests import moving
from tests.verbs import main

DETECT = ["detect", "moving.cfg", "--weights", "moving.weights"]


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The working directory, with the network and the images of tests/moving.py."""
    monkeypatch.chdir(tmp_path)
    moving.make(tmp_path)
    moving.write_images(Path())
    return [f"frames/{number}.png" for number in range(8)]


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def files(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.*") if path.name != ".cfgrunner")


# --- crops ----------------------------------------------------------------------------------------------------------

def test_crops(frames: list[str]) -> None:
    """Each object by its class, cut at the edge of the image; the same again when it is run again."""
    for _ in range(2):
        main(*DETECT, frames[0], frames[2], "--crops", "out")
        assert files("out") == ["green/0_2.png", "green/2_2.png", "red/0_1.png", "red/2_1.png"]
    crop = pixels("out/red/2_1.png")
    assert crop.shape == (24, 24, 3) and (crop == pixels(frames[2])[32:56, 8:32]).all() and crop.any()
    assert pixels("out/red/0_1.png").shape == (24, 16, 3), "the left eight pixels are outside the image"


def test_crops_never_collide(frames: list[str]) -> None:
    """Images with one name, and classes whose names are one in files."""
    Path("more").mkdir()
    Path("more/0.png").write_bytes(Path(frames[0]).read_bytes())
    Path("moving.names").write_text("a/b\nA:B\n")
    main(*DETECT, frames[0], "more", "--crops", "out")
    assert files("out") == ["A_B/0-2_2.png", "A_B/0_2.png", "a_b/0-2_1.png", "a_b/0_1.png"]


def test_a_crop_does_not_replace_a_file_of_the_user(frames: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/red").mkdir(parents=True)
    Path("out/red/0_1.png").write_text("mine")
    main(*DETECT, frames[0], "--crops", "out", expect=2)
    said = capsys.readouterr()
    assert "--crops would replace out/red/0_1.png" in said.err and not said.out
    assert Path("out/red/0_1.png").read_text() == "mine"
    main(*DETECT, frames[1], "--crops", "out")


def test_crops_in_python(frames: list[str]) -> None:
    net = runner.load("moving.cfg", weights="moving.weights")
    result, = net.detect(frames[2])
    assert [image.size for image in result.crops()] == [(24, 24), (24, 24)]
    with pytest.raises(runner.DataError):
        net.detect("moving.cfg", on_bad="skip")[0].crops()


# --- unrecognisable objects -----------------------------------------------------------------------------------------

def roughness(part: np.ndarray) -> float:
    """The mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(part.astype(int), axis=1)).mean())


@pytest.mark.parametrize("method", ["blur", "pixelate"])
def test_objects_of_a_class_are_unrecognisable(method: str, frames: list[str]) -> None:
    """In the drawing and in the crops; those of the other class, and the rest of the image, are as they were."""
    photo = np.random.default_rng(0).integers(0, 40, (64, 64, 3)).astype(np.uint8)
    photo[40:48, 16:24] = moving.frame((2, 5, moving.RED, 1))[40:48, 16:24]
    photo[8:16, 40:48] = moving.frame((5, 1, moving.GREEN, 1))[8:16, 40:48]
    Image.fromarray(photo).save("photo.png")
    main(*DETECT, "photo.png", f"--{method}", "red", "--crops", "out", "--save", "drawn")
    changed, same = pixels("out/red/photo_1.png").astype(int), pixels("out/green/photo_2.png")
    assert (same == photo[0:24, 32:56]).all()
    assert roughness(changed) < roughness(photo[32:56, 8:32]) / 2 and abs(
        changed.mean() - photo[32:56, 8:32].mean()) < 5
    drawn = pixels("drawn/photo.png")[2::4, 2::4]      # enlarged four times
    assert (drawn[60:, 34:] == photo[60:, 34:]).all()
    assert (drawn[44:54, 10:30] == changed[12:22, 2:22]).all()


def test_mistakes_of_classes(frames: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--blur", "rde", "--save", "out"], "--blur: there is no class 'rde' (did you mean 'red'?)"),
                        (["--blur", "red"], "--blur changes the images that --save and --crops write: neither"),
                        (["--blur", "red", "--pixelate", "red", "--save", "out"], "both given for the class red"),
                        (["--save-conf"], "--save-conf adds to --txt FOLDER, which is not given")):
        main(*DETECT, frames[0], *words, expect=2)
        assert said in capsys.readouterr().err
    assert not Path("out").exists()


# --- labels with confidences ----------------------------------------------------------------------------------------

def test_a_sixth_number_is_the_confidence(frames: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is written, and refused as a label."""
    main(*DETECT, frames[0], "--txt", "frames", "--save-conf")
    lines = [line.split() for line in Path("frames/0.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["0", "1"] and all(len(line) == 6 and float(line[5]) > .99 for line in lines)
    main(*DETECT, frames[1], "--txt", "frames")
    capsys.readouterr()
    main("data", "frames", "--json", "data.json", expect=1)
    said = json.dumps(json.loads(Path("data.json").read_text()))
    assert "a label has 5 numbers, `class x y w h`. Got 6" in said and "without --save-conf" in said


# --- tracks ---------------------------------------------------------------------------------------------------------

def test_tracks_of_images(frames: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """In the JSON, the CSV and MOT's text; the red square keeps its number where it is dim and after it was hidden."""
    for _ in range(2):      # files of ours are replaced
        main(*DETECT, *frames, "--track", "--mot", "a.txt", "--json", "a.json", "--csv", "a.csv")
    assert "  red #1 100 %" in capsys.readouterr().out
    objects = [(number, one["name"], one["track_id"]) for number, image in enumerate(
        json.loads(Path("a.json").read_text()), 1) for one in image["objects"]]
    reds = [(number, "red", 1) for number in range(1, 9) if number != 5]
    assert sorted(objects) == sorted([*reds, *((number, "green", 2) for number in range(1, 9))])
    lines = [line.split(",") for line in Path("a.txt").read_text().splitlines()]
    assert len(lines) == 15 and all(line[-3:] == ["-1", "-1", "-1"] for line in lines)
    third = next(line for line in lines if line[:2] == ["3", "1"])
    np.testing.assert_allclose([float(word) for word in third[2:6]], [9, 33, 24, 24], atol=.01)
    dim = next(line for line in lines if line[:2] == ["4", "1"])
    assert .1 < float(dim[6]) < .25, "below the threshold"
    with open("a.csv", encoding="utf-8", newline="") as file:
        assert [row["track"] for row in csv.DictReader(file)][:2] == ["1", "2"]


def test_without_tracks_nothing_changes(frames: list[str]) -> None:
    main(*DETECT, *frames, "--json", "a.json", "--csv", "a.csv")
    images = json.loads(Path("a.json").read_text())
    assert [len(image["objects"]) for image in images] == [2, 2, 2, 1, 1, 2, 2, 2]
    assert all("track_id" not in one for image in images for one in image["objects"])
    assert "track" not in Path("a.csv").read_text().splitlines()[0]


def test_a_hidden_object_is_forgotten(frames: list[str]) -> None:
    main(*DETECT, *frames, "--track", "--track-keep", "0", "--json", "a.json")
    images = json.loads(Path("a.json").read_text())
    ids = [one.get("track_id") for image in images for one in image["objects"] if one["name"] == "red"]
    assert ids == [1, 1, 1, 1, None, 3, 3], "a new object is confirmed by its second box"


def test_tracks_of_a_video(frames: list[str]) -> None:
    """Drawn in the video, in which one class is unrecognisable; each video has its own numbers."""
    pytest.importorskip("cv2")
    with VideoWriter("clip.mp4", 5) as writer:
        for pixels_of_frame in moving.sequence():
            writer.write(Image.fromarray(pixels_of_frame).resize((256, 256), Image.Resampling.NEAREST))
    main(*DETECT, "clip.mp4", "--track", "--mot", "a.txt", "--save", "out", "--json", "a.json", "--pixelate", "green",
         "--crops", "crops")
    images = json.loads(Path("a.json").read_text())
    assert [image["frame_id"] for image in images] == list(range(1, 9))
    assert {(one["name"], one["track_id"]) for image in images for one in image["objects"]} == {("red", 1),
                                                                                               ("green", 2)}
    assert len(Path("a.txt").read_text().splitlines()) in (14, 15), "the dim square may be lost by the compression"
    assert "red/clip-000003_1.png" in files("crops")
    with Video("out/clip.mp4") as video:
        drawn = list(video)
    assert len(drawn) == 8
    assert .15 < drawn[2][1, 48, 154] < .6, "beside the green square, in squares of 12 pixels"
    crop = pixels("crops/green/clip-000003_2.png").transpose(2, 0, 1).astype(np.float32)
    assert len(crop) == 3 and len(np.unique(crop[1])) < 64 + 1
    main(*DETECT, "clip.mp4", "frames", "--track", "--json", "b.json")
    assert {one["track_id"] for image in json.loads(Path("b.json").read_text()) for one in image["objects"]} == {1, 2}
    main(*DETECT, "clip.mp4", "frames", "--track", "--mot", "b.txt", expect=2)


def test_the_greedy_assignment_says_so(frames: list[str], monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tracking, "has_hungarian", lambda: False)
    main(*DETECT, *frames, "--track", "--json", "-")
    said = capsys.readouterr()
    assert "SciPy is not installed" in said.err and "requirements-track.txt" in said.err
    assert {one["track_id"] for image in json.loads(said.out) for one in image["objects"]} == {1, 2}


def test_mistakes_of_tracks(frames: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--mot", "a.txt"], "--mot is an option of --track, which is not given"),
                        (["--track-keep", "3"], "--track-keep is an option of --track"),
                        (["--track", "--json-lines", "parts"], "--json-lines FOLDER does not go together with --track"),
                        (["--track", "--mot", "-", "--json", "-"], "--json - and --mot - cannot both be stdout")):
        main(*DETECT, frames[0], *words, expect=2)
        assert said in capsys.readouterr().err
    Path("gt.txt").write_text("1,1,912,484,97,109,0,7,1\n")
    main(*DETECT, frames[0], "--track", "--mot", "gt.txt", expect=2)
    assert "gt.txt: there is a file that this program did not write" in capsys.readouterr().err
    main(*DETECT, frames[0], "--track", "--mot", "-")
    assert capsys.readouterr().out.startswith("1,1,-7.00,33.00,24.00,24.00,")


def test_tracks_in_python(frames: list[str]) -> None:
    net = runner.load("moving.cfg", weights="moving.weights")
    results = list(runner.track(net.detect(frames, thresh=.1), thresh=.5))
    assert [[one.track for one in result] for result in results] == [
        [1, 2], [1, 2], [1, 2], [1, 2], [2], [1, 2], [1, 2], [1, 2]]
    assert results[0].detections[0].label == "red #1" and results[0].draw().size == (64, 64)
    with pytest.raises(runner.UsageError, match="0 <= low <= high <= 1"):
        list(runner.track(results, thresh=.05))
