"""Numbers and how messages show values."""
import pytest

from runner.reading.numbers import LARGEST, is_whole, real, shown, whole


@pytest.mark.parametrize("text, value", [("0", 0), ("-7", -7), ("+3", 3), (" 12 ", 12), ("007", 7),
                                         (str(LARGEST), LARGEST)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize("text", ["", "1_000", "²", "\uff11", "\u0663", "1.0", "1e3", "0x10", "9" * 19, "9" * 5000,
                                  "nan", "-"])
def test_what_is_not_a_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a whole number\. Got"):
        whole(text)
    assert not is_whole(text)


def test_bounds_are_in_the_message() -> None:
    with pytest.raises(ValueError, match=r"must be a whole number, at least 1, at most 1,000. Got '0'"):
        whole("0", 1, 1000)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-infinity", "1e999", "1_0", "\uff11", "0x1", "1,5"])
def test_what_is_not_a_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a number\. Got"):
        real(text)


def test_numbers() -> None:
    assert [real(text) for text in ("1", "-.5", "1e3", " 2. ")] == [1, -.5, 1000, 2]


@pytest.mark.parametrize("value, text", [
    ([1, 2], "[1, 2]"), ((1,), "(1,)"), ({"a": None}, "{'a': None}"), ("a\n", r"'a\n'"), ([[[[1]]]], "[[[[...]]]]"),
    (list(range(9)), "[0, 1, 2, 3, 4, 5, ...]"), ([], "[]")])
def test_values_in_messages(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut() -> None:
    assert shown(10**5000) == "a number of about 5,001 digits"
    assert len(shown("x" * 10**6)) < 300
    assert shown("x" * 10**6).endswith("... (1,000,000 characters)")
    assert len(shown([["x" * 1000] * 100] * 100)) < 10_000
