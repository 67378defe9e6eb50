"""Batches of images with their boxes, decoded and augmented in background threads.

    with detection_batches(data.train, batch=16, width=416, height=416, augment=BoxAugment(), endless=True) as loader:
        for x, truth in loader: ...         # (16, 3, 416, 416), (16, 200, 5): x, y, w, h, class; unused rows are 0

What a batch holds depends only on the split, the seed and its number (pipeline/loader.py does the work around it).
"""
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from runner.datasets.detection.dataset import DetectionSplit
from runner.datasets.pipeline.decode_cache import DecodeCache
from runner.datasets.pipeline.loader import Loader, PendingBatch
from runner.datasets.pipeline.sampler import DRAW, Sampler
from runner.errors import DataError, UsageError
from runner.images.augment_boxes import BoxAugment, ImageAndBoxes, augment_with_boxes
from runner.images.box_format import resize_with_boxes
from runner.images.decode import Size, to_float


def detection_batches(split: DetectionSplit, *, batch: int, width: int, height: int, channels: int = 3,
                      boxes: int = 200, augment: BoxAugment | None = None, letterbox: bool = False,
                      sizes: Callable[[int], Size] | None = None, shuffle: bool = False, seed: int = 0,
                      endless: bool = False, epochs: int = 1, start_batch: int = 0, on_bad: str = "skip",
                      warn: Callable[[str], None] | None = None, workers: int | None = None,
                      cache_bytes: int | None = None, draft: bool = False) -> "DetectionLoader":
    """An iterator of (x, truth): float32 (n, channels, height, width) in 0..1, and (n, boxes, 5) float32.

    truth rows are x, y, w, h, class, relative to x[i]; unused rows are 0.

    boxes      rows of truth; of an image with more, the first are kept (random ones if it is augmented)
    augment    random changes; without it images are
    letterbox  resized with their aspect ratio kept, else stretched
    sizes      batch number -> width and height of x, at most `width` and `height`; None: always these
    draft      decode large JPEGs at a fraction of their size where that is enough for `augment`
    The others as in `batches`; `indices` and `sizes` of the loader are the images of the latest batch, and their widths
    and heights in pixels as decoded.  DataError without images, UsageError for impossible settings.
    """
    if not len(split):
        raise DataError("there are no images to load")
    if min(batch, width, height, boxes) < 1 or start_batch < 0:
        raise UsageError(f"batch, width, height and boxes must be at least 1. Got {batch}, {width}, {height}, {boxes}")
    if on_bad not in ("skip", "error"):
        raise UsageError(f"on_bad is 'skip' or 'error'. Got {on_bad!r}")
    images = DecodeCache(split, channels, on_bad=on_bad, refill=endless, cache_bytes=cache_bytes,
                         least=augment.least(width, height) if draft and augment else None)
    source = _DetectionSource(split, images, width, height, boxes, augment, letterbox, sizes, seed)
    sampler = Sampler(len(split), batch, seed, shuffle, None if endless else len(split) * epochs)
    return DetectionLoader(source, sampler, start_batch, warn, workers)


class DetectionLoader(Loader):
    """The loader that `detection_batches` returns."""

    _source: "_DetectionSource"

    @property
    def sizes(self) -> np.ndarray:
        """(n, 2) width and height, pixels, of the images of the latest batch before they were resized."""
        return np.array([self._source.sizes[int(index)] for index in self.indices], np.intp).reshape(-1, 2)


@dataclass(kw_only=True)
class _DetectionBatch(PendingBatch):
    """number: of the batch.  rows: (n, boxes, 5) truth."""

    number: int
    rows: np.ndarray


class _DetectionSource:
    """Fills batches with images and boxes (see loader.BatchSource)."""

    def __init__(self, split: DetectionSplit, images: DecodeCache, width: int, height: int, boxes: int,
                 augment: BoxAugment | None, letterbox: bool, sizes: Callable[[int], Size] | None, seed: int):
        self.split, self.images, self.width, self.height = split, images, width, height
        self.channels, self.boxes, self.letterbox, self.seed = images.channels, boxes, letterbox, seed
        self.augment, self.size_of = augment, sizes
        self.sizes: dict[int, Size] = {}        # of the images read so far

    def start(self, sampler: Sampler, k: int, indices: np.ndarray) -> _DetectionBatch:
        width, height = self.size_of(k) if self.size_of else (self.width, self.height)
        x = np.empty((len(indices), self.channels, height, width), np.float32)
        return _DetectionBatch(number=k, indices=indices, x=x, rows=np.zeros((len(indices), self.boxes, 5), np.float32))

    def load(self, batch: _DetectionBatch, start: int, stop: int) -> None:
        height, width = batch.x.shape[2:]
        for row in range(start, stop):
            index, pixels = self.images.read(int(batch.indices[row]), batch.bad)
            batch.indices[row] = index
            if pixels is None:
                continue
            self.sizes[index] = pixels.shape[2], pixels.shape[1]
            own = pixels, self.split[index].boxes
            if self.augment is None:
                image, boxes = resize_with_boxes(to_float(pixels), own[1], width, height, self.letterbox)
            else:
                rng = np.random.default_rng((self.seed, DRAW, batch.number, row))
                image, boxes = augment_with_boxes(own, partial(self._another, rng, batch.bad, own), self.augment,
                                                  width, height, self.boxes, rng)
            batch.x[row] = image
            kept = boxes[:self.boxes]
            batch.rows[row, :len(kept)] = kept

    def _another(self, rng: np.random.Generator, bad: list[tuple[str, str]], fallback: ImageAndBoxes) -> ImageAndBoxes:
        """A random image and its boxes; `fallback` if it cannot be read."""
        index, pixels = self.images.read(int(rng.integers(len(self.split))), bad)
        return fallback if pixels is None else (pixels, self.split[index].boxes)

    def truth(self, batch: _DetectionBatch, good: np.ndarray) -> np.ndarray:
        return batch.rows if good.all() else batch.rows[good]
