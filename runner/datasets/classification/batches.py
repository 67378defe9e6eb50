"""Batches for classifiers: images decoded and augmented in background threads while the network computes.

    with batches(data.train, batch=64, width=32, height=32, augment=Augment(32, 32), endless=True) as loader:
        for x, truth in loader: ...

Batch k takes the images k * batch, k * batch + 1, ... of the sequence of shuffled epochs, and its random numbers come
from (seed, k).  (darknet draws every image with replacement; here each image is seen once per epoch.)  The further
images of mixed ones (runner.images.mix) are random, as in darknet, with numbers from (seed, k) too.

Decoded images are cached while all fit in `cache_bytes`, by default a quarter of the free memory; later epochs then
need no decoding.  If they do not fit, there is one warning.
"""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runner.datasets.classification.dataset import Split
from runner.datasets.pipeline.decode_cache import DecodeCache
from runner.datasets.pipeline.loader import Loader, PendingBatch
from runner.datasets.pipeline.sampler import MIX, Sampler
from runner.errors import DataError, UsageError
from runner.images.augment import DRAWS, Augment, augment_batch
from runner.images.decode import to_float
from runner.images.mix import BLURRED, blur, mix, sources
from runner.images.mix import DRAWS as MIX_DRAWS
from runner.images.resize import PREPARATIONS, prepare

AUGMENTED_VALUES = 1 << 18       # images of one size are augmented together up to about this many values


def batches(split: Split, *, batch: int, width: int, height: int, channels: int = 3,
            augment: Augment | None = None, shuffle: bool = False, seed: int = 0, endless: bool = False,
            epochs: int = 1, start_batch: int = 0, how: str = "crop", on_bad: str = "skip",
            warn: Callable[[str], None] | None = None, label_smoothing: float = 0.,
            balance: float = 0., workers: int | None = None, cache_bytes: int | None = None,
            draft: bool = False) -> Loader:
    """An iterator of (x, truth): float32 (n, channels, height, width) in 0..1 and (n, classes), 1 for
    each label of an image and 0 for the other classes.

    augment          random changes; without it images are prepared by `how` (see runner.images.prepare)
    shuffle          a new order in each epoch
    endless          never stops, every batch is full; otherwise `epochs` passes, the last batch may be smaller
    on_bad           "skip": an unreadable image is reported once through `warn` and in `.bad`; if endless, another one
                     replaces it, otherwise the batch is smaller.  "error": it is a DataError
    label_smoothing  e: a label is 1 - e, the other classes e / (classes - 1), as in darknet
    balance          0: an epoch has every image once; 1: it is as long, with equally many images of each class;
                     between: a class of n images counts n ** (1 - balance).  An image with several labels counts for
                     its rarest class
    workers          threads, 0 to do everything in the calling one; default one per core, at most 4
    draft            decode large JPEGs at a fraction of their size where that is enough for `augment`
    DataError without images, UsageError for impossible settings.
    """
    if not len(split):
        raise DataError("there are no images to load")
    if batch < 1 or width < 1 or height < 1 or start_batch < 0:
        raise UsageError(f"batch, width and height must be at least 1. Got {batch}, {width}, {height}")
    if on_bad not in ("skip", "error") or how not in PREPARATIONS:
        raise UsageError(f"on_bad is 'skip' or 'error', how one of {', '.join(PREPARATIONS)}. "
                         f"Got {on_bad!r}, {how!r}")
    if augment and (augment.width, augment.height) != (width, height):
        raise UsageError(f"augment makes {augment.width}x{augment.height} images, the loader "
                         f"{width}x{height}")
    if not 0 <= balance <= 1 or (balance and not shuffle):
        raise UsageError(f"balance must be in 0..1 and needs shuffle=True. Got {balance}, shuffle={shuffle}")
    if split.pixels is not None or (not endless and epochs == 1):
        cache_bytes = 0         # they are in memory already, or read only once
    images = DecodeCache(split, channels, on_bad=on_bad, refill=endless, cache_bytes=cache_bytes,
                         least=augment.least() if draft and augment else None)
    source = _ClassificationSource(split, images, width, height, augment, how, label_smoothing)
    total = None if endless else len(split) * epochs
    sampler = Sampler(len(split), batch, seed, shuffle, total, split.labels() if balance else None, balance)
    return Loader(source, sampler, start_batch, warn, workers)


@dataclass(kw_only=True)
class _ClassificationBatch(PendingBatch):
    """A batch that is being filled.

    made_of  (k, n) images of the split that the n images are mixed of, k = 1 unless they are mixed; the first row is
             `indices`
    draws    (k, n, DRAWS) random numbers of the augmentation
    shares   (k, n) of these images in the labels
    mixing   (n, MIX_DRAWS) random numbers, or None
    blurred  (n,) bool: images to blur, or None
    """

    made_of: np.ndarray
    draws: np.ndarray
    shares: np.ndarray
    mixing: np.ndarray | None = None
    blurred: np.ndarray | None = None


