"""Rebuild data/digits/: handwritten digits as PNG files, one folder per class.

    python tools/make_digits.py [FOLDER]         (default data/digits)

The images are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI
Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0): 1,797 digits of 13 writers, 8x8
pixels of 0..16.  They come from the copy in the scikit-learn package, which only this script needs:

    pip install scikit-learn

Each pixel v becomes round(v * 255 / 16).  Every fifth image of a class, in the order of the source, goes to test/, the
others to train/.  Nothing is random, so the result is always the same.
"""
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

TEST_EVERY = 5


def digits() -> Iterator[tuple[str, np.ndarray]]:
    """Relative file name and 8x8 uint8 pixels of each image, in the order of the source."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("tools/make_digits.py needs scikit-learn, which is not installed: pip install scikit-learn")
    source = load_digits()
    seen = [0] * 10
    for values, label in zip(source.images, source.target, strict=True):
        number = seen[label]
        seen[label] += 1
        part = "test" if number % TEST_EVERY == TEST_EVERY - 1 else "train"
        yield f"{part}/{label}/{number:04d}.png", np.rint(values * 255 / 16).astype(np.uint8)


def main(folder: Path) -> None:
    counts = {"train": 0, "test": 0}
    for name, pixels in digits():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, optimize=True)
        counts[name.split("/")[0]] += 1
    print(f"{folder}: {counts['train']} training images, {counts['test']} test images")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "data" / "digits"))
