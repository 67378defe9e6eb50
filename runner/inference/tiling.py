"""Detection of small objects in large images: the image is cut into tiles that overlap, and each is a view of its own.

The boxes of all tiles, and of the whole image as one more view, become one list (runner/detection/merge.py).  Sources:
Akyon et al. 2022, "Slicing Aided Hyper Inference"; the rule for the size of the tiles is our own.
"""
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.detection import NmsOptions, predict_boxes
from runner.detection.merge import cut_sides, merge_boxes, require_merge, seen_better
from runner.errors import DataError, UsageError
from runner.images import prepare
from runner.images.box_format import pixel_corners
from runner.inference.plan import Plan, batch_size
from runner.layers.shared.recurrent import Recurrent
from runner.network import Network
from runner.reading.numbers import is_whole, whole

AUTO = "auto"
LARGER = 1.5            # auto: an image less than 1.5 times as large as the network's input has no tiles
MOST_AUTO = 200         # auto: tiles of an image
MOST = 10_000           # tiles of an image, whatever their size
MOST_OVERLAP = 0.9
TOUCHING = 1 / 32       # of the side of a tile: a box that ends this close to its edge touches it
Size = tuple[int, int]
Tiles = str | int | Size | None     # what people write: "auto", "640x480", "640", 640, (640, 480)


@dataclass(frozen=True)
class Tiling:
    """How images are cut.  UsageError for a value that is not allowed.

    size     width and height of a tile, pixels of the image; None: chosen for each image by auto_size
    overlap  of two neighbours, at least this share of a tile's side, 0 to 0.9
    merge    how their boxes become one list: nmm, nms or wbf (runner.detection.merge.merge_boxes)
    whole    the whole image is one more view, for objects larger than a tile
    """
    size: Size | None = None
    overlap: float = 0.2
    merge: str = "nmm"
    whole: bool = True

    def __post_init__(self) -> None:
        require_merge(self.merge)
        if not isinstance(self.overlap, int | float | np.number) or not 0 <= self.overlap <= MOST_OVERLAP:
            raise UsageError(f"the overlap of tiles must be a number from 0 to {MOST_OVERLAP}. Got {self.overlap!r}")
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"a tile must have at least 1 pixel. Got {self.size[0]}x{self.size[1]}")

    def crops(self, size: Size, network: Size) -> np.ndarray:
        """(c, 4) int: left, top, right, bottom of the tiles of an image, pixels; (0, 4) where one would be all of it.

        size, network: width and height of the image, and of the network's input.  DataError for an image that would
        have too many.
        """
        tile = self.size or auto_size(size, network, self.overlap)
        tile = min(tile[0], size[0]), min(tile[1], size[1])
        if tile == size:
            return np.zeros((0, 4), int)
        count = math.prod(_count(*sides, self.overlap) for sides in zip(size, tile, strict=True))
        if count > MOST:
            raise DataError(f"an image of {size[0]}x{size[1]} pixels would have {count:,} tiles of "
                            f"{tile[0]}x{tile[1]}, but at most {MOST:,} are computed: choose larger ones")
        x, y = (_starts(*sides, self.overlap) for sides in zip(size, tile, strict=True))
        left, top = (each.ravel() for each in np.meshgrid(x, y))
        return np.stack([left, top, left + tile[0], top + tile[1]], axis=1)


def tiling(tiles: Tiles, overlap: float = 0.2, merge: str = "nmm", whole_image: bool = True) -> Tiling | None:
    """A Tiling from what people write; None: no tiles.  UsageError for a value that is not allowed."""
    if tiles is None:
        return None
    if isinstance(tiles, str) and tiles.lower() == AUTO:
        return Tiling(None, overlap, merge, whole_image)
    sides: Sequence[Any] = (tiles.lower().split("x") if isinstance(tiles, str) else
                            tiles if isinstance(tiles, tuple | list) else [tiles])
    if 1 <= len(sides) <= 2 and not any(isinstance(side, bool) for side in sides):
        values = [whole(side) if isinstance(side, str) and is_whole(side) else side for side in sides]
        if all(isinstance(value, int | np.integer) and value > 0 for value in values):
            return Tiling((int(values[0]), int(values[-1])), overlap, merge, whole_image)
    raise UsageError(f"tiles are auto, N or WxH, in pixels. Got {tiles!r}")