class _ClassificationSource:
    """Fills batches with images for a classifier (see loader.BatchSource)."""

    def __init__(self, split: Split, images: DecodeCache, width: int, height: int, augment: Augment | None, how: str,
                 smoothing: float):
        self.split, self.images, self.width, self.height = split, images, width, height
        self.channels, self.augment, self.how, self.smoothing = images.channels, augment, how, smoothing

    def start(self, sampler: Sampler, k: int, indices: np.ndarray) -> _ClassificationBatch:
        """Batch k before any image is read, with all its random numbers."""
        n, changes = len(indices), self.augment
        x = np.empty((n, self.channels, self.height, self.width), np.float32)
        made_of = indices[None].copy()
        batch = _ClassificationBatch(indices=made_of[0], x=x, made_of=made_of, draws=sampler.draws(k, DRAWS)[None, :n],
                                     shares=np.ones((1, n)))
        if changes and (changes.mix or changes.blur):
            rng = np.random.default_rng((sampler.seed, MIX, k))
            more = sources(changes.mix) - 1
            others, draws = sampler.any_images(rng, (more, sampler.batch)), rng.random((more, sampler.batch, DRAWS))
            mixing, blurred = rng.random((sampler.batch, MIX_DRAWS)), rng.random(sampler.batch) < BLURRED
            if changes.mix and rng.random() < 0.5:
                batch.made_of = np.concatenate([made_of, others[:, :n]])
                batch.indices = batch.made_of[0]
                batch.draws = np.concatenate([batch.draws, draws[:, :n]])
                batch.shares = np.concatenate([batch.shares, np.zeros((more, n))])
                batch.mixing = mixing
            if changes.blur:
                batch.blurred = blurred
        return batch

    def truth(self, batch: _ClassificationBatch, good: np.ndarray) -> np.ndarray:
        """(n, classes): the smoothed labels of each image, of mixed ones by the shares of their parts."""
        split, e = self.split, self.smoothing
        other = e / max(split.classes - 1, 1)
        truth = np.full((int(good.sum()), split.classes), other, np.float32)
        for one, share in zip(batch.made_of[:, good], batch.shares[:, good], strict=True):
            rows, labels = split.label_pairs(one)
            truth[rows, labels] += (share * (1 - e - other)).astype(np.float32)[rows]
        return truth

    def load(self, batch: _ClassificationBatch, start: int, stop: int) -> None:
        """Write the images start..stop of a batch."""
        if batch.mixing is None:
            self._fill(batch, 0, start, stop, batch.x[start:stop])
        else:
            parts = np.zeros((len(batch.made_of), *batch.x[start:stop].shape), np.float32)
            for which, part in enumerate(parts):
                self._fill(batch, which, start, stop, part)
            assert self.augment
            batch.x[start:stop], batch.shares[:, start:stop] = mix(parts, self.augment.mix, batch.mixing[start:stop])
            for row in start + np.flatnonzero((batch.made_of[1:, start:stop] < 0).any(axis=0)):
                batch.x[row], batch.shares[:, row] = parts[0, row - start], 0       # a part is missing: only the first
                batch.shares[0, row] = 1
        if batch.blurred is not None and self.augment:
            at = start + np.flatnonzero(batch.blurred[start:stop])
            if len(at):
                batch.x[at] = blur(batch.x[at], self.augment.blur)

    def _fill(self, batch: _ClassificationBatch, which: int, start: int, stop: int, out: np.ndarray) -> None:
        """The images start..stop of row `which` of made_of, prepared or augmented, to out (stop - start, ...)."""
        augment = self.augment
        alike: dict[tuple[tuple[int, ...], np.dtype], list[tuple[int, np.ndarray]]] = {}
        for row in range(start, stop):
            batch.made_of[which, row], pixels = self.images.read(batch.made_of[which, row], batch.bad)
            if augment is None and pixels is not None:
                out[row - start] = prepare(to_float(pixels), self.width, self.height, self.how)
            elif pixels is not None:
                alike.setdefault((pixels.shape, pixels.dtype), []).append((row, pixels))
        if augment is None:
            return
        for (shape, _), found in alike.items():
            together = max(1, AUGMENTED_VALUES // int(np.prod(shape)))
            for first in range(0, len(found), together):
                rows, images = zip(*found[first:first + together], strict=True)
                at = np.array(rows)
                out[at - start] = augment_batch(to_float(np.stack(images)), augment, batch.draws[which, at])
