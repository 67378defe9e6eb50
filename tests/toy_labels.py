"""A dataset of 10 x 10 images with any of a red, a green and a blue mark, at random places, with a cfg for it."""
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ["red", "green", "blue"]
CFG = """[net]
batch=16
width=10
height=10
channels=3
learning_rate=0.05
momentum=0.9
decay=0
flip=1
max_crop=10
max_batches={updates}

[convolutional]
filters=6
size=3
pad=1
activation=leaky

[maxpool]
size=10
stride=10
padding=0

[connected]
output=3
activation=linear

[{head}]
"""


def make(folder: Path, updates: int = 60, images: int = 64, head: str = "logistic") -> None:
    """Write cfg/marks.cfg and data/marks.csv, which has a column of 0 and 1 per class, with its images in `folder`; a
    quarter of the images is for testing, and an eighth has no mark."""
    (folder / "cfg").mkdir(parents=True)
    (folder / "data" / "marks").mkdir(parents=True)
    (folder / "cfg" / "marks.cfg").write_text(CFG.format(updates=updates, head=head))
    rng, rows = np.random.default_rng(2), ["filename,red,green,blue,split"]
    for i in range(images):
        flags = [i >> bit & 1 for bit in range(3)]
        pixels = rng.integers(0, 40, (10, 10, 3), np.uint8)
        for channel, flag in enumerate(flags):
            y, x = rng.integers(0, 8, 2)
            if flag:
                pixels[y:y + 3, x:x + 3, channel] = 220
        Image.fromarray(pixels).save(folder / "data" / "marks" / f"{i}.png")
        rows.append(f"{i}.png,{','.join(map(str, flags))},{'test' if i % 32 >= 24 else 'train'}")
    (folder / "data" / "marks.csv").write_text("\n".join(rows))
