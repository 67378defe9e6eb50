"""The table of formats: every one has an example, is recognised, and opens; what is not recognised says so."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner import datasets
from runner.datasets import (
    FORMATS,
    Dataset,
    DetectionDataset,
    check_image_channels,
    open_any_dataset,
    open_dataset,
    open_detection_dataset,
)
from runner.datasets.format import Format
from runner.datasets.formats import recognise
from runner.datasets.survey import survey
from runner.errors import DataError
from tests.datasets.examples import (
    CLASSES,
    EXAMPLES,
    NAMES,
    OBJECTS,
    TEST_LABELS,
    TRAIN_LABELS,
    H,
    Maker,
    W,
    image,
    row,
    write,
)
from tests.datasets.splits import evaluation_split, training_split
from tests.paths import SHARED

ALL = [pytest.param(fmt, make, id=f"{fmt.task}-{fmt.name}-{make.__name__}")
       for fmt in FORMATS for make in EXAMPLES.get((fmt.task, fmt.name), ())]
WITH_IMAGE_FILES = [one for fmt, one in zip((fmt for fmt in FORMATS for _ in EXAMPLES.get((fmt.task, fmt.name), ())),
                                            ALL, strict=True) if fmt.name not in ("MNIST IDX", "CIFAR", "NumPy")]



def test_every_format_has_an_example() -> None:
    """A new line of the table needs an example: then it goes through all tests below."""
    assert EXAMPLES.keys() == {(fmt.task, fmt.name) for fmt in FORMATS}
    assert len(EXAMPLES) == len(FORMATS), "two formats of a task share a name"


@pytest.mark.parametrize("fmt, make", ALL)
def test_an_example_is_recognised_and_opened(fmt: Format, make: Maker, tmp_path: Path) -> None:
    path = make(tmp_path)
    assert recognise(path, fmt.task) is fmt
    assert not fmt.suffixes or path.is_dir() or path.suffix in fmt.suffixes
    for data in (fmt.open(path), open_any_dataset(path)):
        if fmt.task == "classification":
            check_classification(data)
        else:
            check_detection(data)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif"])
@pytest.mark.parametrize("fmt, make", WITH_IMAGE_FILES)
def test_every_format_takes_images_of_five_channels(fmt: Format, make: Maker, suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    for file in [file for file in tmp_path.rglob("*") if file.is_file()]:
        if file.suffix == ".png":
            file.unlink()
            five_channels(file.with_suffix(suffix))
        else:
            write(file, file.read_text().replace(".png", suffix))
    assert recognise(path, fmt.task) is fmt
    for data in (fmt.open(path), open_any_dataset(path)):
        train = training_split(data)
        assert data.warnings == [] and len(train) == 2 and train[0][0].endswith(suffix)
        assert train.read(0, 5).shape == (5, H, W) and survey(train, channels=5).bad == []
        if isinstance(data, DetectionDataset):
            assert data.problems == [] and train.counts().tolist() == [1, 1]
        check_image_channels(data, 5, every=True)
        for every in (False, True):
            with pytest.raises(DataError, match=rf"\{suffix}: the image has 5 channels \(.+\), and channels=4 needs"):
                check_image_channels(data, 4, every=every)
        assert len(survey(train, channels=4).bad) == 2


def five_channels(path: Path) -> None:
    """A black image."""
    if path.suffix == ".npy":
        np.save(path, np.zeros((H, W, 5), np.uint8))
    elif path.suffix == ".npz":
        np.savez(path, np.zeros((5, H, W), np.uint8))
    else:
        pages = [Image.new("L", (W, H)) for _ in range(5)]
        pages[0].save(path, save_all=True, append_images=pages[1:])


def check_classification(data: Dataset | DetectionDataset) -> None:
    assert isinstance(data, Dataset) and data.names == CLASSES and data.warnings == []
    for split, labels in ((training_split(data), TRAIN_LABELS), (evaluation_split(data), TEST_LABELS)):
        assert split.classes == len(CLASSES) and split.labels().tolist() == labels
        assert split.read(0, 3).shape[0] == 3 and not split.read(0, 3).any()


def check_detection(data: Dataset | DetectionDataset) -> None:
    assert isinstance(data, DetectionDataset) and data.names == NAMES
    assert data.warnings == [] and data.problems == []
    train, test = training_split(data), evaluation_split(data)
    assert [[Path(one.path).stem for one in split] for split in (train, test)] == [["a", "b"], ["c"]]
    for split in (train, test):
        for one in split:
            wanted = np.array([row(*thing) for thing in OBJECTS[Path(one.path).stem]]).reshape(-1, 5)
            # COCO does not keep the order of the classes; VOC's pixels count from 1
            np.testing.assert_allclose(np.sort(one.boxes, axis=0), np.sort(wanted, axis=0), atol=1e-6)
            assert one.boxes.dtype == np.float32 and one.crowd.shape == (0, 5)
    assert train.counts().tolist() == [1, 1] and test.counts().tolist() == [1, 0]
    assert train.read(0, 3).shape[:2] == (3, H) and len(train.take([1])) == 1


@pytest.mark.parametrize("name, got", [("a.xyz", "a file ending in '.xyz'"), ("a", "a file whose name has no ending")])
def test_what_is_not_recognised(name: str, got: str, tmp_path: Path) -> None:
    """The message has the name of every format of the task."""
    path = write(tmp_path / name, "x")
    for open_it, task in ((open_dataset, "classification"), (open_detection_dataset, "detection")):
        with pytest.raises(DataError) as raised:
            open_it(path)
        message = str(raised.value)
        assert message.startswith(f"{path}: the formats of a {task} dataset are: ") and message.endswith(f"Got {got}")
        assert all(fmt.name in message for fmt in FORMATS if fmt.task == task)
    with pytest.raises(DataError, match="the formats of a classification dataset are: "):
        open_any_dataset(path)


def test_nothing_there_an_archive_and_an_empty_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.tar.gz", "x")
    (tmp_path / "empty").mkdir()
    for open_it in (open_dataset, open_detection_dataset, open_any_dataset):
        with pytest.raises(DataError, match="nowhere: there is no such data folder or file"):
            open_it(tmp_path / "nowhere")
        with pytest.raises(DataError, match="this is an archive: unpack it"):
            open_it(tmp_path / "a.tar.gz")
    with pytest.raises(DataError, match="Got a folder in none of these formats"):
        open_detection_dataset(tmp_path / "empty")


def test_the_error_of_the_recognised_format_is_the_answer(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        open_any_dataset(write(tmp_path / "x.json", "{\n bad"))
    assert str(raised.value).startswith(f"{tmp_path / 'x.json'}:2: this is not JSON")
    with pytest.raises(DataError) as raised:
        open_any_dataset(write(tmp_path / "x.npz", "bad"))
    assert str(raised.value).startswith(f"{tmp_path / 'x.npz'}: not an .npz archive")


def test_without_boxes_and_without_classes_both_reasons_are_given(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    with pytest.raises(DataError) as raised:
        open_any_dataset(tmp_path)
    message = str(raised.value)
    assert "contains no folder at all" in message and "(as a detection dataset: " in message
    assert "of 1 image none has a label file" in message


@pytest.mark.parametrize("folder", ["", "images"])
def test_boxes_that_are_wrong_are_no_classes(folder: str, tmp_path: Path) -> None:
    """The reason is the detection format's; images/ and labels/ are not two classes."""
    image(tmp_path / folder / "a.png")
    write(tmp_path / folder.replace("images", "labels") / "a.txt", "0 0.5 0.5 0 0\n")
    with pytest.raises(DataError) as raised:
        open_any_dataset(tmp_path)
    assert "width and height must be above 0" in str(raised.value) and "class folder" not in str(raised.value)
    with pytest.raises(DataError, match=r"a classification dataset is needed. This is one for detection \(YOLO\)"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name, train, test, boxes", [("bccd", 205, 87, 2804), ("coco60", 48, 12, 432)])
def test_published_datasets_e2e(name: str, train: int, test: int, boxes: int) -> None:
    folder = SHARED / "data" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not there")
    data = open_detection_dataset(folder)
    split = training_split(data)
    assert (len(split), len(evaluation_split(data)), len(split.boxes())) == (train, test, boxes)
    assert data.warnings == []


def test_the_former_name_still_works() -> None:
    assert datasets.open_boxes is datasets.open_detection_dataset
