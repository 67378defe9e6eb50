"""Hue, saturation and exposure of many images at once."""
import numpy as np


def distort(images: np.ndarray, hue: np.ndarray | float = 0., saturation: np.ndarray | float = 1.,
            exposure: np.ndarray | float = 1.) -> np.ndarray:
    """Turn the hue, multiply saturation and value: (n, c, h, w) in 0..1 -> the same shape, clamped to 0..1.

    hue is in turns (-1..1), each argument one number or n numbers.  One-channel images are multiplied by the
    exposure.  The result is darknet's distort_image (to HSV, change, back to RGB), where the saturation may
    pass 1 on its way.

    With value v = max, spread d = max - min and k = (n + 6 hue) mod 6 for n = 5, 3, 1, a channel of an HSV
    colour is v - d * clip(min(k, 4 - k), 0, 1).  Saturation multiplies d, exposure everything, so only the
    hue has to be found, and without a turn not even that: v - d * clip(...) is the channel itself.
    """
    n, channels = images.shape[:2]
    dtype = images.dtype
    hue, saturation, exposure = (np.broadcast_to(np.asarray(v, dtype).reshape(-1, 1, 1), (n, 1, 1))
                                 for v in (hue, saturation, exposure))
    if channels != 3:
        return np.clip(images * exposure[:, None], 0, 1)
    value = images.max(axis=1)
    if not hue.any():
        out = value[:, None] - saturation[:, None] * (value[:, None] - images)
    else:
        spread = value - images.min(axis=1)
        sixths = _hue(images, value, spread) + 6 * hue
        spread *= saturation
        out = np.empty_like(images)
        for channel, offset in enumerate((5, 3, 1)):
            k = sixths + offset
            k -= 6 * np.floor(k / 6)
            np.subtract(value, spread * np.clip(np.minimum(k, 4 - k), 0, 1), out=out[:, channel])
    out *= exposure[:, None]
    return np.clip(out, 0, 1, out=out)


def _hue(images: np.ndarray, value: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(n, h, w): the place on the hexagon of colours, 0 red, 2 green, 4 blue; 0 for greys."""
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    divisor = np.where(spread == 0, 1, spread)
    return np.where(value == red, (green - blue) / divisor,
                    np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor))
