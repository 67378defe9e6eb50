"""Images that are in memory already: NumPy arrays and Pillow images.

An array is (height, width, channels) as of Pillow and OpenCV, (channels, height, width) as of PyTorch, or
(height, width).  Of three axes, that of the channels is the first or the last, whichever has the number of channels
that is wanted; where both have it, the array is refused.  Its values are uint8 (white is 255), uint16 (65535), bool, or
floats in 0..1.
"""
import numpy as np
from PIL import Image

from runner.errors import DataError
from runner.images.arrays import check_channels, layout, plain_pixels, to_float
from runner.images.decode import from_pillow, to_channels
from runner.images.pil_bands import bands, channels_of, upright

ROUNDING = 1e-3     # how far beyond 0..1 a float may be: resizing rounds


def array_of(image: object) -> np.ndarray | None:
    """The array that an object is or offers, such as a tensor of another library; None for anything else."""
    if isinstance(image, Image.Image) or not (isinstance(image, np.ndarray) or hasattr(image, "__array__")):
        return None
    return np.asarray(image)


def pixels_of(image: np.ndarray | Image.Image, channels: int) -> np.ndarray:
    """An array or a Pillow image as float32 (channels, height, width) in 0..1.

    Colours become grey, and grey colours, where the number of channels asks for it.  DataError for other numbers of
    channels, for values that do not say what white is, and where the order of the axes is not clear.
    """
    if isinstance(image, Image.Image):
        return to_float(_of_pillow(image, channels))
    (_, height, width), last = layout(image.shape, channels)
    if image.ndim == 3 and image.shape[0] == image.shape[2] and image.shape[0] in fitting(channels):
        raise DataError(f"an array of {' x '.join(map(str, image.shape))} can be read in two ways: with its channels "
                        "first or last")
    if not (height and width):
        raise DataError("the image has no pixels")
    pixels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1) if last else image
    if pixels.dtype.kind == "f":
        low, high = pixels.min(), pixels.max()
        if -ROUNDING <= low < 0 or 1 < high <= 1 + ROUNDING:
            pixels = pixels.clip(0, 1)
    return np.ascontiguousarray(to_channels(to_float(plain_pixels(pixels)), channels))


def fitting(channels: int) -> tuple[int, ...]:
    """The numbers of channels that can be read as this one."""
    return (1, 3) if channels in (1, 3) else (channels,)


def _of_pillow(image: Image.Image, channels: int) -> np.ndarray:
    try:
        own = image.copy()      # it is not changed; and a file that was only opened is read here
    except OSError as error:
        raise DataError(f"the image is truncated or damaged ({error})") from None
    if channels in (1, 3):
        return from_pillow(own, channels)
    check_channels(channels_of(own), channels, own.mode)
    return bands(upright(own))
