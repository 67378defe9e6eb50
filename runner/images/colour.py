"""Hue, saturation and exposure of many images at once."""
import numpy as np

from runner import ops


def distort(images: np.ndarray, hue: np.ndarray | float = 0., saturation: np.ndarray | float = 1.,
            exposure: np.ndarray | float = 1.) -> np.ndarray:
    """Turn the hue, multiply saturation and value: (n, c, h, w) in 0..1 -> the same shape; runner/ops/image.py."""
    return ops.distort(images, hue, saturation, exposure)
