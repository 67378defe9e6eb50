"""A detector of red and green squares whose detections are known, and images in which they move."""
from pathlib import Path

import numpy as np
from PIL import Image

import runner
from runner import weights

CFG = """[net]
width=64
height=64
channels=3
[convolutional]
filters=7
size=8
stride=8
activation=linear
[yolo]
classes=2
num=1
anchors=24,24
"""
SIDE, CELL = 64, 8
RED, GREEN = 0, 1


def make(folder: Path) -> None:
    """Write moving.cfg, moving.weights and moving.names: a square of a cell's size and place is an object of 24 x 24
    pixels around it, with the more confidence the brighter it is."""
    (folder / "moving.cfg").write_text(CFG)
    (folder / "moving.names").write_text("red\ngreen\n")
    net = runner.load(folder / "moving.cfg")
    filters = net.layers[0].params["weights"].reshape(7, 3, CELL, CELL)
    filters[...] = 0
    slope = 18 / CELL**2
    filters[4, :2], filters[5, 0], filters[6, 1] = slope, slope, slope
    net.layers[0].params["biases"][...] = [0, 0, 0, 0, -9, -9, -9]
    weights.save(net, folder / "moving.weights")


def frame(*squares: tuple[int, int, int, float]) -> np.ndarray:
    """(h, w, 3) bytes with squares: column and row of the cell, RED or GREEN, brightness 0 to 1.  A brightness of .47
    has a confidence of .13, one of 1 of nearly 1."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for column, row, index, brightness in squares:
        pixels[CELL * row:CELL * (row + 1), CELL * column:CELL * (column + 1), index] = round(255 * brightness)
    return pixels


def sequence() -> list[np.ndarray]:
    """Eight frames: a red square moves right, a green one left above it; the red one is dim in frame 4 and hidden in
    frame 5."""
    return [frame((t, 5, RED, .47 if t == 3 else 0 if t == 4 else 1), (7 - t, 1, GREEN, 1)) for t in range(8)]


def write_images(folder: Path) -> list[str]:
    """The sequence as frames/0.png to 7.png -> their paths."""
    (folder / "frames").mkdir()
    paths = [folder / "frames" / f"{number}.png" for number in range(8)]
    for path, pixels in zip(paths, sequence(), strict=True):
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]
