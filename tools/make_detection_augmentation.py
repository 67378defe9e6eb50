"""Draw docs/images/detection-augmentation.jpg for docs/detection-data.md: a row for each augmentation option.

    python tools/make_detection_augmentation.py [FILE]
"""
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from runner.images import BoxAugment, augment_with_boxes, pixel_corners, read_pixels
from runner.images.contact_sheet import contact_sheet
from runner.images.draw import draw_boxes

ROOT = Path(__file__).parents[1]
SIDE, COLUMNS, RIGHT = 136, 6, 288           # RIGHT: the photo is cropped there, except for letter_box
NAMES = ["tree", "boat", "sun"]
CORNERS = [(13, 48, 128, 238), (160, 128, 224, 202), (248, 95, 275, 119)]      # left, top, right, bottom in the photo
Example = tuple[np.ndarray, np.ndarray]       # pixels and boxes
NO_AUGMENTATION: dict[str, Any] = {"jitter": 0., "flip": False}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("jitter=.3: each edge moves in or out", {"jitter": .3}),
    ("resize=1.5: zoomed in or out", {"resize": 1.5}),
    ("flip=1: half of them mirrored", {"flip": True}),
    ("hue=.1, saturation=1.5, exposure=1.5: colours", {"hue": .1, "saturation": 1.5, "exposure": 1.5}),
    ("letter_box=1: the aspect ratio is kept (the whole photo in a square input)", {"letterbox": True}),
    ("mosaic=1: four images combined (half of them)", {"mosaic": True, "jitter": .2, "flip": True}),
    ("mosaic=1, mosaic_bound=1: boxes are clipped where the four meet",
     {"mosaic": True, "mosaic_bound": True, "jitter": .2, "flip": True}),
    ("mixup=1: two blended (half of them)", {"mixup": True, "jitter": .2, "flip": True}),
    ("blur=1: everything outside the boxes blurred (two thirds of them)", {"blur": 1}),
    ("gaussian_noise=25: noise (half of them)", {"gaussian_noise": 25.}),
]


def boxes_in(pixels: np.ndarray) -> np.ndarray:
    """(k, 5): x, y, w, h relative to the image, class."""
    h, w = pixels.shape[1:]
    return np.array([((left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h, label)
                     for label, (left, top, right, bottom) in enumerate(CORNERS)], np.float32)


def augment(example: Example, settings: BoxAugment, seed: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """-> the augmented image, its boxes, and whether another image was mixed in."""
    mixed = False

    def partner() -> Example:
        nonlocal mixed
        mixed = True
        return example
    return *augment_with_boxes(example, partner, settings, SIDE, SIDE, 50, np.random.default_rng(seed)), mixed


def main() -> None:
    photo, rows = read_pixels(ROOT / "docs/images/photo.jpg"), []
    for title, changes in ROWS:
        settings = BoxAugment(**{**NO_AUGMENTATION, **changes})
        pixels = photo if settings.letterbox else photo[:, :, :RIGHT]
        thumbnails: list[tuple[Image.Image, str]] = []
        for seed in itertools.count():
            image, boxes, mixed = augment((pixels, boxes_in(pixels)), settings, seed)
            if mixed or not (settings.mosaic or settings.mixup):
                drawn = [(NAMES[label], label, None, corners)
                         for label, corners in zip(boxes[:, 4].astype(int).tolist(), pixel_corners(boxes, SIDE, SIDE),
                                                   strict=True)]
                thumbnails.append((draw_boxes(image, drawn), ""))
            if len(thumbnails) == COLUMNS:
                break
        rows.append((title, thumbnails))
    page = contact_sheet(["Augmentation options for detectors"], rows, SIDE)
    page.save(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/images/detection-augmentation.jpg", quality=72)


if __name__ == "__main__":
    main()
