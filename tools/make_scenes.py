"""Rebuild data/scenes/: small images with handwritten digits, and their YOLO labels.

    python tools/make_scenes.py [FOLDER]         (default data/scenes)

The digits are those of data/digits: training scenes use its training digits, test scenes its test digits.  They have
several sizes, are light or dark, slightly rotated and sometimes partly covered, on backgrounds that are plain, shaded,
striped or cloudy; some scenes are empty.  The generator is seeded, so the result is always the same.

    images/train/0000.png    96 x 96 pixels, greyscale
    labels/train/0000.txt    a line per digit: class, and centre x, y, width, height relative to the image
"""
import sys
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
SIDE = 96
SCENES = {"train": 600, "test": 120}
EMPTY = 1 / 15              # fraction of the scenes without a digit
MOST = 6                    # most digits in a scene
SMALLEST, LARGEST = 13, 46  # height of a digit, pixels
COVERED = 0.25              # largest fraction of a digit that a later one may cover
INK = 0.35                  # pixels with more ink are part of a digit's box
Box = tuple[int, int, int, int]     # left, top, right, bottom


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in [low, high).  Uses only rng.random(), whose numbers are the same in every version of NumPy."""
    return low + (high - low) * float(rng.random())


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A uniform integer in low..high, both included."""
    return low + int(rng.random() * (high - low + 1))


def background(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE) float levels 0..255 around a random grey."""
    middle, depth = uniform(rng, 50, 205), uniform(rng, 10, 40)
    pattern_type, y, x = integer(rng, 0, 3), *np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    angle = uniform(rng, 0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    if pattern_type == 0:
        pattern = np.zeros((SIDE, SIDE))
    elif pattern_type == 1:
        pattern = along - along.mean()
    elif pattern_type == 2:
        pattern = np.where(np.floor(along * uniform(rng, 3, 12)) % 2 == 0, 0.5, -0.5)
    else:
        coarse = Image.fromarray((255 * rng.random((5, 5))).astype(np.uint8))
        pattern = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255 - 0.5
    return middle + depth * pattern


def clutter(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image with up to three rectangles or ellipses as distractors."""
    canvas = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(integer(rng, 0, 3)):
        x, y, width, height = (integer(rng, 0, SIDE), integer(rng, 0, SIDE), integer(rng, 6, 50), integer(rng, 6, 50))
        level = int(np.clip(image.mean() + uniform(rng, -35, 35), 0, 255))
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape((x - width // 2, y - height // 2, x + width // 2, y + height // 2), fill=level)
    return np.asarray(canvas).astype(float)


def stamp(rng: np.random.Generator, digit: Image.Image) -> np.ndarray:
    """The ink of a digit, 0..1, at a random size and rotation, cropped to its bounding box."""
    # the logarithm of the size is uniform, so that small digits are as frequent as large ones
    height = SMALLEST * (LARGEST / SMALLEST) ** float(rng.random())
    width = height * uniform(rng, 0.8, 1.15)
    big = digit.resize((max(round(width), 6), round(height)), Image.Resampling.BICUBIC)
    rotated = big.rotate(uniform(rng, -14, 14), Image.Resampling.BICUBIC, expand=True)
    ink = np.asarray(rotated) / 255
    rows, columns = np.flatnonzero((ink > INK).any(1)), np.flatnonzero((ink > INK).any(0))
    return ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def covered(box: Box, other: Box) -> float:
    """The area of the intersection of two boxes as a fraction of the smaller one."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
    return max(width, 0) * max(height, 0) / smaller


def place(rng: np.random.Generator, ink: np.ndarray, taken: list[Box]) -> Box | None:
    """A random position that covers no digit by more than COVERED; None if ten attempts fail."""
    height, width = ink.shape
    for _ in range(10):
        left, top = integer(rng, 0, SIDE - width), integer(rng, 0, SIDE - height)
        box = left, top, left + width, top + height
        if all(covered(box, other) <= COVERED for other in taken):
            return box
    return None


def scene(rng: np.random.Generator, digits: "cycle[tuple[int, Image.Image]]") -> tuple[np.ndarray, list[str]]:
    """An image (SIDE, SIDE) uint8 and the lines of its label file."""
    image, taken, lines = clutter(rng, background(rng)), list[Box](), list[str]()
    for _ in range(0 if rng.random() < EMPTY else integer(rng, 1, MOST)):
        label, digit = next(digits)
        ink = stamp(rng, digit)
        box = place(rng, ink, taken)
        if box is None:
            continue
        left, top, right, bottom = box
        under = image[top:bottom, left:right]
        contrast = uniform(rng, 70, 130)
        level = under.mean() + (contrast if under.mean() < 127 else -contrast)
        image[top:bottom, left:right] = under + ink * (level - under)
        taken.append(box)
        lines.append(f"{label} {(left + right) / 2 / SIDE:.6f} {(top + bottom) / 2 / SIDE:.6f} "
                     f"{(right - left) / SIDE:.6f} {(bottom - top) / SIDE:.6f}")
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), lines


def digits_of(folder: Path, rng: np.random.Generator) -> list[tuple[int, Image.Image]]:
    """(class, image) of every digit in a folder, shuffled."""
    found = [(int(path.parent.name), path) for path in sorted(folder.glob("*/*.png"))]
    if not found:
        sys.exit(f"tools/make_scenes.py: there are no digits in {folder}; run tools/make_digits.py first")
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
            image, lines = scene(rng, digits)
            Image.fromarray(image).save(images / f"{index:04d}.png", optimize=True)
            (labels / f"{index:04d}.txt").write_text("".join(line + "\n" for line in lines))
            shown += len(lines)
        print(f"{folder}: {count} {part} scenes, {shown} digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "data" / "scenes")
