"""Draw docs/images/detection-augmentation.jpg: a row for each option that changes pictures with boxes, for
docs/detection-data.md.

    python tools/make_detection_augmentation.py [FILE]
"""
import itertools
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from runner.images import BoxAugment, augmented, read_pixels
from runner.images.contact_sheet import contact_sheet
from runner.images.draw import draw_boxes

ROOT = Path(__file__).parents[1]
SIDE, COLUMNS, RIGHT = 136, 6, 288           # RIGHT: the photo is cut there, but for letter_box
NAMES = ["tree", "boat", "sun"]
CORNERS = [(13, 48, 128, 238), (160, 128, 224, 202), (248, 95, 275, 119)]      # left, top, right, bottom in the photo
STILL = {"jitter": 0., "flip": False}
ROWS = [
    ("jitter=.3: each edge moves in or out", {"jitter": .3}),
    ("resize=1.5: zoomed in or out", {"resize": 1.5}),
    ("flip=1: half of them mirrored", {"flip": True}),
    ("hue=.1, saturation=1.5, exposure=1.5: colours", {"hue": .1, "saturation": 1.5, "exposure": 1.5}),
    ("letter_box=1: the aspect ratio is kept (the whole photo in a square input)", {"letterbox": True}),
    ("mosaic=1: four put together (half of them)", {"mosaic": True, "jitter": .2, "flip": True}),
    ("mosaic=1, mosaic_bound=1: boxes are cut where the four meet",
     {"mosaic": True, "mosaic_bound": True, "jitter": .2, "flip": True}),
    ("mixup=1: two blended (half of them)", {"mixup": True, "jitter": .2, "flip": True}),
    ("blur=1: all but the things blurred (two thirds of them)", {"blur": 1}),
    ("gaussian_noise=25: noise (half of them)", {"gaussian_noise": 25.}),
]


def boxes_in(pixels: np.ndarray) -> np.ndarray:
    """(k, 5): x, y, w, h as parts of the picture, class."""
    h, w = pixels.shape[1:]
    return np.array([((left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h, kind)
                     for kind, (left, top, right, bottom) in enumerate(CORNERS)], np.float32)


def main() -> None:
    photo, rows = read_pixels(ROOT / "docs/images/photo.jpg"), []
    for title, changes in ROWS:
        settings, tiles = BoxAugment(**{**STILL, **changes}), []
        pixels = photo if settings.letterbox else photo[:, :, :RIGHT]
        picture = pixels, boxes_in(pixels)
        for seed in itertools.count():
            asked: list[int] = []
            image, found = augmented(picture, lambda asked=asked, picture=picture: asked.append(1) or picture, settings,
                                     SIDE, SIDE, 50, np.random.default_rng(seed))
            if asked or not (settings.mosaic or settings.mixup):
                drawn = [(NAMES[int(kind)], int(kind), None, ((x - a / 2) * SIDE, (y - b / 2) * SIDE,
                                                              (x + a / 2) * SIDE, (y + b / 2) * SIDE))
                         for x, y, a, b, kind in found.tolist()]
                tiles.append((draw_boxes(image, drawn), ""))
            if len(tiles) == COLUMNS:
                break
        rows.append((title, tiles))
    page = contact_sheet(["What a cfg can do to pictures before a detector learns from them"], rows, SIDE)
    page.save(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/images/detection-augmentation.jpg", quality=72)


if __name__ == "__main__":
    main()
