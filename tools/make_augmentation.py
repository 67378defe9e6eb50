"""Draw docs/images/augmentation.jpg for docs/augmentation.md: a row for each augmentation option of [net].

    python tools/make_augmentation.py [FILE]
"""
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from runner.datasets import Split, batches
from runner.images import Augment, read_image, to_float, to_pil
from runner.images.contact_sheet import contact_sheet

ROOT = Path(__file__).parents[1]
NAMES, SIZE, COLUMNS = ["tree", "boat", "sun", "lake"], 112, 7
CORNERS = [(20, 40), (130, 110), (200, 60), (60, 128)]         # left and top of four crops of 128 pixels of the photo
NO_AUGMENTATION: dict[str, Any] = {"min_crop": 112, "max_crop": 112, "flip": False}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("min_crop=112, max_crop=224: scaled and cropped", {"min_crop": 112, "max_crop": 224}),
    ("angle=30: rotated", {"angle": 30}),
    ("aspect=1.5: stretched", {"aspect": 1.5}),
    ("flip=1: half of them mirrored", {"flip": True}),
    ("hue=.1: hue rotated", {"hue": .1}),
    ("saturation=2: less or more saturated", {"saturation": 2}),
    ("exposure=1.8: darker or brighter", {"exposure": 1.8}),
    ("blur=9: a quarter of them blurred", {"blur": 9}),
    ("mixup=1: two blended (in half of the batches)", {"mix": 1}),
    ("cutmix=1: a rectangle of another image pasted in (in half of the batches)", {"mix": 2}),
    ("mosaic=1: four images combined (in half of the batches)", {"mix": 3}),
]


def main() -> None:
    photo = (255 * read_image(ROOT / "docs/images/photo.jpg")).astype(np.uint8)
    pixels = np.stack([photo[:, y:y + 128, x:x + 128] for x, y in CORNERS])
    split = Split([(name, label) for label, name in enumerate(NAMES)], 4, pixels)
    rows = [("the images", [(to_pil(to_float(image)), name) for image, name in zip(pixels, NAMES, strict=True)])]
    for title, changes in ROWS:
        augment = Augment(SIZE, SIZE, **{**NO_AUGMENTATION, **changes})
        with batches(split, batch=COLUMNS, width=SIZE, height=SIZE, augment=augment, shuffle=True, endless=True,
                     seed=3) as loader:
            x, truth = next(loader)
            while augment.mix and not (np.count_nonzero(truth, axis=1) > 1).any():
                x, truth = next(loader)
        rows.append((title, [(to_pil(image), "\n".join(
            NAMES[k] if label[k] > .99 else f"{NAMES[k]} {100 * label[k]:.0f} %"
            for k in np.argsort(-label) if label[k] > 0)) for image, label in zip(x, truth, strict=True)]))
    target = sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/images/augmentation.jpg"
    page = contact_sheet(["Augmentation options of [net] for classifiers"], rows, SIZE)
    page.save(target, quality=85)


if __name__ == "__main__":
    main()
