"""Several labels of an image in every format that can hold them, and what becomes of them in batches."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets import Label, Split, batches, hold_out, open_dataset
from runner.datasets.classification.label_cells import split_cells
from runner.errors import DataError
from runner.images import Augment
from tests.datasets.examples import images, write
from tests.datasets.splits import names_of, training_split


def table(root: Path, text: str) -> Path:
    images(root, "1.png", "2.png", "3.png", "4.png")
    return write(root / "a.csv", text)


def listed(root: Path, lines: str, names: str = "cat\ndog\nowl\n") -> Path:
    images(root, "1.png", "2.png", "3.png")
    write(root / "l.txt", lines)
    write(root / "names.txt", names)
    return write(root / "a.data", "classes=3\ntrain=l.txt\nlabels=names.txt\n")


@pytest.mark.parametrize("text, names, labels", [
    ("filename,cat,dog\n1.png,0,1\n2.png,1,1\n3.png,0,0\n", ["cat", "dog"], [1, (0, 1), ()]),
    ("filename,cat,dog\n1.png,False,True\n2.png,TRUE,true\n", ["cat", "dog"], [1, (0, 1)]),
    ("path,label\n1.png,dog\n2.png,cat|dog\n", ["cat", "dog"], [1, (0, 1)]),
    ("path,tags\n1.png,dog;owl\n2.png,golden retriever\n", ["dog", "golden retriever", "owl"], [(0, 2), 1]),
    ('path,labels\n1.png,"[""dog"", ""cat""]"\n2.png,"[\'owl\']"\n', ["cat", "dog", "owl"], [(0, 1), 2]),
    ('path,choice\n1.png,"{""choices"": [""dog"", ""cat""]}"\n2.png,owl\n', ["cat", "dog", "owl"], [(0, 1), 2]),
])
def test_tables(text: str, names: list[str], labels: list[Label], tmp_path: Path) -> None:
    data = open_dataset(table(tmp_path, text))
    assert data.names == names and [label for _, label in training_split(data)] == labels and data.several_labels


def test_blanks_and_commas_are_read_for_a_network_that_learns_several_labels(tmp_path: Path) -> None:
    path = table(tmp_path, "image_name,tags\n1,clear primary\n2,haze primary\n3,cloudy\n")
    assert open_dataset(path).names == ["clear primary", "cloudy", "haze primary"]
    data = open_dataset(path, several_labels=True)
    assert data.names == ["clear", "cloudy", "haze", "primary"]
    assert [label for _, label in training_split(data)] == [(0, 3), (2, 3), 1]
    assert data.warnings[0] == f"{path}: blanks separate the labels in the column tags, as in clear, primary"


@pytest.mark.parametrize("cells, column, expected", [
    (["golden retriever", "black cat"], "label", None),                 # names with blanks
    (["cat", "dog", "cat dog"], "label", [("cat",), ("dog",), ("cat", "dog")]),
    (["a, b", "b", "a"], "target", [("a", "b"), ("b",), ("a",)]),
    (["tench, Tinca tinca", "cock"], "target", None),
    (["golden retriever"], "labels", [("golden", "retriever")]),        # the name of the column says it
    (["cat,cat"], "labels", [("cat",)]),
    (["[cat, dog]"], "label", [("cat", "dog")]),
    (["{x}"], "label", None),
])
def test_cells(cells: list[str], column: str, expected: list[tuple[str, ...]] | None) -> None:
    assert split_cells(cells, column, every_label=True)[0] == (expected or [(cell,) for cell in cells])


@pytest.mark.parametrize("lines, labels", [
    ("1.png cat dog\n2.png owl\n", [(0, 1), 2]),
    ("1.png 1,2\n2.png 0\n", [(1, 2), 0]),
    ("1.png\tdog|owl\n2.png cat\n", [(1, 2), 0]),
    ("1.png 0 1 1\n2.png 1 0 0\n3.png 0 0 0\n", [(1, 2), 0, ()]),
])
def test_labels_behind_paths(lines: str, labels: list[Label], tmp_path: Path) -> None:
    data = open_dataset(listed(tmp_path, lines))
    assert [label for _, label in training_split(data)] == labels


def test_names_with_blanks_behind_paths(tmp_path: Path) -> None:
    path = listed(tmp_path, "1.png black cat, dog\n2.png black cat\n", "black cat\ndog\nblack\n")
    assert names_of(training_split(open_dataset(path))) == [("1.png", (0, 1)), ("2.png", 0)]


@pytest.mark.parametrize("lines", ["1.png cat fox\n2.png owl\n", "1.png 0,3\n2.png 1\n", "1.png 0,1,2,2,1\n2.png 1\n",
                                   "1.png 0,1,2,2,1 0,1,1,2,0\n2.png 1\n"])
def test_words_that_are_not_labels(lines: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"l\.txt:1: behind the path of an image is the name of its class"):
        open_dataset(listed(tmp_path, lines))


def test_labels_of_folders_count_for_a_network_that_learns_several(tmp_path: Path) -> None:
    images(tmp_path, "black/1_cat.png", "white/2_dog.png")
    write(tmp_path / "l.txt", "black/1_cat.png\nwhite/2_dog.png\n")
    path = write(tmp_path / "a.yaml", "train: l.txt\nnames: [cat, dog, black, white]\n")
    assert names_of(training_split(open_dataset(path))) == [("1_cat.png", 0), ("2_dog.png", 1)]
    assert names_of(training_split(open_dataset(path, several_labels=True))) == [
        ("1_cat.png", (0, 2)), ("2_dog.png", (1, 3))]


@pytest.mark.parametrize("form", ["table", "list"])
def test_a_row_for_each_label(form: str, tmp_path: Path) -> None:
    """Rows that repeat an image with the same label stay as they are."""
    rows = [("1.png", "cat"), ("2.png", "dog"), ("1.png", "dog"), ("3.png", "owl"), ("3.png", "owl")]
    path = table(tmp_path, "path,label\n" + "".join(f"{image},{label}\n" for image, label in rows)) if form == "table" \
        else listed(tmp_path, "".join(f"{image} {label}\n" for image, label in rows))
    assert names_of(training_split(open_dataset(path, several_labels=True))) == [
        ("1.png", (0, 1)), ("2.png", 1), ("3.png", 2)]
    assert len(training_split(open_dataset(path))) == 5
    same = table(tmp_path, "path,label\n1.png,cat\n1.png,cat\n2.png,dog\n")
    assert len(training_split(open_dataset(same, several_labels=True))) == 3


def test_a_network_of_one_class_leaves_such_images_out(tmp_path: Path) -> None:
    path = table(tmp_path, "filename,cat,dog\n1.png,0,1\n2.png,1,1\n3.png,0,0\n")
    data = open_dataset(path, several_labels=False)
    assert names_of(training_split(data)) == [("1.png", 1)] and not data.several_labels
    assert data.warnings[0] == (
        f"images of several classes: 1 of 3, left out, for instance {tmp_path}/2.png (cat, dog); images of no class: 1 "
        f"of 3, left out, for instance {tmp_path}/3.png. A network that ends in [logistic] learns all labels of an "
        "image")
    with pytest.raises(DataError, match=r"classes: 1 of 1, for instance .* so no image is left\. A network that"):
        open_dataset(table(tmp_path, "filename,cat,dog\n1.png,1,1\n"), several_labels=False)


def split(labels: list[Label], classes: int = 3) -> Split:
    rng = np.random.default_rng(0)
    return Split([(f"a#{i}", label) for i, label in enumerate(labels)], classes,
                 rng.random((len(labels), 1, 4, 4)).astype(np.float32))


def test_counts() -> None:
    data = split([(0, 1), (0, 2), 0, (), 1])
    assert data.several_labels and data.counts().tolist() == [3, 2, 1] and data.labels_per_image().tolist() == [1, 2, 2]
    assert data.labels().tolist() == [1, 2, 0, -1, 1]       # the rarest class of each
    one = data.take([2, 4])
    assert not one.several_labels and one.labels().tolist() == [0, 1] and one.counts().tolist() == [1, 1, 0]


@pytest.mark.parametrize("smoothing", [0., .3])
def test_truth(smoothing: float) -> None:
    """As in darknet (src/data.c:fill_truth): every label 1 - e, the other classes e / (classes - 1)."""
    with batches(split([(0, 2), (), 1]), batch=3, width=4, height=4, channels=1, label_smoothing=smoothing) as loader:
        (_, truth), = loader
    expected = np.where([[1, 0, 1], [0, 0, 0], [0, 1, 0]], 1 - smoothing, smoothing / 2)
    np.testing.assert_allclose(truth, expected, rtol=1e-6)


def test_truth_of_one_label_each_is_bit_identical() -> None:
    labels = np.random.default_rng(3).integers(0, 3, 9).tolist()
    found = []
    for data in (split(labels), split([(label,) for label in labels])):
        with batches(data, batch=4, width=4, height=4, channels=1, label_smoothing=.1, shuffle=True, seed=1, epochs=4,
                     augment=Augment(4, 4, mix=4)) as loader:
            found.append([(x.tobytes(), truth.tobytes()) for x, truth in loader])
    assert found[0] == found[1] and len(found[0]) == 9


@pytest.mark.parametrize("mix", [1, 2, 3])
def test_mixed_images_have_the_labels_of_their_parts_by_share(mix: int) -> None:
    data = split([(0, 1), (1, 2), (0, 2)])
    with batches(data, batch=3, width=4, height=4, channels=1, shuffle=True, endless=True,
                 augment=Augment(4, 4, mix=mix)) as loader:
        truths = [truth for (_, truth), _ in zip(loader, range(8), strict=False)]
    assert all(truth.sum(axis=1) == pytest.approx(2, abs=1e-5) for truth in truths)
    assert any(((truth > .01) & (truth < .99)).any() for truth in truths)


def test_balance_and_a_held_out_share_know_the_rarest_class(tmp_path: Path) -> None:
    data = split([(0, 1) if i % 10 == 0 else 0 for i in range(40)], 2)
    with batches(data, batch=40, width=4, height=4, channels=1, shuffle=True, balance=1) as loader:
        (_, truth), = loader
    assert truth[:, 1].sum() == 20 and truth[:, 0].sum() == 40
    flags = "".join(f"{i}.png,{int(i < 30)},{int(i % 10 == 0)}\n" for i in range(40))
    images(tmp_path, *(f"{i}.png" for i in range(40)))
    held = hold_out(open_dataset(write(tmp_path / "a.csv", "filename,cat,dog\n" + flags)), .25)
    assert held.test is not None and held.test.counts().tolist() == [8, 1] and held.several_labels
