"""Which anchors suit a data set, and what a cfg has to say then."""
from dataclasses import dataclass

import numpy as np

from runner.datasets import BoxSplit
from runner.datasets.image_size import size_of
from runner.detection import detection_heads, shape_iou
from runner.layers import Detection, Region
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.training.tasks.detector import head_inputs

USUAL = 3       # anchors of a head, where no cfg says how many heads there are


@dataclass(frozen=True)
class HeadAnchors:
    """What one head wants to hear: which one it is, the anchors it uses, and the filters= of the layer before it."""
    head: str
    mask: list[int]
    filters: int


def box_sizes(split: BoxSplit, width: int, height: int, letterbox: bool = False) -> np.ndarray:
    """(n, 2) widths and heights of all boxes in pixels of a network's input.  letterbox: the pictures keep their
    aspect ratio; then their sizes are looked up, which takes a moment."""
    parts = []
    for picture in split:
        if not len(picture.boxes):
            continue
        w, h = width, height
        if letterbox:
            wide, high = size_of(picture.path)
            scale = min(width / wide, height / high)
            w, h = int(wide * scale), int(high * scale)
        parts.append(picture.boxes[:, 2:4].astype(np.float64) * (w, h))
    return np.concatenate(parts) if parts else np.zeros((0, 2))


def readable(sizes: np.ndarray) -> np.ndarray:
    """Anchors as a cfg has them: whole pixels, tenths below ten."""
    return np.where(sizes < 10, np.round(sizes, 1), np.round(sizes))


def anchors_line(sizes: np.ndarray) -> str:
    """9.5,15, 12,18 ... as it stands behind anchors= """
    return ",  ".join(f"{w:g},{h:g}" for w, h in sizes)


def mean_overlap(boxes: np.ndarray, anchors: np.ndarray) -> float:
    return float(shape_iou(boxes, anchors).max(axis=1).mean())


def anchor_heads(net: Network) -> list[tuple[int, DetectionHead]]:
    """The heads with anchors, the one with the finest grid first."""
    found: list[tuple[int, DetectionHead]] = []
    for index in detection_heads(net.layers):
        head = net.layers[index]
        assert isinstance(head, DetectionHead)
        if not isinstance(head, Detection):
            found.append((index, head))
    return sorted(found, key=lambda item: -item[1].in_shapes[0][2])


def stride_of(head: DetectionHead) -> tuple[float, float]:
    """Pixels of the input to a cell, across and down."""
    width, height = head.network_size
    _, rows, columns = head.in_shapes[0]
    return width / columns, height / rows


def assign_to_heads(clusters: int, classes: int, net: Network | None = None) -> list[HeadAnchors]:
    """The small anchors for the heads with the finest grid, and so on; as evenly as it goes.

    Without a network: heads of three, as in yolov3 and yolov4.
    """
    if net is None:
        count = max(clusters // USUAL, 1) if clusters % USUAL == 0 else 1
        heads: list[tuple[str, DetectionHead | None]] = [
            (f"[yolo] {i + 1} of {count}, from the finest grid to the coarsest" if count > 1 else "[yolo]", None)
            for i in range(count)]
    else:
        heads = []
        for index, head in anchor_heads(net):
            _, rows, columns = head.in_shapes[0]
            heads.append((f"layer {index} [{head.names[0]}], {columns} x {rows} cells", head))
    lines = []
    for (words, one), mask in zip(heads, np.array_split(np.arange(clusters), len(heads)), strict=True):
        each = head_inputs(one, classes) // anchor_count(one) if one else 5 + classes
        lines.append(HeadAnchors(words, [int(m) for m in mask], len(mask) * each))
    return lines


def anchor_count(head: DetectionHead) -> int:
    """How many anchors a head uses."""
    return head.options.num if isinstance(head, Region) else len(head.options.mask)
