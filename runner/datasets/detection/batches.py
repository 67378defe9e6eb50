"""Batches of pictures with their boxes, decoded and augmented in background threads.

    with box_batches(data.train, batch=16, width=416, height=416, augment=BoxAugment(), endless=True) as loader:
        for x, truth in loader: ...         # (16, 3, 416, 416), (16, 200, 5): x, y, w, h, class; unused rows are 0

What a batch holds depends on split, seed and its number alone (see loader.py, which does the work around it).
"""
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from runner.datasets.detection.dataset import BoxSplit
from runner.datasets.pipeline.decode_cache import Decoded
from runner.datasets.pipeline.loader import Job, Loader
from runner.datasets.pipeline.sampler import DRAW, Order
from runner.errors import DataError, UsageError
from runner.images.augment_boxes import BoxAugment, Pair, augmented
from runner.images.box_format import fitted
from runner.images.decode import to_float

Size = tuple[int, int]          # width, height


def box_batches(split: BoxSplit, *, batch: int, width: int, height: int, channels: int = 3, boxes: int = 200,
                augment: BoxAugment | None = None, letterbox: bool = False,
                sizes: Callable[[int], Size] | None = None, shuffle: bool = False, seed: int = 0, endless: bool = False,
                epochs: int = 1, start_batch: int = 0, on_bad: str = "skip",
                warn: Callable[[str], None] | None = None, workers: int | None = None,
                cache_bytes: int | None = None, draft: bool = False) -> "BoxLoader":
    """An iterator of (x, truth): float32 (n, channels, height, width) in 0..1, and (n, boxes, 5) float32.

    truth rows are x, y, w, h, class as parts of x[i]; those that are not used are 0.

    boxes      rows of truth; of a picture with more, the first are kept (those that chance picks if it is augmented)
    augment    random changes; without it pictures are
    letterbox  fitted with their aspect ratio kept, else stretched
    sizes      batch number -> width and height of x, none larger than `width` and `height`; None: always these
    draft      large JPEGs are decoded at a fraction of their size where that is enough for what `augment` does
    The others as in `batches`; `indices` and `sizes` of the loader say which pictures the latest batch shows, and
    their widths and heights in pixels as they were decoded.
    """
    if not len(split):
        raise DataError("there are no images to load")
    if min(batch, width, height, boxes) < 1 or start_batch < 0:
        raise UsageError(f"batch, width, height and boxes must be at least 1. Got {batch}, {width}, {height}, {boxes}")
    if on_bad not in ("skip", "error"):
        raise UsageError(f"on_bad is 'skip' or 'error'. Got {on_bad!r}")
    images = Decoded(split, channels, on_bad=on_bad, refill=endless, cache_bytes=cache_bytes,
                     least=augment.least(width, height) if draft and augment else None)
    source = _Boxes(split, images, width, height, boxes, augment, letterbox, sizes, seed)
    order = Order(len(split), batch, seed, shuffle, None if endless else len(split) * epochs)
    return BoxLoader(source, order, start_batch, warn, workers)


class BoxLoader(Loader):
    """What `box_batches` returns."""

    _source: "_Boxes"

    @property
    def sizes(self) -> np.ndarray:
        """(n, 2) width and height, pixels, of the pictures of the latest batch before they were fitted."""
        return np.array([self._source.sizes[int(index)] for index in self.indices], np.intp).reshape(-1, 2)


@dataclass(kw_only=True)
class _BoxJob(Job):
    """number: which batch it is.  rows: (n, boxes, 5) truth."""

    number: int
    rows: np.ndarray


class _Boxes:
    """Fills batches with pictures and boxes (see loader.Source)."""

    def __init__(self, split: BoxSplit, images: Decoded, width: int, height: int, boxes: int,
                 augment: BoxAugment | None, letterbox: bool, sizes: Callable[[int], Size] | None, seed: int):
        self.split, self.images, self.width, self.height = split, images, width, height
        self.channels, self.boxes, self.letterbox, self.seed = images.channels, boxes, letterbox, seed
        self.augment, self.size_of = augment, sizes
        self.sizes: dict[int, Size] = {}        # of the pictures, as far as they were read

    def start(self, order: Order, k: int, indices: np.ndarray) -> _BoxJob:
        width, height = self.size_of(k) if self.size_of else (self.width, self.height)
        x = np.empty((len(indices), self.channels, height, width), np.float32)
        return _BoxJob(number=k, indices=indices, x=x, rows=np.zeros((len(indices), self.boxes, 5), np.float32))

    def load(self, job: _BoxJob, start: int, stop: int) -> None:
        height, width = job.x.shape[2:]
        for row in range(start, stop):
            index, pixels = self.images.good(int(job.indices[row]), job.bad)
            job.indices[row] = index
            if pixels is None:
                continue
            self.sizes[index] = pixels.shape[2], pixels.shape[1]
            picture = pixels, self.split[index].boxes
            if self.augment is None:
                image, boxes = fitted(to_float(pixels), picture[1], width, height, self.letterbox)
            else:
                rng = np.random.default_rng((self.seed, DRAW, job.number, row))
                image, boxes = augmented(picture, partial(self._another, rng, job.bad, picture), self.augment, width,
                                         height, self.boxes, rng)
            job.x[row] = image
            kept = boxes[:self.boxes]
            job.rows[row, :len(kept)] = kept

    def _another(self, rng: np.random.Generator, bad: list[tuple[str, str]], instead: Pair) -> Pair:
        """A further picture and its boxes; if it cannot be read, `instead`."""
        index, pixels = self.images.good(int(rng.integers(len(self.split))), bad)
        return instead if pixels is None else (pixels, self.split[index].boxes)

    def truth(self, job: _BoxJob, good: np.ndarray) -> np.ndarray:
        return job.rows if good.all() else job.rows[good]
