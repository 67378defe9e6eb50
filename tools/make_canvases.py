"""Make large images with small objects, from the test scenes of data/scenes: to see what `detect --tiles` is for.

    python tools/make_canvases.py FOLDER

Each canvas is a board of 8 x 8 scenes, 768 x 768 pixels, and its digits are as small as in the scenes: 13 to 50 pixels
high.  A network for scenes, with an input of 96 x 96 pixels, sees a whole canvas at an eighth of its size.  The
generator is seeded, so the result is always the same.

    images/val/0.png    greyscale
    labels/val/0.txt    a line per digit: class, and centre x, y, width, height relative to the image
    classes.txt         the class names
"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCENES = Path(__file__).resolve().parents[1] / "data" / "scenes"
CANVASES = 4
CELLS = 8           # scenes along each side of a canvas


def canvas(names: list[str], scenes: Path = SCENES) -> tuple[np.ndarray, list[str]]:
    """A board of CELLS x CELLS test scenes, by their names -> its pixels (h, w) uint8, and the lines of its label
    file."""
    pixels = [np.asarray(Image.open(scenes / "images" / "test" / f"{name}.png")) for name in names]
    lines = []
    for cell, name in enumerate(names):
        row, column = divmod(cell, CELLS)
        for line in (scenes / "labels" / "test" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            label, *box = line.split()
            x, y, width, height = map(float, box)
            lines.append(f"{label} {(column + x) / CELLS:.6f} {(row + y) / CELLS:.6f} {width / CELLS:.6f} "
                         f"{height / CELLS:.6f}")
    return np.block([pixels[first:first + CELLS] for first in range(0, len(pixels), CELLS)]), lines


def main(folder: Path, canvases: int = CANVASES) -> None:
    images, labels = folder / "images" / "val", folder / "labels" / "val"
    for path in (images, labels):
        path.mkdir(parents=True, exist_ok=True)
    names = sorted(path.stem for path in (SCENES / "images" / "test").glob("*.png"))
    rng, shown = np.random.default_rng(0), 0
    for number in range(canvases):
        order = np.argsort(rng.random(len(names)), kind="stable")[:CELLS * CELLS]
        pixels, lines = canvas([names[index] for index in order])
        Image.fromarray(pixels).save(images / f"{number}.png", optimize=True)
        (labels / f"{number}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        shown += len(lines)
    (folder / "classes.txt").write_text("".join(f"{digit}\n" for digit in range(10)), encoding="utf-8")
    print(f"{folder}: {canvases} canvases, {shown} digits")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/make_canvases.py FOLDER")
    main(Path(sys.argv[1]))
