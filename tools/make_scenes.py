"""Rebuild data/scenes/ : small pictures with handwritten digits on them, and YOLO labels saying where.

    python tools/make_scenes.py [FOLDER]         (default data/scenes)

The digits are those of data/digits: scenes to train on show its training digits, scenes to test its test digits. They
come in several sizes, light or dark, a little turned, some half covered by others, on backgrounds that are plain,
shaded, striped or cloudy; some scenes hold none. All chance comes from one seed: running this again gives the same
files.

    images/train/0000.png    96 x 96 pixels, grey
    labels/train/0000.txt    a line for each digit: class, and centre x, y, width, height as parts of the picture
"""
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
SIDE = 96
SCENES = {"train": 600, "test": 120}
EMPTY = 1 / 15              # part of the scenes that hold no digit
MOST = 6                    # digits in a scene
SMALLEST, LARGEST = 13, 46  # height of a digit, pixels
COVERED = 0.25              # largest part of a digit that a later one may cover
INK = 0.35                  # as much ink makes a pixel part of a digit's box
Box = tuple[int, int, int, int]     # left, top, right, bottom


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """The one way chance is used here: it gives the same numbers with every version of NumPy."""
    return low + (high - low) * float(rng.random())


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """low, low + 1 ... high, each as likely."""
    return low + int(rng.random() * (high - low + 1))


def background(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE) float levels 0..255 around a middle grey of its own."""
    middle, depth = uniform(rng, 50, 205), uniform(rng, 10, 40)
    kind, y, x = whole(rng, 0, 3), *np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    turn = uniform(rng, 0, 2 * np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    if kind == 0:
        pattern = np.zeros((SIDE, SIDE))
    elif kind == 1:
        pattern = along - along.mean()
    elif kind == 2:
        pattern = np.where(np.floor(along * uniform(rng, 3, 12)) % 2 == 0, 0.5, -0.5)
    else:
        coarse = Image.fromarray((255 * rng.random((5, 5))).astype(np.uint8))
        pattern = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255 - 0.5
    return middle + depth * pattern


def clutter(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture with up to three boxes or discs on it that are no digits."""
    canvas = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(whole(rng, 0, 3)):
        x, y, wide, high = (whole(rng, 0, SIDE), whole(rng, 0, SIDE), whole(rng, 6, 50), whole(rng, 6, 50))
        level = int(np.clip(picture.mean() + uniform(rng, -35, 35), 0, 255))
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape((x - wide // 2, y - high // 2, x + wide // 2, y + high // 2), fill=level)
    return np.asarray(canvas).astype(float)


def stamp(rng: np.random.Generator, digit: Image.Image) -> np.ndarray:
    """The ink of a digit, 0..1, in a size and turn of its own, cut to where there is any."""
    # small ones are as frequent as large ones: the logarithm of the size is uniform
    height = SMALLEST * (LARGEST / SMALLEST) ** float(rng.random())
    wide = height * uniform(rng, 0.8, 1.15)
    big = digit.resize((max(round(wide), 6), round(height)), Image.Resampling.BICUBIC)
    turned = big.rotate(uniform(rng, -14, 14), Image.Resampling.BICUBIC, expand=True)
    ink = np.asarray(turned) / 255
    rows, columns = np.flatnonzero((ink > INK).any(1)), np.flatnonzero((ink > INK).any(0))
    return ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def covered(box: Box, other: Box) -> float:
    """The part of the smaller of two boxes that lies in both."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return max(width, 0) * max(height, 0) / smaller


def place(rng: np.random.Generator, ink: np.ndarray, taken: list[Box]) -> Box | None:
    """Somewhere that covers no digit by more than COVERED; None when ten tries find no such place."""
    high, wide = ink.shape
    for _ in range(10):
        left, top = whole(rng, 0, SIDE - wide), whole(rng, 0, SIDE - high)
        box = left, top, left + wide, top + high
        if all(covered(box, other) <= COVERED for other in taken):
            return box
    return None


def scene(rng: np.random.Generator, digits: "cycle[tuple[int, Image.Image]]") -> tuple[np.ndarray, list[str]]:
    """A picture (SIDE, SIDE) uint8 and the lines of its label file."""
    picture, taken, lines = clutter(rng, background(rng)), [], []
    for _ in range(0 if rng.random() < EMPTY else whole(rng, 1, MOST)):
        kind, digit = next(digits)
        ink = stamp(rng, digit)
        box = place(rng, ink, taken)
        if box is None:
            continue
        left, top, right, bottom = box
        under = picture[top:bottom, left:right]
        contrast = uniform(rng, 70, 130)
        level = under.mean() + (contrast if under.mean() < 127 else -contrast)
        picture[top:bottom, left:right] = under + ink * (level - under)
        taken.append(box)
        lines.append(f"{kind} {(left + right) / 2 / SIDE:.6f} {(top + bottom) / 2 / SIDE:.6f} "
                     f"{(right - left) / SIDE:.6f} {(bottom - top) / SIDE:.6f}")
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), lines


def digits_of(folder: Path, rng: np.random.Generator) -> list[tuple[int, Image.Image]]:
    """Class and picture of every digit below a folder, shuffled."""
    found = [(int(path.parent.name), path) for path in sorted(folder.glob("*/*.png"))]
    if not found:
        sys.exit(f"tools/make_scenes.py: there are no digits in {folder}; tools/make_digits.py makes them")
    order = np.argsort(rng.random(len(found)), kind="stable")
    return [(found[i][0], Image.open(found[i][1]).convert("L")) for i in order]


def main(folder: Path) -> None:
    for number, (part, count) in enumerate(SCENES.items()):
        rng = np.random.default_rng(number)
        images, labels = folder / "images" / part, folder / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        digits, shown = cycle(digits_of(ROOT / "data" / "digits" / part, rng)), 0
        for index in range(count):
            picture, lines = scene(rng, digits)
            Image.fromarray(picture).save(images / f"{index:04d}.png", optimize=True)
            (labels / f"{index:04d}.txt").write_text("".join(line + "\n" for line in lines))
            shown += len(lines)
        print(f"{folder}: {count} scenes to {part}, {shown} digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "data" / "scenes")
