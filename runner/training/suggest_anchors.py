"""Anchors for a dataset, and the cfg lines that use them."""
from dataclasses import dataclass

import numpy as np

from runner.datasets import DetectionSplit
from runner.datasets.image_size import size_of
from runner.detection import detection_heads, shape_iou
from runner.layers import Detection, Region
from runner.layers.shared.heads import DetectionHead
from runner.network import Network
from runner.training.tasks.detector import head_inputs

ANCHORS_PER_HEAD = 3    # without a cfg that says otherwise


@dataclass(frozen=True)
class HeadAnchors:
    """The anchors of one head."""
    head: str           # which one, in words
    mask: list[int]     # indices of its anchors
    filters: int        # of the convolution before it


def box_sizes(split: DetectionSplit, width: int, height: int, letterbox: bool = False) -> np.ndarray:
    """(n, 2) widths and heights of all boxes in pixels of the network's input.

    letterbox: images keep their aspect ratio; this reads the size of every image file.
    """
    sizes = []
    for image in split:
        if not len(image.boxes):
            continue
        w, h = width, height
        if letterbox:
            image_width, image_height = size_of(image.path)
            scale = min(width / image_width, height / image_height)
            w, h = int(image_width * scale), int(image_height * scale)
        sizes.append(image.boxes[:, 2:4].astype(np.float64) * (w, h))
    return np.concatenate(sizes) if sizes else np.zeros((0, 2))


def rounded(sizes: np.ndarray) -> np.ndarray:
    """Anchors as written in a cfg: rounded to pixels, below ten to tenths; never to 0, which is not an anchor."""
    tiny = np.vectorize(lambda side: float(f"{side:.1g}"), otypes=[float])(sizes)
    return np.where(sizes < .05, tiny, np.where(sizes < 10, np.round(sizes, 1), np.round(sizes)))


def anchors_line(sizes: np.ndarray) -> str:
    """The value of anchors=, as in "9.5,15,  12,18"."""
    return ",  ".join(f"{w:g},{h:g}" for w, h in sizes)


def mean_iou(boxes: np.ndarray, anchors: np.ndarray) -> float:
    """The mean IoU of boxes (n, 2) with the best of the anchors (k, 2), by width and height only."""
    return float(shape_iou(boxes, anchors).max(axis=1).mean())


def anchor_heads(net: Network) -> list[tuple[int, DetectionHead]]:
    """Index and layer of the heads with anchors, the finest grid first."""
    heads: list[tuple[int, DetectionHead]] = []
    for index in detection_heads(net.layers):
        head = net.layers[index]
        assert isinstance(head, DetectionHead)
        if not isinstance(head, Detection):
            heads.append((index, head))
    return sorted(heads, key=lambda item: -item[1].in_shapes[0][2])


def stride_of(head: DetectionHead) -> tuple[float, float]:
    """Input pixels per grid cell, horizontally and vertically."""
    width, height = head.network_size
    _, rows, columns = head.in_shapes[0]
    return width / columns, height / rows


def assign_to_heads(clusters: int, classes: int, net: Network | None = None) -> list[HeadAnchors]:
    """Divide the anchors, smallest first, evenly among the heads, finest grid first.

    Without a network: three anchors per head, as in yolov3 and yolov4.
    """
    if net is None:
        count = max(clusters // ANCHORS_PER_HEAD, 1) if clusters % ANCHORS_PER_HEAD == 0 else 1
        heads: list[tuple[str, DetectionHead | None]] = [
            (f"[yolo] {i + 1} of {count}, from the finest grid to the coarsest" if count > 1 else "[yolo]", None)
            for i in range(count)]
    else:
        heads = []
        for index, head in anchor_heads(net):
            _, rows, columns = head.in_shapes[0]
            heads.append((f"layer {index} [{head.names[0]}], {columns} x {rows} cells", head))
    lines = []
    for (description, layer), mask in zip(heads, np.array_split(np.arange(clusters), len(heads)), strict=True):
        per_anchor = head_inputs(layer, classes) // anchor_count(layer) if layer else 5 + classes
        lines.append(HeadAnchors(description, [int(m) for m in mask], len(mask) * per_anchor))
    return lines


def anchor_count(head: DetectionHead) -> int:
    """The number of anchors of a head."""
    return head.options.num if isinstance(head, Region) else len(head.options.mask)