def auto_size(size: Size, network: Size, overlap: float = 0.2) -> Size:
    """The tile for an image, (width, height) pixels: as large as the network's input, so that nothing is made smaller.

    Where the image is narrower or lower than that, the tile is smaller, with the aspect ratio of the input; where there
    would be more than MOST_AUTO tiles, it is larger.  An image less than LARGER times as large as the input on both
    sides is its own tile.  size, network: width and height of the image and of the input.
    """
    if all(side < LARGER * own for side, own in zip(size, network, strict=True)):
        return size

    def scaled(factor: float) -> Size:
        width, height = (min(max(1, round(own * factor)), side) for side, own in zip(size, network, strict=True))
        return width, height
    factor = min(1.0, *(side / own for side, own in zip(size, network, strict=True)))
    while math.prod(_count(*sides, overlap) for sides in zip(size, scaled(factor), strict=True)) > MOST_AUTO:
        factor *= 1.02
    return scaled(factor)


def detect_tiled(plan: Plan, pixels: np.ndarray, how: Tiling, thresh: float, kept: NmsOptions,
                 letterbox: bool = False) -> np.ndarray:
    """Detect in the tiles of an image, and in the whole of it -> (m, 6) rows class, confidence, centre x, y, w, h
    relative to the image, as PredictedBoxes.rows.

    pixels (c, h, w) in 0..1; thresh: lowest confidence; letterbox: each view keeps its aspect ratio.  DataError for
    an image that would have too many tiles.
    """
    size = np.array([pixels.shape[2], pixels.shape[1]])
    _, height, width = plan.in_shape
    crops = how.crops((int(size[0]), int(size[1])), (width, height))
    alone = not len(crops)
    views = np.concatenate([crops, [[0, 0, *size]]]) if how.whole or alone else crops
    rules = vars(kept) | ({} if alone else {"max_det": None})
    found = []
    for view, rows in enumerate(_detect_views(plan, pixels, views, thresh, rules, letterbox)):
        if alone:
            return rows
        crop = views[view]
        tile = crop[2:] - crop[:2]
        rows[:, 2:4] = (crop[:2] + rows[:, 2:4] * tile) / size
        rows[:, 4:] *= tile / size
        corners = pixel_corners(rows[:, 2:], *size.tolist())
        cut = cut_sides(corners, crop, size, tile * TOUCHING)
        if view < len(crops):
            better = seen_better(corners, cut, view, crops, size, tile * TOUCHING)
            rows, cut = rows[~better], cut[~better]
        found.append((rows, cut, np.full(len(rows), view)))
    # without suppression (nms 0), the views of an object are still one object
    rows, cut, view_of = (np.concatenate(each) for each in zip(*found, strict=True))
    merged = merge_boxes(rows, cut, view_of, kept.nms or NmsOptions.nms, how.merge, kept.agnostic_nms)
    if kept.max_det is not None:
        merged = merged[np.sort(np.argsort(-merged[:, 1], kind="stable")[:kept.max_det])]
    return merged


def _detect_views(plan: Plan, pixels: np.ndarray, views: np.ndarray, thresh: float, rules: dict[str, Any],
                  letterbox: bool) -> Iterator[np.ndarray]:
    """The rows of each view (left, top, right, bottom), relative to it, several views at a time."""
    _, height, width = plan.in_shape
    batch = batch_size(plan.net)
    for first in range(0, len(views), batch):
        part = views[first:first + batch]
        x = np.stack([prepare(pixels[:, top:bottom, left:right], width, height, "letterbox" if letterbox else "stretch")
                      for left, top, right, bottom in part.tolist()])
        outputs = plan.head_outputs(x)
        for image, (left, top, right, bottom) in enumerate(part.tolist()):
            yield predict_boxes(plan.layers, outputs, (right - left, bottom - top), thresh, image=image,
                                letterbox=letterbox, **rules).rows().astype(float)


def require_single_images(net: Network) -> None:
    """UsageError where the network carries a state from image to image: tiles are not a sequence."""
    for index, layer in enumerate(net.layers):
        if isinstance(layer, Recurrent):
            raise UsageError(f"layer {index} [{layer.names[0]}] carries a state from image to image, but tiles of an "
                             "image are not a sequence: leave --tiles out")


def _count(side: int, tile: int, overlap: float) -> int:
    """Tiles along a side of the image."""
    if tile >= side:
        return 1
    step = max(1, tile - round(tile * overlap))
    return 1 + math.ceil((side - tile) / step)


def _starts(side: int, tile: int, overlap: float) -> np.ndarray:
    """Where the tiles along a side begin: evenly, the first at 0, the last at the end."""
    return np.round(np.linspace(0, side - tile, _count(side, tile, overlap))).astype(int)
