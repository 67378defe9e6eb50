"""Images that the tests of batches read."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.datasets import Split


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Eleven images of different sizes, three classes."""
    rng, items = np.random.default_rng(0), []
    for k in range(11):
        path = tmp_path / f"{k}.png"
        Image.fromarray(rng.integers(0, 256, (5 + k % 3, 9 + k % 2, 3), dtype=np.uint8)).save(path)
        items.append((str(path), k % 3))
    return Split(items, 3)
