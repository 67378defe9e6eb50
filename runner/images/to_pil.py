"""From arrays to images that Pillow can draw on and save."""
import numpy as np
from PIL import Image


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Pixels of any type (floats in 0..1, uint8, uint16) as uint8 of the same shape."""
    if image.dtype == np.uint8:
        return image
    scale = 255 if image.dtype.kind == "f" else 255 / np.iinfo(image.dtype).max
    return np.clip(np.rint(image * scale), 0, 255).astype(np.uint8)


def channels_shown(channels: int) -> str:
    """Which channels of an image `to_pil` shows, for a caption; "" where it shows all."""
    if channels in (1, 3):
        return ""
    return f"the first {'of 2 channels, in grey' if channels == 2 else f'three of {channels} channels'}"


def to_pil(image: np.ndarray) -> Image.Image:
    """(c, h, w) of any of the types above -> an RGB image: one channel in grey, the first of two too, of more than
    three the first three."""
    pixels = to_uint8(image)
    colours = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    return Image.fromarray(np.ascontiguousarray(colours.transpose(1, 2, 0)))
