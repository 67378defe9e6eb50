"""Detection data sets: every form of labels says the same, and every mistake in them gets its sentence."""
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets import open_detection_dataset
from runner.datasets.detection.yolo import class_names_in, label_places
from runner.datasets.image_size import size_of
from runner.errors import DataError
from runner.images import read_image
from tests.paths import SHARED

W, H = 40, 20
# a.png: two things; b.png: nothing; c.png: one.  Corners in pixels: left, top, right, bottom.
THINGS = {"a": [("cat", 4, 2, 14, 12), ("owl", 20, 10, 40, 20)], "b": [], "c": [("owl", 10, 5, 30, 15)]}
NAMES = ["owl", "cat"]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def row(name, left, top, right, bottom):
    return (left + right) / 2 / W, (top + bottom) / 2 / H, (right - left) / W, (bottom - top) / H, NAMES.index(name)


def yolo_text(name):
    return "".join("{4} {0} {1} {2} {3}\n".format(*row(*thing)) for thing in THINGS[name])


def voc_text(name, difficult="0", size=True):
    things = "".join(f"<object><name>{kind}</name><difficult>{difficult}</difficult><bndbox><xmin>{x0 + 1}</xmin>"
                     f"<ymin>{y0 + 1}</ymin><xmax>{x1 + 1}</xmax><ymax>{y1 + 1}</ymax></bndbox></object>"
                     for kind, x0, y0, x1, y1 in THINGS[name])
    size_text = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>" if size else ""
    return f"<annotation>{size_text}{things}</annotation>"


def coco_text(names, crowd=0, ids=(7, 90)):
    images = [{"id": 10 + k, "file_name": f"{name}.png", "width": W, "height": H} for k, name in enumerate(names)]
    boxes = [{"id": 100 * k + i, "image_id": 10 + k, "category_id": ids[NAMES.index(kind)], "iscrowd": crowd,
              "bbox": [x0, y0, x1 - x0, y1 - y0]}
             for k, name in enumerate(names) for i, (kind, x0, y0, x1, y1) in enumerate(THINGS[name])]
    categories = [{"id": ids[1], "name": "cat"}, {"id": ids[0], "name": "owl"}]
    return json.dumps({"images": images, "annotations": boxes, "categories": categories})


def darknet(root: Path) -> Path:
    for name in THINGS:
        picture(root / "images" / f"{name}.png")
        write(root / "labels" / f"{name}.txt", yolo_text(name))
    write(root / "train.txt", "images/a.png\nimages/b.png\n")
    write(root / "valid.txt", "images/c.png\n")
    write(root / "my.names", "\n".join(NAMES))
    return write(root / "my.data", "classes=2\ntrain=train.txt\nvalid=valid.txt\nnames=my.names\nbackup=backup\n")


def yaml_of_folders(root: Path) -> Path:
    for name in THINGS:
        part = "val" if name == "c" else "train"
        picture(root / "set" / "images" / part / f"{name}.png")
        write(root / "set" / "labels" / part / f"{name}.txt", yolo_text(name))
    return write(root / "my.yaml", "path: set\ntrain: images/train\nval: images/val\ntest:\nnc: 2\n"
                                   "names: {0: owl, 1: cat}\n")


def yaml_of_lists(root: Path) -> Path:
    darknet(root)
    return write(root / "my.yaml", "train: [train.txt]\nval: valid.txt\nnames: [owl, cat]\n")


def yolo_folder(root: Path) -> Path:
    yaml_of_folders(root)
    write(root / "set" / "classes.txt", "owl\ncat\n")
    return root / "set"


def exported_folder(root: Path) -> Path:
    """train/images, train/labels, valid/... and a data.yaml whose paths are wrong in the usual way."""
    for name in THINGS:
        part = "valid" if name == "c" else "train"
        picture(root / part / "images" / f"{name}.png")
        write(root / part / "labels" / f"{name}.txt", yolo_text(name))
    write(root / "data.yaml", "train: train/images\nval: valid/images\nnc: 2\nnames: ['owl', 'cat']\n")
    return root


def coco_folder(root: Path) -> Path:
    for name in THINGS:
        picture(root / ("val2017" if name == "c" else "train2017") / f"{name}.png")
    write(root / "annotations" / "instances_train2017.json", coco_text(["a", "b"]))
    write(root / "annotations" / "instances_val2017.json", coco_text(["c"]))
    write(root / "annotations" / "captions_val2017.json", json.dumps({"images": [], "annotations": []}))
    return root


