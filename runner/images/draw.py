"""Boxes drawn on pictures: a colour for each class, labels that can be read on anything."""
import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# name, class, probability (None: it is the truth), (left, top, right, bottom) in pixels
Box = tuple[str, int, float | None, Sequence[float]]


def colour(kind: int) -> tuple[int, int, int]:
    """The colour of a class: neighbouring numbers are far apart on the circle."""
    red, green, blue = colorsys.hsv_to_rgb(kind * 0.618034 % 1, 0.85, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_boxes(image: np.ndarray, boxes: Sequence[Box]) -> Image.Image:
    """image (c, h, w) in 0..1 -> the picture with its boxes, the surest drawn last."""
    levels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0).squeeze())).convert("RGB")
    draw = ImageDraw.Draw(picture)
    short = min(picture.size)
    line, font = max(1, round(short / 200)), ImageFont.load_default(max(10, round(short / 30)))
    for name, kind, probability, corners in sorted(boxes, key=lambda box: 1 if box[2] is None else box[2]):
        left, top, right, bottom = _inside(corners, picture.size)
        fill = colour(kind)
        draw.rectangle((left, top, right, bottom), outline=fill, width=line)
        label = name if probability is None else f"{name} {100 * probability:.0f} %"
        x0, y0, x1, y1 = draw.textbbox((0, 0), label, font)
        wide, tall = x1 - x0 + 2 * line + 2, y1 - y0 + 2 * line + 2
        x = min(max(0, left), max(0, picture.width - wide))
        y = top - tall if top >= tall else top      # above the box, or inside where there is no room
        draw.rectangle((x, y, x + wide, y + tall), fill=fill)
        ink = "black" if sum(fill) > 380 else "white"
        draw.text((x + line + 1 - x0, y + line + 1 - y0), label, ink, font)
    return picture


def _inside(corners: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = corners
    left, right = max(0.0, min(left, size[0] - 1)), max(0.0, min(right, size[0] - 1))
    top, bottom = max(0.0, min(top, size[1] - 1)), max(0.0, min(bottom, size[1] - 1))
    return left, top, max(left, right), max(top, bottom)
