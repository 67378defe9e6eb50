"""`data`: counts, problems, and how they are printed."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.cli import data, main

RNG = np.random.default_rng(8)


def save(path: str, pixels: np.ndarray) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def birds(tmp_path, monkeypatch):
    """Six crows and two owls to train on, two crows to test; without problems."""
    monkeypatch.chdir(tmp_path)
    for i in range(6):
        save(f"birds/train/crow/{i}.png", RNG.integers(0, 256, (4, 5 + i % 2, 3), dtype=np.uint8))
    for i in range(2):
        save(f"birds/train/owl/{i}.png", RNG.integers(0, 256, (4, 5), dtype=np.uint8))
        save(f"birds/test/crow/{i}.png", RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return tmp_path


def described(*words: str, status: int = 0) -> dict:
    assert main(["data", "birds", "--json", "out.json", *words]) == status
    return json.loads(Path("out.json").read_text())


def test_what_it_prints(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "birds"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "birds: 8 images to train, 2 images to test, 2 classes"
    assert lines[3].split() == ["crow", "6", "2", "75.0", "%", "100.0", "%"]
    assert lines[4].split() == ["owl", "2", "0", "25.0", "%", "0.0", "%"]
    assert "train: 5 of 5 x 4, 3 of 6 x 4 pixels; 6 colour, 2 grey; 0.4 KB decoded" in lines
    assert "  largest class crow (6), smallest owl (2): ratio 3.0" in lines
    assert "  classes without images (1): owl" in lines
    assert lines[-1] == "all images can be read, and there are no duplicates"


def test_json(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = described()
    assert found["classes"] == ["crow", "owl"] and found["train"]["counts"] == [6, 2]
    assert found["train"]["sizes"] == [{"width": 5, "height": 4, "images": 5}, {"width": 6, "height": 4, "images": 3}]
    assert found["train"]["kinds"] == {"colour": 6, "grey": 2}
    assert found["train"]["decoded_bytes"] == (3 * 20 + 3 * 24) * 3 + 2 * 20
    assert found["test"]["unreadable"] == found["repeated"] == [] and found["test"]["images"] == 2


def test_unreadable_images_are_named(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("birds/train/owl/1.png").write_bytes(b"no image")
    Path("birds/test/crow/0.png").write_bytes(Path("birds/test/crow/0.png").read_bytes()[:60])
    found = described(status=1)
    out = capsys.readouterr().out
    assert "2 images cannot be read\n  birds/train/owl/1.png: this is not an image in any known format\n" in out
    assert len(found["train"]["unreadable"]) == 1 and "truncated" in found["test"]["unreadable"][0]


def test_an_image_in_both_splits_is_a_data_leak(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.asarray(Image.open("birds/train/crow/3.png"))
    save("birds/test/crow/again.bmp", pixels)         # another format and name, the same pixels
    found = described(status=1)
    assert found["repeated"] == [{"across_parts": True, "several_classes": False,
                                  "images": ["birds/train/crow/3.png", "birds/test/crow/again.bmp"]}]
    assert ("data leak: 1 image in both the training and the test split\n"
            "  birds/train/crow/3.png = birds/test/crow/again.bmp") in capsys.readouterr().out


def test_duplicates_with_one_class_and_with_two(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.asarray(Image.open("birds/train/owl/0.png"))
    save("birds/train/owl/twice.png", pixels)
    found = described(status=0)
    assert [(twin["across_parts"], twin["several_classes"]) for twin in found["repeated"]] == [(False, False)]
    assert "1 image with duplicates" in capsys.readouterr().out
    save("birds/train/crow/an owl.png", np.repeat(pixels[:, :, None], 3, 2))      # grey, stored as RGB
    found = described(status=1)
    assert found["repeated"][0]["several_classes"] and len(found["repeated"][0]["images"]) == 3
    out = capsys.readouterr().out
    assert "1 image with more than one class" in out and "birds/train/crow/an owl.png (crow)" in out


def test_a_mirrored_or_changed_image_is_not_a_duplicate(birds: Path) -> None:
    pixels = np.asarray(Image.open("birds/train/crow/0.png")).copy()
    save("birds/train/crow/mirrored.png", pixels[:, ::-1])
    pixels[0, 0, 0] ^= 1
    save("birds/train/crow/changed.png", pixels)
    assert described()["repeated"] == []


def test_images_of_another_shape_are_not_duplicates(birds: Path) -> None:
    save("birds/train/crow/wide.png", np.zeros((2, 6), np.uint8))
    save("birds/train/crow/tall.png", np.zeros((6, 2), np.uint8))
    assert described()["repeated"] == []


def test_files_of_many_images(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = RNG.integers(0, 256, (30, 3, 3), dtype=np.uint8)
    np.savez("a.npz", x_train=x, y_train=np.arange(30) % 3, x_test=x[:1], y_test=[0])
    assert main(["data", "a.npz"]) == 1
    out = capsys.readouterr().out
    assert "train: all 3 x 3 pixels; all grey" in out and "  each class has 10" in out
    assert "  a.npz:train#0 = a.npz:test#0" in out


def test_the_data_of_a_cfg(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cfg").mkdir()
    Path("cfg/a.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=1\ndata=birds\n[softmax]\n")
    assert main(["data", "cfg/a.cfg"]) == 0
    assert capsys.readouterr().out.startswith("birds: 8 images to train")


def test_the_sheet(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "birds", "--save", "s.png", "--columns", "3"]) == 0
    assert capsys.readouterr().out.endswith("s.png: some images of each class\n")
    page = np.asarray(Image.open("s.png"))
    assert page.shape[1] == 12 + 3 * (112 + 12)
    first = np.asarray(Image.open("birds/train/crow/0.png"))
    assert (page == first[0, 0]).all(axis=2).sum() >= 22 * 22        # 5 x 4 pixels, enlarged 22 times


def test_boxes(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        save(f"set/images/{i}.png", RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))
        Path("set/labels").mkdir(exist_ok=True)
        Path(f"set/labels/{i}.txt").write_text("0 .5 .5 .4 .4\n1 .2 .2 .1 .1\n" if i else "")
    Path("set/list.txt").write_text("".join(f"images/{i}.png\n" for i in range(3)))
    Path("set/set.data").write_text("classes=2\ntrain=list.txt\nnames=set.names\n")
    Path("set/set.names").write_text("cat\ndog\n")
    assert main(["data", "set/set.data", "--save", "s.png", "--json", "o.json"]) == 0
    out = capsys.readouterr().out
    assert "cat              2          50.0 %" in out and "  4 boxes, 1.3 per image; side " in out
    assert "  1 image without boxes" in out
    found = json.loads(Path("o.json").read_text())
    assert found["train"]["boxes"] == 4 and found["train"]["without_boxes"] == 1
    Path("set/labels/1.txt").write_text("7 .5 .5 .4 .4\n0 .5 .5 .4 .4\n")
    assert main(["data", "set/set.data", "--json", "o.json"]) == 1
    assert "classes that do not exist" in capsys.readouterr().out
    assert json.loads(Path("o.json").read_text())["label_problems"][0]["where"].endswith("1.txt:1")


def test_one_list_for_both_splits_is_a_warning(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As Yolo_mark writes it; each label problem and each image is counted once."""
    for i in range(3):
        save(f"data/obj/{i}.png", RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))
        Path(f"data/obj/{i}.txt").write_text("0 .5 .5 .4 .4\n")
    Path("data/train.txt").write_text("".join(f"data/obj/{i}.png\n" for i in range(3)))
    Path("data/obj.names").write_text("cat\n")
    Path("data/obj.data").write_text("classes=1\ntrain=data/train.txt\nvalid=data/train.txt\nnames=data/obj.names\n")
    assert main(["data", "data/obj.data", "--json", "o.json"]) == 0
    out = capsys.readouterr().out
    assert out.count("training and test images are the same, 3 images") == 1 and "data leak" not in out
    assert json.loads(Path("o.json").read_text())["repeated"] == []
    Path("data/obj/1.txt").write_text("5 .5 .5 .4 .4\n")
    assert main(["data", "data/obj.data", "--json", "o.json"]) == 1
    assert "classes that do not exist, left out: 1\n" in capsys.readouterr().out
    assert len(json.loads(Path("o.json").read_text())["label_problems"]) == 1
    Path("data/obj/1.txt").write_text("0 .5 .5 .4 .4\n")
    Path("data/obj/3.png").write_bytes(Path("data/obj/1.png").read_bytes())
    Path("data/obj/3.txt").write_text("0 .5 .5 .4 .4\n")
    with Path("data/train.txt").open("a") as file:
        file.write("data/obj/3.png\n")
    assert main(["data", "data/obj.data"]) == 0
    assert "1 image with duplicates\n  data/obj/1.png = data/obj/3.png" in capsys.readouterr().out


