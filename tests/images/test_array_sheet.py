"""Sheets that show arrays: grey levels, and arrays of every shape."""
import numpy as np
import pytest

from runner.images.array_sheet import Panel, array_sheet, to_levels


def test_levels_of_what_is_not_negative() -> None:
    np.testing.assert_array_equal(to_levels(np.array([0, .5, 1])), [0, 128, 255])
    np.testing.assert_array_equal(to_levels(np.array([0, 1, 2.])), [0, 128, 255])
    np.testing.assert_array_equal(to_levels(np.zeros(3)), [0, 0, 0])


def test_levels_of_signed_values_keep_zero_in_the_middle() -> None:
    np.testing.assert_array_equal(to_levels(np.linspace(-1, 1, 1001))[[0, 500, 1000]], [0, 128, 255])
    values = np.concatenate([np.linspace(-1, 1, 1000), [1000.]])        # one outlier does not hide the rest
    assert to_levels(values)[0] == 0 and to_levels(values)[-1] == 255
    assert list(to_levels(np.array([-1, np.nan, np.inf, 1]))[1:3]) == [128, 128]


@pytest.mark.parametrize("shape", [(3, 20, 30), (1, 5, 4), (7, 9, 9), (40, 2, 2), (12,), (1,), (2, 1, 1)])
def test_every_shape_can_be_drawn(shape):
    page = array_sheet("heading", [Panel("one", np.ones(shape)), Panel("two", -np.ones(shape))], 220)
    assert page.width == 12 + 2 * (220 + 12)
