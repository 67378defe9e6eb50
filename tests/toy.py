"""A dataset of grey 6 x 6 images that are dark or bright, with a cfg for it; and a small classifier with dropout."""
from pathlib import Path

import numpy as np
from PIL import Image

import runner

CFG = """[net]
batch=4
width=6
height=6
channels=1
learning_rate=0.1
momentum=0
decay=0
flip=0
max_crop=6
max_batches=30

[convolutional]
filters=3
size=3
pad=1
activation=leaky

[connected]
output=2
activation=linear

[softmax]
"""


def make(folder: Path) -> None:
    """Write cfg/toy.cfg and data/toy/{train,test}/{bright,dark}/*.png in `folder`."""
    (folder / "cfg").mkdir()
    (folder / "cfg" / "toy.cfg").write_text(CFG)
    rng = np.random.default_rng(5)
    for part, count in (("train", 6), ("test", 5)):
        for name, base in (("bright", 180), ("dark", 20)):
            class_folder = folder / "data" / "toy" / part / name
            class_folder.mkdir(parents=True)
            for i in range(count):
                pixels = (base + rng.integers(0, 50, (6 + i % 2, 7))).astype(np.uint8)
                Image.fromarray(pixels).save(class_folder / f"{i}.png")


def one_batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four random images for cfg/toy.cfg, with their labels."""
    rng = np.random.default_rng(seed)
    return rng.random((4, 1, 6, 6), np.float32), np.eye(2, dtype="f4")[[0, 1, 0, 1]]


DROPOUT_CFG = """[net]
width=12
height=8
channels=1
flip={flip}

[convolutional]
filters=4
size=3
pad=1
activation=leaky

[dropout]
probability={p}

[convolutional]
filters=3
size=1
activation=linear

[avgpool]

[softmax]
"""


def dropout_network(folder: Path, flip: int = 1, p: float = .5) -> runner.Network:
    """A small classifier of grey 12 x 8 images with [dropout], whose size may change; 3 outputs."""
    (folder / "a.cfg").write_text(DROPOUT_CFG.format(flip=flip, p=p))
    return runner.load(folder / "a.cfg")