def coco_yaml(root: Path) -> Path:
    coco_folder(root)
    return write(root / "coco.yaml", "train: annotations/instances_train2017.json\n"
                                     "val: annotations/instances_val2017.json\n")


def coco_exported(root: Path) -> Path:
    for name in THINGS:
        picture(root / ("valid" if name == "c" else "train") / f"{name}.png")
    write(root / "train" / "_annotations.coco.json", coco_text(["a", "b"]))
    write(root / "valid" / "_annotations.coco.json", coco_text(["c"]))
    return root


def voc(root: Path) -> Path:
    for name in THINGS:
        picture(root / "JPEGImages" / f"{name}.png")
        write(root / "Annotations" / f"{name}.xml", voc_text(name))
    write(root / "ImageSets" / "Main" / "trainval.txt", "a\nb\n")
    write(root / "ImageSets" / "Main" / "train.txt", "a\n")
    write(root / "ImageSets" / "Main" / "test.txt", "c\n")
    write(root / "voc.names", "owl\ncat\n")
    return root


def voc_beside(root: Path) -> Path:
    for name in THINGS:
        part = "test" if name == "c" else "train"
        picture(root / part / f"{name}.png")
        write(root / part / f"{name}.xml", voc_text(name, size=False))
    write(root / "classes.txt", "owl\ncat\n")
    return root


FORMS = [darknet, yaml_of_folders, yaml_of_lists, yolo_folder, exported_folder, coco_folder, coco_yaml, coco_exported,
         voc, voc_beside]


@pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
def test_every_form_says_the_same(make, tmp_path):
    data = open_detection_dataset(make(tmp_path))
    assert data.names == NAMES and data.warnings == [] and data.problems == []
    assert [[Path(p.path).stem for p in part] for part in (data.train, data.test)] == [["a", "b"], ["c"]]
    for part in (data.train, data.test):
        for one in part:
            wanted = [row(*thing) for thing in THINGS[Path(one.path).stem]]
            # COCO keeps no order of the classes; VOC's pixels count from 1
            np.testing.assert_allclose(np.sort(one.boxes, axis=0), np.sort(np.array(wanted).reshape(-1, 5), axis=0),
                                       atol=1e-6)
            assert one.boxes.dtype == np.float32 and one.crowd.shape == (0, 5)
    assert data.train.counts().tolist() == [1, 1] and data.test.counts().tolist() == [1, 0]
    assert data.train.read(0, 3).shape == (3, H, W)
    assert len(data.train.take([1])) == 1


def test_where_labels_are_looked_for():
    assert label_places("set/images/train/a.jpg") == ["set/labels/train/a.txt", "set/images/train/a.txt"]
    assert label_places("VOC/JPEGImages/a.jpeg") == ["VOC/labels/a.txt", "VOC/JPEGImages/a.txt"]
    assert label_places("images/old/images/a.b.png") == ["images/old/labels/a.b.txt", "labels/old/images/a.b.txt",
                                                         "images/old/images/a.b.txt"]
    assert label_places(r"d:\images\a.png") == ["d:/labels/a.txt", "d:/images/a.txt"]
    assert label_places("photos/a.png") == ["photos/a.txt"]


