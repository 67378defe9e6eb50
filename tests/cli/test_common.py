"""Argument types of the command line."""
import argparse

import pytest

from runner.cli import common


@pytest.mark.parametrize(("text", "seconds"), [("90", 5400), ("1h30m", 5400), ("45s", 45), ("1h5s", 3605)])
def test_times(text, seconds):
    assert common.minutes(text) == seconds


@pytest.mark.parametrize("text", ["0", "", "h", "10x", "-5", "1.5h", "5 m", "\u0663", "9" * 5000, "9" * 5000 + "h"])
def test_times_that_cannot_be_read(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a duration such as 1h30m, 10m or 45s"):
        common.minutes(text)


@pytest.mark.parametrize("read, text, rule", [
    (common.positive, "0", "an integer, at least 1"), (common.positive, "9" * 5000, "5,000 characters"),
    (common.natural, "\u0663", "an integer, at least 0"), (common.natural, "1_0", "an integer"),
    (common.share, "nan", "a number from 0 to 1"), (common.share, "1e999", "a number from 0 to 1"),
    (common.above_zero, "0", "a number above 0"), (common.above_zero, "nan", "a number above 0"),
    (common.above_zero, "inf", "a number above 0"), (common.above_zero, "1_0", "a number above 0")],
    ids=lambda value: value[:9] if isinstance(value, str) else value.__name__)
def test_numbers_that_cannot_be_read(read, text, rule):
    with pytest.raises(argparse.ArgumentTypeError, match=f"must be .*{rule}|Got .*{rule}"):
        read(text)


def test_numbers():
    assert (common.positive("1"), common.natural("0"), common.share("1e-3"), common.above_zero("1e-5")) == (
        1, 0, 1e-3, 1e-5)
