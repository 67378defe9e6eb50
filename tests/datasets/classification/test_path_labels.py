"""Which class a path names: the most exact match, and none where it does not say."""
import pytest

from runner.datasets.classification.path_labels import every_label_in, labels_in, split_of_paths
from runner.datasets.lists import ListedImage
from runner.errors import DataError

WEATHER = ["rain", "sun", "snow"]
PEOPLE = ["person", "noperson", "man", "woman"]


@pytest.mark.parametrize("path, labels, expected", [
    ("w/train/0004_sun.png", WEATHER, ["sun"]),                 # rain is in train
    ("w/train/0004_rain.png", WEATHER, ["rain"]),
    ("w/train/snow/4.png", WEATHER, ["snow"]),
    ("sun/0004_rain.png", WEATHER, ["rain"]),                   # the file name decides
    ("sun/rain/4.png", WEATHER, ["rain"]),                      # the nearest folder
    ("train_sun.png", WEATHER, ["sun"]),                        # a whole word before a part
    ("rainy7.png", WEATHER, ["rain"]),                          # a part, where there is nothing else
    ("sunny/4.png", WEATHER, ["sun"]),
    ("sun/sunny4.png", WEATHER, ["sun"]),
    ("sun/rainy4.png", WEATHER, ["rain", "sun"]),               # the folder says one thing, the name another
    ("a/5_noperson.png", PEOPLE, ["noperson"]),
    ("noperson/5.png", PEOPLE, ["noperson"]),
    ("woman_1.png", PEOPLE, ["woman"]),
    ("0_man_person.png", PEOPLE, ["person", "man"]),
    ("man woman.png", PEOPLE, ["man", "woman"]),
    ("noperson-person.png", PEOPLE, ["person", "noperson"]),
    ("ice cream.png", ["ice", "ice cream", "cream"], ["ice cream"]),
    ("abcd.png", ["abc", "bcd"], ["abc", "bcd"]),               # of the same length
    ("17_3.png", ["1", "7", "3"], ["3"]),
    ("17/x.png", ["1", "7", "17"], ["17"]),
    ("img/n01440764_10026.JPEG", ["n01440764", "n0144076"], ["n01440764"]),
    ("photos/jpeg/a_dog.jpeg", ["jpeg", "dog"], ["dog"]),        # the ending of the file is not a part of its name
    ("x/dog/1.png", ["/dog/", "/cat/"], ["/dog/"]),
    ("C:\\train\\sun1.png", WEATHER, ["sun"]),
    ('"train/sun"', WEATHER, ["sun"]),
    ("plain.png", WEATHER, []),
    ("Sun.png", WEATHER, []),
])
def test_the_classes_a_path_names(path: str, labels: list[str], expected: list[str]) -> None:
    assert [labels[index] for index in labels_in(path, labels)] == expected


def test_no_order_of_the_labels_changes_the_class() -> None:
    for labels in (PEOPLE, PEOPLE[::-1]):
        assert [labels[index] for index in labels_in("train/5_noperson.png", labels)] == ["noperson"]


def test_a_path_with_several_classes_and_one_with_none() -> None:
    warnings: list[str] = []
    lines = [ListedImage(1, "sun.png", "a/sun.png"), ListedImage(2, "sun_rain.png", "a/sun_rain.png")]
    assert split_of_paths("l.txt", lines, WEATHER, warnings).items == [("a/sun.png", 1), ("a/sun_rain.png", (0, 1))]
    with pytest.raises(DataError, match=r"l\.txt:3: none of the 3 classes"):
        split_of_paths("l.txt", [ListedImage(3, "fog.png", "fog.png")], WEATHER, warnings)
    assert not warnings


@pytest.mark.parametrize("path, expected", [
    ("w/sun/0004_rain.png", ["rain", "sun"]),           # the folder, too
    ("w/snow/cold/0004_rain.png", ["rain", "snow"]),    # not only the nearest one
    ("w/train/0004_sun.png", ["sun"]),                  # rain is in train
    ("w/sunny/0004_rain.png", ["rain"]),
    ("w/train/rainy7.png", ["rain"]),                   # a part, where there is no word
    ("w\\snow\\sun 1.png", ["sun", "snow"]),
    ('"w/snow/1.png"', ["snow"]),
    ("w/x/1.png", []),
])
def test_every_label_of_a_path(path: str, expected: list[str]) -> None:
    assert [WEATHER[index] for index in every_label_in(path, WEATHER)] == expected


def test_a_folder_that_all_images_share_is_not_a_label() -> None:
    warnings: list[str] = []
    lines = [ListedImage(i, f"my snow/{name}", name) for i, name in enumerate(["sun/1_rain.png", "2_sun.png"], 1)]
    assert split_of_paths("l.txt", lines, WEATHER, warnings, every_label=True).items == [
        ("sun/1_rain.png", (0, 1)), ("2_sun.png", 1)]
    assert warnings == ["l.txt: my snow/ names snow, and all images are in that folder: it is not taken as a label"]
    only = [ListedImage(1, "snow/1.png", "1.png"), ListedImage(2, "snow/2.png", "2.png")]
    assert split_of_paths("l.txt", only, WEATHER, warnings, every_label=True).items == [("1.png", 2), ("2.png", 2)]


@pytest.mark.parametrize(("path", "labels", "says"), [
    ("i/Cat_1.png", ["cat", "dog"], "none of the 2 classes occurs in the path 'i/Cat_1.png' ('cat' does, in another "
                                    "case; names are compared as written)"),
    ("Kätzchen/1.png", ["KÄTZCHEN"], "'KÄTZCHEN' does not occur in the path 'Kätzchen/1.png' ('KÄTZCHEN' does, in "
                                     "another case; names are compared as written)"),
    ("i/cow_1.png", ["cat", "dog"], "none of the 2 classes occurs in the path 'i/cow_1.png'")])
def test_a_class_in_another_case_is_named(path: str, labels: list[str], says: str) -> None:
    with pytest.raises(DataError) as raised:
        split_of_paths("l.txt", [ListedImage(1, path, path)], labels, [])
    assert str(raised.value) == f"l.txt:1: {says}"
