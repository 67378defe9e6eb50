"""List files: lines, and the images they name."""
from pathlib import Path

import pytest

from runner.datasets.lists import locate, read_lines, read_list, spellings
from runner.errors import DataError
from tests.datasets.examples import image


def test_one_missing_image_stays_in_the_list(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "l.txt").write_text("a.png\nb.png")
    assert [line.path for line in read_list(tmp_path / "l.txt")] == [str(tmp_path / "a.png"), "b.png"]
    with pytest.raises(DataError, match="this is a PNG image"):
        list(read_lines(tmp_path / "a.png"))


@pytest.mark.parametrize("written", [r"data\obj\a b.png", '"data/obj/a b.png"', r'"data\obj\a b.png"',
                                     "'data/obj/a b.png'", "data/obj/a b.png"])
def test_quotes_and_backslashes_of_windows(written: str, tmp_path: Path) -> None:
    image(tmp_path / "data" / "obj" / "a b.png")
    (tmp_path / "l.txt").write_text(f"{written}\r\n")
    assert read_list(tmp_path / "l.txt") == [(1, written, str(tmp_path / "data/obj/a b.png"), "")]
    assert locate(written, [Path("elsewhere"), tmp_path]) == str(tmp_path / "data/obj/a b.png")


def test_a_name_with_quotes_or_a_backslash_is_found_as_it_is(tmp_path: Path) -> None:
    for name in ("'a'", r"b\c"):
        (tmp_path / name).touch()
        assert locate(name, [tmp_path]) == str(tmp_path / name)


def test_one_pair_of_quotes_is_taken_off() -> None:
    assert spellings('""a""') == ['""a""', '"a"']
    assert spellings('"a') == ['"a']
    assert spellings('""') == ['""']
