"""Training images mixed of several: mixup, cutmix, mosaic; and a blur.

As in darknet (AlexeyAB, src/data.c:load_data_augment): half of the batches are mixed.  In these every image is combined
with the images at the same position of one or three further batches; each contributes to the label by its share of the
pixels.
"""
import math

import numpy as np

MIXUP, CUTMIX, MOSAIC, BOTH = 1, 2, 3, 4       # darknet's numbers; BOTH: each image is one or the other
DRAWS = 5                                      # random numbers per mixed image
BLURRED = 0.25                                 # share of the images that blur= blurs


def sources(mode: int) -> int:
    """How many images are mixed into one."""
    return {0: 1, MIXUP: 2, CUTMIX: 2}.get(mode, 4)


def mix(images: np.ndarray, mode: int, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """images (k, n, c, h, w), k = sources(mode); draws (n, DRAWS) in 0..1 -> the mixed images (n, c, h, w), and the
    share (k, n) of each in its label.

    mixup   the mean of two
    cutmix  a rectangle of the second, of 0.3 to 0.8 of width and height, over the first
    mosaic  four quadrants that meet at 0.2 to 0.8 of width and height, each showing that region of its image
    """
    k, n = images.shape[:2]
    if mode == MIXUP:
        return (images[0] + images[1]) * images.dtype.type(0.5), np.full((k, n), 0.5)
    out, shares = images[0].copy(), np.zeros((k, n))
    for i in range(n):
        u = draws[i]
        kind = mode if mode != BOTH else (CUTMIX if u[4] < 0.5 else MOSAIC)
        shares[:, i] = _cutmix(out[i], images[:, i], u) if kind == CUTMIX else _mosaic(out[i], images[:, i], u)
    return out, shares


def _cutmix(out: np.ndarray, four: np.ndarray, u: np.ndarray) -> np.ndarray:
    h, w = out.shape[-2:]
    wide, tall = _between(int(w * .3), int(w * .8), u[0]), _between(int(h * .3), int(h * .8), u[1])
    x, y = _between(0, max(0, w - wide - 1), u[2]), _between(0, max(0, h - tall - 1), u[3])
    out[:, y:y + tall, x:x + wide] = four[1, :, y:y + tall, x:x + wide]
    area, shares = wide * tall / (w * h), np.zeros(len(four))
    shares[:2] = 1 - area, area
    return shares


def _mosaic(out: np.ndarray, four: np.ndarray, u: np.ndarray) -> np.ndarray:
    h, w = out.shape[-2:]
    x, y = _between(int(w * .2), int(w * .8), u[0]), _between(int(h * .2), int(h * .8), u[1])
    out[:, :y, x:] = four[1, :, :y, x:]
    out[:, y:, :x] = four[2, :, y:, :x]
    out[:, y:, x:] = four[3, :, y:, x:]
    return np.array([x * y, (w - x) * y, x * (h - y), (w - x) * (h - y)]) / (w * h)


def _between(low: int, high: int, u: float) -> int:
    """A whole number from low to high, both included."""
    return low + math.floor(u * (high - low + 1))


def blur(images: np.ndarray, size: int) -> np.ndarray:
    """(n, c, h, w) blurred by a Gaussian of `size` pixels, odd; the border is reflected.

    The standard deviation follows the size, 0.3 * ((size - 1) / 2 - 1) + 0.8, as in OpenCV, which darknet uses.
    """
    size = size // 2 * 2 + 1
    half = size // 2
    sigma = 0.3 * (half - 1) + 0.8
    taps = np.exp(-np.arange(-half, half + 1) ** 2 / (2 * sigma**2))
    taps = (taps / taps.sum()).astype(images.dtype)
    for axis in (-1, -2):
        length = images.shape[axis]
        at = np.abs(np.arange(-half, length + half))        # 2 1 | 0 1 2 ... , repeatedly where the image is small
        period = max(1, 2 * (length - 1))
        at = at % period
        at = np.where(at >= length, period - at, at) if length > 1 else np.zeros_like(at)
        framed = images.take(at, axis)
        out = np.zeros_like(images)
        for i, tap in enumerate(taps):
            out += tap * (framed[..., i:i + length] if axis == -1 else framed[..., i:i + length, :])
        images = out
    return images