def test_images_in_both_splits_are_told_once(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.list").write_text("".join(f"birds/train/crow/{i}.png\n" for i in range(4)))
    Path("b.list").write_text("birds/train/crow/3.png\nbirds/train/crow/5.png\n")
    Path("labels.txt").write_text("crow\nowl\n")
    Path("a.data").write_text("train=a.list\nvalid=b.list\nlabels=labels.txt\n")
    assert main(["data", "a.data"]) == 1
    out = capsys.readouterr().out
    assert "data leak: 1 image in both" in out and "both for training and for testing" not in out


@pytest.mark.parametrize("words, answer", [
    (["nowhere"], "nowhere: there is no such data folder or file"),
    (["birds", "--save", "a.txt"], "--save needs a file name"),
    (["notes.txt"], "Got a text file: character models read it"), (["empty"], "This one contains no folder at all")])
def test_mistakes(birds, capsys, words, answer):
    Path("notes.txt").write_text("hello")
    Path("empty").mkdir()
    assert main(["data", *words]) == 2
    assert answer in capsys.readouterr().err


def test_the_table_of_classes_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(data, "MAX_CLASSES", 3)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8), y=[0, 999_999])
    main(["data", str(tmp_path / "a.npz")])
    out = capsys.readouterr().out
    assert "\n2 " in out and "\n3 " not in out and "and 999,997 more classes" in out


def test_the_images_that_a_cfg_holds_out(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("birds/test")
    Path("birds.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=3\ndata=birds\nsplit_share=.3\n"
                                 "[connected]\noutput=2\n[softmax]\n")
    assert main(["data", "birds.cfg"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("birds: 5 images to train, 3 images to test, 2 classes") and "nothing to test" not in out
