"""Random crops, rotations, flips and colours for training a classifier.

As darknet does it (AlexeyAB, load_image_augment_paths and random_augment_image): the short side is scaled to a random
size between min_crop and max_crop, and a random crop of the network's size is taken, slightly rotated and stretched;
then flip and colours.  With the defaults it is a random crop of the image scaled to fit.
"""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.errors import UsageError
from runner.images.mix import BOTH, CUTMIX, MOSAIC
from runner.images.resize import resize, rotate_crop

DRAWS = 12                  # random numbers per image


@dataclass(frozen=True)
class Augment:
    """How far training images may be changed.  Names and meanings are those of the [net] options.

    min_crop, max_crop  range of the short side in pixels; 0: the larger of width and height
    angle               degrees, in either direction
    aspect, saturation, exposure  factors between 1/x and x
    hue                 part of the colour circle, in either direction
    flip                flip half of the images
    mix                 images mixed of several: a mode of runner.images.mix
    blur                filter size in pixels of a blur for a quarter of the images; mix and blur are applied when a
                        batch is put together
    """

    width: int
    height: int
    min_crop: int = 0
    max_crop: int = 0
    angle: float = 0.
    aspect: float = 1.
    flip: bool = True
    hue: float = 0.
    saturation: float = 1.
    exposure: float = 1.
    mix: int = 0
    blur: int = 0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.min_crop < 0 or self.max_crop < 0:
            raise UsageError("width and height must be at least 1, min_crop and max_crop at least 0. Got "
                             f"{self.width}, {self.height}, {self.min_crop}, {self.max_crop}")
        for name in ("aspect", "saturation", "exposure"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be greater than 0. Got {getattr(self, name)}")

    def least(self) -> tuple[int, int]:
        """Width and height at which an image is large enough: the largest crop still shrinks it to half or less."""
        side = math.ceil(2 * max(self.min_crop or max(self.width, self.height),
                                 self.max_crop or max(self.width, self.height)) * max(self.aspect, 1 / self.aspect))
        return side, side


def augment_of(options: Any) -> Augment:
    """The augmentation that the options of a [net] section ask for."""
    o = options
    mode = BOTH if o.cutmix and o.mosaic else CUTMIX if o.cutmix else MOSAIC if o.mosaic else o.mixup
    return Augment(o.width, o.height, o.min_crop, o.max_crop, o.angle, o.aspect, o.flip, o.hue, o.saturation,
                   o.exposure, mode, 15 if o.blur == 1 else o.blur)


def augment(image: np.ndarray, settings: Augment, rng: np.random.Generator) -> np.ndarray:
    """One image (c, h, w) -> (c, settings.height, settings.width), changed at random."""
    return augment_batch(image[None], settings, rng.random((1, DRAWS)))[0]


def augment_batch(images: np.ndarray, settings: Augment, draws: np.ndarray) -> np.ndarray:
    """Images of one size (n, c, h, w) -> (n, c, settings.height, settings.width), each changed differently.

    draws (n, DRAWS): uniform numbers in 0..1.  The result for an image depends only on its own row.
    """
    u = draws.T
    h, w = images.shape[-2:]
    size = max(settings.width, settings.height)
    aspect = _factor(settings.aspect, u[0], u[1])
    low, high = sorted((settings.min_crop or size, settings.max_crop or size))
    short = low + np.floor(u[2] * (high - low + 1))
    scale = short / np.maximum(np.minimum(h, np.floor(w * aspect)), 1)
    angle = np.deg2rad(_either_way(settings.angle, u[3]))
    dx = _either_way(np.maximum(0, (w * scale / aspect - size) / 2), u[4])
    dy = _either_way(np.maximum(0, (h * scale - size) / 2), u[5])
    out = rotate_crop(images, size, size, angle=angle, scale=scale, dx=dx, dy=dy, aspect=aspect)

    if settings.flip:
        flipped = u[6] < 0.5
        out[flipped] = out[flipped][..., ::-1]
    if settings.hue or settings.saturation != 1 or settings.exposure != 1:
        out = ops.distort(out, _either_way(settings.hue, u[7]), _factor(settings.saturation, u[8], u[9]),
                          _factor(settings.exposure, u[10], u[11]))
    if out.shape[-2:] != (settings.height, settings.width):
        out = resize(out, settings.width, settings.height)
    return out


def _either_way(limit: np.ndarray | float, u: np.ndarray) -> np.ndarray:
    """Uniform in -limit..limit."""
    return limit * (2 * u - 1)


def _factor(limit: float, u: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Uniform in 1..limit, or one over that, equally likely (darknet's rand_scale)."""
    scale = 1 + (limit - 1) * u
    return np.where(side < 0.5, scale, 1 / scale)