def test_a_folder_of_pictures_alone_is_numbered_and_says_so(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    write(tmp_path / "a.txt", "3 .5 .5 .2 .2\n")
    data = open_detection_dataset(tmp_path)
    assert data.names == ["0", "1", "2", "3"] and data.test is None
    said = "\n".join(data.warnings)
    assert "numbered 0 to 3" in said and "1 of 2 images have no label file" in said and "nothing to test" in said


def test_outlines_become_boxes(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "0 .1 .2 .5 .2 .5 .8 .3 .6\n")
    np.testing.assert_allclose(open_detection_dataset(tmp_path).train[0].boxes, [[.3, .5, .4, .6, 0]], rtol=1e-6)


def test_crowds_and_difficult_things_are_kept_apart(tmp_path):
    for name in THINGS:
        picture(tmp_path / f"{name}.png")
    data = open_detection_dataset(write(tmp_path / "x.json", coco_text(list(THINGS), crowd=1)))
    assert data.train[0].boxes.shape == (0, 5) and data.train[0].crowd.shape == (2, 5)
    write(tmp_path / "v" / "Annotations" / "a.xml", voc_text("a", difficult="1"))
    picture(tmp_path / "v" / "JPEGImages" / "a.png")
    assert open_detection_dataset(tmp_path / "v").train[0].crowd.shape == (2, 5)


MISTAKES = {
    "7 .5 .5 .1 .1": ("left out", "a class is 0 to 1 (2 names). Got 7"),
    "-1 .5 .5 .1 .1": ("left out", "a class is 0 to 1 (2 names). Got -1"),
    "0 .5 .5 .1": ("left out", "a label has 5 numbers, `class x y w h`. Got 4: '0 .5 .5 .1'"),
    "0 .5 .5 .1 .1 .9": ("left out", "Got 6"),
    "owl .5 .5 .1 .1": ("left out", "a label is `class x y w h`, the class a whole number. Got 'owl .5 .5 .1 .1'"),
    "0.5 .5 .5 .1 .1": ("left out", "the class a whole number"),
    "0 nan .5 .1 .1": ("left out", "x, y, w, h must be numbers. Got nan 0.5 0.1 0.1"),
    "0 .5 .5 0 .1": ("left out", "width and height must be above 0. Got 0 and 0.1"),
    "0 .5 .5 .1 -.1": ("left out", "width and height must be above 0. Got 0.1 and -0.1"),
    "0 1.4 .5 .1 .1": ("left out", "x, y, w, h are relative to the image, 0 to 1. Got 1.4 0.5 0.1 0.1"),
    "0 20 12 8 8": ("left out", "these look like pixels"),
    "0 .95 .5 .2 .1": ("clipped", "0.95 0.5 0.2 0.1 extends over the edge by 0.05 of the image"),
    "1 .5 .5 .1 .1": ("kept once", "the same as line 1"),
}


@pytest.mark.parametrize("line", MISTAKES, ids=str)
def test_a_mistake_in_a_label(line, tmp_path):
    heading, sentence = MISTAKES[line]
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", f"1 .5 .5 .1 .1\n\n{line}\n")
    data = open_detection_dataset(data_file)
    (warning,) = data.warnings
    assert heading in warning.split("\n")[0] and warning.split("\n")[0].endswith(": 1")
    assert f"{Path('labels') / 'b.txt'}:3: " in warning and sentence in warning
    (problem,) = data.problems
    assert problem.where.endswith("b.txt:3") and problem.lost == (heading == "left out")
    assert len(data.train[1].boxes) == (2 if heading == "clipped" else 1)
    if heading == "left out":
        with pytest.raises(DataError, match="have mistakes") as raised:
            open_detection_dataset(data_file, on_bad="error")
        assert sentence in str(raised.value)
    else:
        open_detection_dataset(data_file, on_bad="error")


def test_a_box_over_the_edge_is_cut_there(tmp_path):
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", "0 .95 .5 .2 .1\n0 .5 .501 .5 1\n")
    data = open_detection_dataset(data_file)
    np.testing.assert_allclose(data.train[1].boxes, [[.925, .5, .15, .1, 0], [.5, .5005, .5, .999, 0]], rtol=1e-6)
    assert len(data.problems) == 1, "what is rounding is no mistake"


def test_many_mistakes_are_counted_and_a_few_told(tmp_path):
    data_file = darknet(tmp_path)
    write(tmp_path / "labels" / "b.txt", "9 .5 .5 .1 .1\n" * 12)
    (warning,) = open_detection_dataset(data_file).warnings
    lines = warning.split("\n")
    assert lines[0].endswith(": 12") and len(lines) == 7 and lines[-1] == "  and 7 more"


def test_pictures_that_are_missing_are_left_out(tmp_path):
    data_file = darknet(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    data = open_detection_dataset(data_file)
    assert [Path(p.path).stem for p in data.train] == ["a"]
    assert "train.txt:2: there is no 'images/b.png'" in data.warnings[0]


def test_a_picture_without_a_label_file_shows_nothing_and_is_counted(tmp_path):
    data_file = darknet(tmp_path)
    (tmp_path / "labels" / "b.txt").unlink()
    data = open_detection_dataset(data_file)
    assert len(data.train) == 2 and len(data.train[1].boxes) == 0 and data.train[1].labels == ""
    assert "1 of 3 images have no label file" in data.warnings[0]
    open_detection_dataset(data_file, on_bad="error")


def test_no_label_file_at_all_is_a_mistake(tmp_path):
    data_file = darknet(tmp_path)
    for file in (tmp_path / "labels").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"none of the 3 images has a label file.*labels/a\.txt, .*images/a\.txt"):
        open_detection_dataset(data_file)


def test_nothing_but_bad_labels(tmp_path):
    data_file = darknet(tmp_path)
    for file in (tmp_path / "labels").iterdir():
        file.write_text("5 .5 .5 .1 .1\n")
    with pytest.raises(DataError, match="none of the labels can be used") as raised:
        open_detection_dataset(data_file)
    assert "a.txt:1: a class is 0 to 1" in str(raised.value)


def test_a_picture_in_both_parts_is_said(tmp_path):
    data_file = darknet(tmp_path)
    write(tmp_path / "valid.txt", "images/a.png\n")
    assert "1 images are both for training and for testing" in open_detection_dataset(data_file).warnings[-1]


def test_a_label_file_that_is_no_text(tmp_path):
    data_file = darknet(tmp_path)
    (tmp_path / "labels" / "b.txt").write_bytes(b"\xff\xfe\x00 1")
    assert "b.txt: this is not a text file" in open_detection_dataset(data_file).warnings[0]


@pytest.mark.parametrize("change, sentence", [
    (("classes=2", "classes=3"), r"my\.names: 3 names are needed, one per line, because .*my\.data:1 says classes=3"),
    (("classes=2", "classes=two"), r"my\.data:1: classes must be a whole number"),
    (("names=my.names", "names=your.names"), r"my\.data:4: names names 'your\.names'"),
    (("classes=2\n", "", "names=my.names", ""), "needs names="),
    (("train=train.txt\nvalid=valid.txt\n", ""), "neither train= nor valid="),
])
def test_mistakes_in_a_data_file(change, sentence, tmp_path):
    path = darknet(tmp_path)
    text = path.read_text()
    for old, new in zip(change[::2], change[1::2], strict=True):
        text = text.replace(old, new)
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(path)


@pytest.mark.parametrize("text, sentence", [
    ("names: [owl, cat]\n", "neither train nor val"),
    ("train: nowhere\nnames: [owl, cat]\n", "train names 'nowhere', which does not exist"),
    ("train: set/images/train\n", "names must be a list"),
    ("train: set/images/train\nnc: 3\nnames: [owl, cat]\n", "nc=3, and there are 2 names"),
    ("train: set/images/train\nnames: {0: owl, 2: cat}\n", "numbered 0 to 1 without gaps"),
    ("train: set/images/train\nnames: my.txt\n", "names is the file 'my.txt'"),
    ("train: [3]\nnames: [owl, cat]\n", "train must be a folder, a list file"),
])
def test_mistakes_in_a_description(text, sentence, tmp_path):
    path = yaml_of_folders(tmp_path)
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(path)


def damaged(change):
    """A COCO file of pictures a, b, c with something changed."""
    def make(root: Path) -> Path:
        for name in THINGS:
            picture(root / f"{name}.png")
        content = json.loads(coco_text(list(THINGS)))
        change(content)
        return write(root / "x.json", json.dumps(content))
    return make


@pytest.mark.parametrize("change, sentence", [
    (lambda c: c["annotations"][0].update(category_id=8), "category_id must be an id of `categories`. Got 8"),
    (lambda c: c["annotations"][0].update(image_id=8), "image_id must be an id of `images`, of one that exists. Got 8"),
    (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "bbox must be four numbers"),
    (lambda c: c["annotations"][0].update(bbox=[1, 2, 0, 3]), "annotation 0: width and height must be above 0"),
    (lambda c: c["images"][1].update(file_name="z.png"), "image 11: there is no 'z.png'"),
    (lambda c: c["images"].append(c["images"][0]), "image 10: the id of"),
])
def test_a_mistake_in_a_coco_file(change, sentence, tmp_path):
    data = open_detection_dataset(damaged(change)(tmp_path))
    assert len(data.problems) == 1 and sentence in data.warnings[0]


def test_things_in_a_missing_picture_are_not_told_apart(tmp_path):
    data = open_detection_dataset(damaged(lambda c: c["images"][0].update(file_name="z.png"))(tmp_path))
    assert len(data.problems) == 1 and len(data.train) == 2


def test_a_coco_file_may_leave_out_the_size(tmp_path):
    data = open_detection_dataset(damaged(lambda c: [image.pop("width") for image in c["images"]])(tmp_path))
    np.testing.assert_allclose(data.train[2].boxes, [row(*THINGS["c"][0])], rtol=1e-6)


@pytest.mark.parametrize("change, sentence", [
    (lambda c: c.pop("images"), "Missing here: images"),
    (lambda c: c["categories"].append({"id": 1, "name": "cat"}), "two categories have the name 'cat'"),
    (lambda c: c["categories"].append({"id": 7, "name": "dog"}), "two categories have the id 7"),
    (lambda c: c.update(categories=[{"name": "cat"}]), "needs an id"),
    (lambda c: [image.update(file_name="no.png") for image in c["images"]], "none of its 3 images exists"),
])
def test_a_coco_file_that_cannot_be_used(change, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(damaged(change)(tmp_path))


def test_no_json(tmp_path):
    with pytest.raises(DataError, match=r"x\.json:2: this is not JSON"):
        open_detection_dataset(write(tmp_path / "x.json", "{\n bad"))


@pytest.mark.parametrize("text, sentence", [
    (voc_text("a").replace("cat", "catt"), "name must be one of the 2 classes. Got 'catt' (did you mean 'cat'?)"),
    (voc_text("a").replace("<xmin>5</xmin>", ""), "bndbox needs the numbers xmin, ymin, xmax and ymax"),
    (voc_text("a").replace("<xmin>5</xmin>", "<xmin>15</xmin>"), "width and height must be above 0"),
    ("<annotation>", "this is not XML"),
])
def test_a_mistake_in_an_xml_file(text, sentence, tmp_path):
    folder = voc(tmp_path)
    write(tmp_path / "Annotations" / "a.xml", text)
    data = open_detection_dataset(folder)
    assert len(data.problems) == 1 and sentence in data.warnings[0] and "a.xml" in data.warnings[0]


def test_names_of_xml_files_are_sorted_when_no_file_lists_them(tmp_path):
    folder = voc(tmp_path)
    (folder / "voc.names").unlink()
    assert open_detection_dataset(folder).names == ["cat", "owl"] and class_names_in(folder) == []


@pytest.mark.parametrize("name, sentence", [("nowhere", "there is no such data folder"), ("a.png", "ending in '.png'"),
                                            ("empty", "a folder in none of these formats")])
def test_what_is_no_data_set(name, sentence, tmp_path):
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=sentence):
        open_detection_dataset(tmp_path / name)


def test_a_picture_that_lies_on_its_side_has_the_size_it_is_read_with(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert size_of(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").shape[:0:-1] == (H, W)
    (tmp_path / "b.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"b\.jpg: its size cannot be read"):
        size_of(tmp_path / "b.jpg")


def test_a_share_is_kept_to_test_with(tmp_path):
    for k in range(10):
        picture(tmp_path / f"{k}.png")
        write(tmp_path / f"{k}.txt", "0 .5 .5 .1 .1\n")
    data, again = (open_detection_dataset(tmp_path, split_share=.3) for _ in range(2))
    assert len(data.train) == 7 and len(data.test) == 3 and not any("nothing to test" in w for w in data.warnings)
    assert not {p.path for p in data.train} & {p.path for p in data.test}
    assert [p.path for p in data.test] == [p.path for p in again.test]
    with pytest.raises(DataError, match="leaves none to test with"):
        open_detection_dataset(tmp_path, split_share=.01)
    with pytest.raises(DataError, match="test images already"):
        open_detection_dataset(darknet(tmp_path / "d"), split_share=.3)




@pytest.mark.parametrize("name, train, test, boxes", [("bccd", 205, 87, 2804), ("coco60", 48, 12, 432)])
def test_published_sets_e2e(name, train, test, boxes):
    folder = SHARED / "data" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    data = open_detection_dataset(folder)
    assert (len(data.train), len(data.test), len(data.train.boxes())) == (train, test, boxes)
    assert data.warnings == []
