"""Gaussian blur."""
import numpy as np


def gaussian_blur(image: np.ndarray, size: int) -> np.ndarray:
    """(..., h, w) blurred with a kernel of `size` x `size` pixels (odd), mirrored at the edges.

    The deviation follows from the size as in OpenCV's GaussianBlur with sigma 0: 0.3 ((size - 1) / 2 - 1) + 0.8.
    """
    if size <= 1:
        return image
    reach = size // 2
    away = np.arange(-reach, reach + 1)
    kernel = np.exp(-away ** 2 / (2 * (0.3 * (reach - 1) + 0.8) ** 2))
    kernel = (kernel / kernel.sum()).astype(image.dtype)
    for axis in (-2, -1):
        length = image.shape[axis]
        at = np.abs(np.arange(-reach, length + reach))             # mirrored about the first and the last pixel
        period = max(2 * (length - 1), 1)
        at = at % period
        at = np.minimum(at, period - at) if length > 1 else at * 0
        wide = image.take(at, axis=axis)
        out = np.zeros_like(image)
        for k, weight in enumerate(kernel):
            out += weight * (wide[..., k:k + length] if axis == -1 else wide[..., k:k + length, :])
        image = out
    return image
