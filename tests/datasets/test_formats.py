"""Finding images and what they show: folders, darknet's .data files, YAML, and arguments of the command
line."""
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets import expand_images, find_data, open_dataset
from runner.datasets.data_file import read_data_file
from runner.datasets.folders import natural_key
from runner.datasets.lists import read_lines, read_list
from runner.errors import DataError
from tests.paths import ROOT


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
    return path


def tree(root: Path, *names: str) -> Path:
    for name in names:
        picture(root / name)
    return root


def names_of(split) -> list[tuple[str, int]]:
    return [(Path(path).name, label) for path, label in split]


def test_natural_order():
    names = ["10", "9", "b2", "B10", "a", "1", "b2a", "01"]
    assert sorted(names, key=natural_key) == ["01", "1", "9", "10", "a", "b2", "b2a", "B10"]


@pytest.mark.parametrize("test_name", ["test", "val", "valid", "Validation"])
def test_folder_with_parts(tmp_path, test_name):
    tree(tmp_path, "train/10/x.png", "train/9/b10.jpg", "train/9/b9.PNG", "train/9/deep/c.png",
         f"{test_name}/10/y.bmp")
    (tmp_path / "train/9/notes.txt").write_text("no image")
    (tmp_path / "train/.hidden").mkdir()
    data = open_dataset(tmp_path)
    assert data.names == ["9", "10"] and data.warnings == []
    assert names_of(data.train) == [("b9.PNG", 0), ("b10.jpg", 0), ("c.png", 0), ("x.png", 1)]
    assert names_of(data.test) == [("y.bmp", 1)] and data.test.classes == 2


def test_folder_of_classes_is_all_for_training_and_says_so(tmp_path):
    data = open_dataset(tree(tmp_path, "cat/1.png", "dog/1.png"))
    assert data.names == ["cat", "dog"] and len(data.train) == 2 and data.test is None
    assert "nothing to test with" in data.warnings[0]


