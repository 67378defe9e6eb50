"""data/digits is complete, and tools/make_digits.py generates the same images."""
import runpy

import numpy as np
import pytest
from PIL import Image

from tests.paths import ROOT

COUNTS = {"train": [143, 146, 142, 147, 145, 146, 145, 144, 140, 144],
          "test": [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]}


@pytest.mark.parametrize("part", COUNTS)
def test_every_class_is_complete(part: str) -> None:
    folders = [ROOT / "data" / "digits" / part / str(digit) for digit in range(10)]
    assert [len(list(folder.glob("*.png"))) for folder in folders] == COUNTS[part]


def test_the_tool_generates_the_same_images() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")
    made = list(runpy.run_path(str(ROOT / "tools" / "make_digits.py"))["digits"]())
    assert len({name for name, _ in made}) == sum(map(sum, COUNTS.values())) == 1797
    for name, pixels in made[::50]:
        with Image.open(ROOT / "data" / "digits" / name) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), pixels)
