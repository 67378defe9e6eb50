"""A tiny [yolo] learns to detect bright squares: loss, gradient, update and decoding together."""
from pathlib import Path

import numpy as np

import runner
from runner.detection import darknet_precision
from runner.inference.detect import detect

CFG = """[net]
width=32
height=32
channels=1
batch=16
max_batches=150
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
filters=6
size=1
activation=linear
[yolo]
classes=1
num=1
anchors=10,10
iou_loss=ciou
ignore_thresh=0.6
"""


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A grey image with one bright square, and its row of truth."""
    image = rng.uniform(0, .2, (1, 32, 32)).astype("f4")
    side = int(rng.integers(7, 14))
    left, top = rng.integers(0, 32 - side, 2)
    image[0, top:top + side, left:left + side] += 0.7
    return image, np.array([[(left + side / 2) / 32, (top + side / 2) / 32, side / 32, side / 32, 0]], "f4")


def batches(rng: np.random.Generator):
    while True:
        images, truth = zip(*(scene(rng) for _ in range(16)), strict=True)
        yield np.stack(images), np.stack(truth)


def test_it_finds_bright_squares(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(CFG)
    net = runner.load(tmp_path / "a.cfg")
    losses = [step.loss for step in runner.train(net, batches(np.random.default_rng(0)))]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 4
    rng = np.random.default_rng(99)
    images, truth = zip(*(scene(rng) for _ in range(40)), strict=True)
    found = [np.array([(f.index, f.confidence, *f.box) for f in s.detections]).reshape(-1, 6)
             for s in detect(net, images, thresh=0.05)]
    assert darknet_precision(found, truth, 1).mean > 0.9
