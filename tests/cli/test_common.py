"""Argument types of the command line."""
import argparse

import pytest

from runner.cli import common


@pytest.mark.parametrize(("text", "seconds"), [("90", 5400), ("1h30m", 5400), ("45s", 45), ("1h5s", 3605)])
def test_times(text, seconds):
    assert common.minutes(text) == seconds


@pytest.mark.parametrize("text", ["0", "", "h", "10x", "-5", "1.5h", "5 m"])
def test_times_that_cannot_be_read(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a duration such as 1h30m, 10m or 45s"):
        common.minutes(text)