def test_a_link_that_leads_back_is_followed_once(tmp_path):
    tree(tmp_path, "cat/1.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    assert len(open_dataset(tmp_path).train) == 1


def test_folder_mistakes(tmp_path):
    with pytest.raises(DataError, match="no folder at all"):
        open_dataset(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="no images in the class folders cat"):
        open_dataset(tmp_path)
    tree(tmp_path / "b", "train/cat/1.png", "test/cta/1.png")
    with pytest.raises(DataError, match=r"'cta' is not one of the 1 classes .did you mean 'cat'"):
        open_dataset(tmp_path / "b")
    with pytest.raises(DataError, match="no such data folder"):
        open_dataset(tmp_path / "c")
    (tmp_path / "list.csv").write_text("x")
    with pytest.raises(DataError, match=r"\.csv"):
        open_dataset(tmp_path / "list.csv")


def darknet(root: Path, lines: str = "", train: str = "images/my cat.png\r\n\nimages/dog1.png  \r\n") -> Path:
    tree(root, "images/my cat.png", "images/dog1.png")
    (root / "labels.txt").write_text("cat\ndog\n")
    (root / "names.txt").write_text("Cat, domestic\nDog\n")
    (root / "train.list").write_bytes(train.encode())
    (root / "birds.data").write_text("# mine\nclasses = 2\ntrain = train.list\nlabels=labels.txt\n" + lines)
    return root / "birds.data"


def test_darknet_data(tmp_path):
    data = open_dataset(darknet(tmp_path, "names = names.txt\nclasses=7\nvalid = train.list\nbackup = b\n"))
    assert data.names == ["Cat, domestic", "Dog"] and data.warnings == []
    assert names_of(data.train) == names_of(data.test) == [("my cat.png", 0), ("dog1.png", 1)]
    assert all(Path(path).exists() for path, _ in data.train)


def test_lists_may_lie_elsewhere_and_be_relative_to_the_current_folder(tmp_path, monkeypatch):
    path = darknet(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "train.list").rename(tmp_path / "lists" / "train.list")
    path.write_text(path.read_text().replace("train.list", "lists/train.list"))
    assert len(open_dataset(path).train) == 2          # images relative to the .data file
    monkeypatch.chdir(tmp_path)
    assert open_dataset("birds.data").train[0][0] == "images/my cat.png"


def test_first_of_several_labels_holds_and_is_said(tmp_path):
    listed = "images/dog1.png\nimages/my cat.png\nimages/dog and cat.png\n"
    data = open_dataset(darknet(tmp_path, train=listed))
    assert [label for _, label in data.train] == [1, 0, 0]
    assert len(data.warnings) == 2 and "valid= is not given" in data.warnings[1]
    assert "train.list:3: 1 of 3" in data.warnings[0]
    assert "'images/dog and cat.png' becomes 'cat'" in data.warnings[0]


@pytest.mark.parametrize("change, message", [
    ({"train": "images/my cat.png\nimages/bird.png\n"},
     r"train\.list:2: none of the 2 labels occurs in .*bird"),
    ({"train": "x/cat.png\ny/dog.png\n"}, r"train\.list:1: there is no 'x/cat\.png'"),
    ({"train": "\n"}, "the list is empty"),
    ({"lines": "valid=none.list\n"}, r"birds\.data:5: valid names 'none\.list'"),
    ({"lines": "rubbish\n"}, r"birds\.data:5: .*key = value"),
])
def test_darknet_mistakes(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        open_dataset(darknet(tmp_path, **change))


@pytest.mark.parametrize("classes, message", [("3", "classes=3, but .* has 2 labels"), ("0", "at least 1"),
                                              ("two", "classes must be a whole")])
def test_darknet_number_of_classes(tmp_path, classes, message):
    path = darknet(tmp_path)
    path.write_text(path.read_text().replace("classes = 2", f"classes = {classes}"))
    with pytest.raises(DataError, match=rf"birds\.data:2: .*{message}"):
        open_dataset(path)


def test_more_labels_than_classes_are_cut(tmp_path):
    path = darknet(tmp_path)
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    assert open_dataset(path).names == ["cat", "dog"]


def test_read_data_file_keeps_the_first(tmp_path):
    (tmp_path / "a.data").write_text("; c\n a = 1 \na=2\n\nb=x = y\n")
    assert read_data_file(tmp_path / "a.data") == {"a": ("1", 2), "b": ("x = y", 5)}


def test_one_missing_image_stays_in_the_list(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png\nb.png")
    assert [path for *_, path in read_list(tmp_path / "l.txt")] == [str(tmp_path / "a.png"), "b.png"]
    with pytest.raises(DataError, match="not a text file"):
        list(read_lines(tmp_path / "a.png"))


def yaml(root: Path, text: str) -> Path:
    (root / "d.yaml").write_text(text)
    return root / "d.yaml"


def test_yaml_with_folders_and_lists(tmp_path):
    tree(tmp_path / "pics", "train/owl/1.png", "train/crow/1.png", "test/crow/2.png")
    data = open_dataset(yaml(tmp_path, "path: pics\ntrain: train\nval: test\n"))
    assert data.names == ["crow", "owl"] and names_of(data.test) == [("2.png", 0)]
    (tmp_path / "pics" / "l.txt").write_text("train/owl/1.png\n./test/crow/2.png\n")
    for names in ("[owl, crow]", "{0: owl, 1: crow}"):
        data = open_dataset(yaml(tmp_path, f"path: pics\ntrain: l.txt\nnames: {names}\n"))
        assert data.names == ["owl", "crow"] and names_of(data.train) == [("1.png", 0), ("2.png", 1)]
        assert data.test is None and "nothing to test with" in data.warnings[-1]


def test_yaml_lists_trust_the_nearest_folder_before_substrings(tmp_path):
    tree(tmp_path, "owl/crow/1.png", "x/owl7.png")
    (tmp_path / "l.txt").write_text("owl/crow/1.png\nx/owl7.png")
    data = open_dataset(yaml(tmp_path, "train: l.txt\nnames: [owl, crow]\n"))
    assert [label for _, label in data.train] == [1, 0]


@pytest.mark.parametrize("text, message", [
    ("a: [1\nb: 2", r"d\.yaml:2: this is not YAML"), ("- 1", "Got list"),
    ("names: [a]", "neither train nor test"),
    ("train: none", "train names 'none', which does not exist"), ("train: 3", "train must be a folder"),
    ("train: l.txt", "names is needed"), ("train: l.txt\nnames: {1: a}", "numbered 0 to 0"),
    ("train: l.txt\nnames: a", "names must be a list"),
    ("train: l.txt\nnames: [zebra]", r"l\.txt:1: none of the 1 classes"),
])
def test_yaml_mistakes(tmp_path, text, message):
    tree(tmp_path, "owl/1.png")
    (tmp_path / "l.txt").write_text("owl/1.png")
    with pytest.raises(DataError, match=message):
        open_dataset(yaml(tmp_path, text))


def test_find_data_order(tmp_path, monkeypatch):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project / "cfg", project / "data", elsewhere):
        folder.mkdir(parents=True)
    cfg = project / "cfg" / "net.cfg"
    monkeypatch.chdir(elsewhere)
    with pytest.raises(DataError) as caught:
        find_data(cfg)
    for place in ("net.yaml", "net.data", str(project / "data" / "net")):
        assert place in str(caught.value)
    for name in ("net", "net.data", "net.yaml"):                    # each goes before the ones above
        (project / "data" / name).mkdir() if name == "net" else (project / "data" / name).write_text("")
        assert find_data(cfg) == project / "data" / name
    tree(elsewhere / "data" / "net", "a/1.png")
    assert find_data(cfg) == Path("data/net")                        # the current folder goes first
    assert find_data(cfg, net_data="data/net.yaml") == project / "data" / "net.yaml"
    assert find_data(cfg, data=str(elsewhere), net_data="data/net.yaml") == elsewhere
    with pytest.raises(DataError, match="--data: there is no 'nowhere'"):
        find_data(cfg, data="nowhere")
    with pytest.raises(DataError, match="data=nowhere does not exist"):
        find_data(cfg, net_data="nowhere")
    for hint in (lambda: find_data(cfg, net_data="data/mnist"), lambda: find_data("cfg/mnist.cfg")):
        with pytest.raises(DataError, match=r"`python run\.py download mnist` downloads it to data/mnist"):
            hint()


def test_expand_images(tmp_path, monkeypatch):
    tree(tmp_path, "f/10.png", "f/9.png", "f/sub/a.jpg", "one.png", "f2/x.png")
    (tmp_path / "f" / "README.md").write_text("text")
    (tmp_path / "list.txt").write_text("one.png\n\n f/9.png \r\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("f2/x.png\n\n"))
    got = expand_images(["one.png", Path("f"), "f*/*", "list.txt", "-"])
    assert [Path(path).as_posix() for path in got] == [
        "one.png", "f/9.png", "f/10.png", "f/sub/a.jpg",              # one image, a folder
        "f/10.png", "f/9.png", "f2/x.png", "one.png", "f/9.png",      # a glob, a list
        "f2/x.png"]
    monkeypatch.chdir("/")
    listed = expand_images([str(tmp_path / "list.txt")])
    assert listed == [str(tmp_path / "one.png"), str(tmp_path / "f/9.png")]


@pytest.mark.parametrize("argument, message", [("none.png", "no such file"), ("*.tif", "no file matches"),
                                               ("empty", "no images in this folder"),
                                               ("l.txt", r"l\.txt:2: there is no")])
def test_expand_images_mistakes(tmp_path, monkeypatch, argument, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png\nb.png\n")
    with pytest.raises(DataError, match=message):
        expand_images([argument])


def test_the_digits_open():
    data = open_dataset(ROOT / "data" / "digits")
    assert data.names == [str(digit) for digit in range(10)]
    assert (len(data.train), len(data.test), data.warnings) == (1442, 355, [])
