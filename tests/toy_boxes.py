"""A detection dataset small enough to learn in seconds: grey images with bright and dark squares, and a cfg."""
from pathlib import Path

import numpy as np
from PIL import Image

CFG = """[net]
width=32
height=32
channels=1
batch=8
max_batches=200
learning_rate=0.01
burn_in=20
policy=poly
power=1

[convolutional]
filters=16
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=16
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=32
size=3
stride=2
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=32
size=3
pad=1
batch_normalize=1
activation=leaky

[convolutional]
filters=7
size=1
activation=linear

[yolo]
classes=2
num=1
anchors=10,10
iou_loss=ciou
ignore_thresh=.6
jitter=.1
"""


def make(folder: Path, train: int = 24, test: int = 12) -> None:
    """Write cfg/squares.cfg and data/squares/{images,labels}/{train,test} in `folder`."""
    (folder / "cfg").mkdir()
    (folder / "cfg" / "squares.cfg").write_text(CFG)
    data, rng = folder / "data" / "squares", np.random.default_rng(1)
    for part, count in (("train", train), ("test", test)):
        for folder_name in ("images", "labels"):
            (data / folder_name / part).mkdir(parents=True)
        for i in range(count):
            pixels, lines = rng.integers(100, 130, (32, 32)).astype(np.uint8), []
            for half in range(2 if i else 1):     # image 0 has one square, the others one on each side
                side, label = int(rng.integers(7, 13)), int(rng.integers(2))
                left, top = 16 * half + int(rng.integers(0, 16 - side)), int(rng.integers(0, 32 - side))
                pixels[top:top + side, left:left + side] = 20 if label else 240
                lines.append(f"{label} {(left + side / 2) / 32:.4f} {(top + side / 2) / 32:.4f} {side / 32:.4f} "
                             f"{side / 32:.4f}\n")
            Image.fromarray(pixels).save(data / "images" / part / f"{i}.png")
            (data / "labels" / part / f"{i}.txt").write_text("".join(lines if i != 1 else []))
    Image.fromarray(np.full((32, 32), 115, np.uint8)).save(data / "images" / "train" / "1.png")     # no objects
    (data / "images" / "test" / "1.png").unlink()
    (data / "labels" / "test" / "1.txt").unlink()
    (data / "classes.txt").write_text("bright\ndark\n")
