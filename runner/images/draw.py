"""Boxes drawn on images: a colour for each class, labels that are legible on any background.  And a scatter plot of box
sizes."""
import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runner.images.fonts import legible
from runner.images.to_pil import to_pil

# class name, class, probability (None: ground truth), (left, top, right, bottom) in pixels
Box = tuple[str, int, float | None, Sequence[float]]
Corners = tuple[float, float, float, float]


def colour(kind: int) -> tuple[int, int, int]:
    """The colour of a class: neighbouring numbers are far apart on the colour circle."""
    red, green, blue = colorsys.hsv_to_rgb(kind * 0.618034 % 1, 0.85, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


class Style(NamedTuple):
    """How a box is drawn: its colour, and the lengths of dashes and gaps in line widths; (): a solid line."""
    colour: tuple[int, int, int]
    dashes: tuple[int, ...] = ()


# colours of Okabe and Ito, which the colour-blind tell apart; the lines differ as well
RIGHT, WRONG, MISSED = Style((0, 158, 115)), Style((213, 94, 0), (6, 3)), Style((240, 228, 66), (1, 2))


class StyledBox(NamedTuple):
    """A box with a label; corners: left, top, right, bottom in pixels; rank: boxes of a higher one are drawn over
    those of a lower one."""
    label: str
    style: Style
    corners: Sequence[float]
    rank: float = 0
    cased: bool = True      # the line between two black ones, and black letters: for bright colours


def draw_boxes(image: np.ndarray, boxes: Sequence[Box]) -> Image.Image:
    """image (c, h, w) in 0..1 -> the image with its boxes in the colours of their classes, drawn by rising probability.

    Labels are drawn over all boxes, without covering one another where there is room; letters and lines grow with the
    image, up to half the median height of the boxes.
    """
    return draw_styled(image, [
        StyledBox(name if probability is None else f"{name} {100 * probability:.0f} %", Style(colour(kind)), corners,
                  1 if probability is None else probability, cased=False)
        for name, kind, probability, corners in boxes])


def draw_styled(image: np.ndarray, boxes: Sequence[StyledBox]) -> Image.Image:
    """As `draw_boxes`, with a style for each box.  A box without a label has none."""
    drawn = to_pil(image)
    draw = ImageDraw.Draw(drawn)
    short = min(drawn.size)
    heights = [box.corners[3] - box.corners[1] for box in boxes]
    size = max(10, round(min(short / 30, float(np.median(heights or [short])) / 2)))
    line = max(1, round(min(short / 200, size / 7)))
    ordered = sorted(boxes, key=lambda box: box.rank)
    for box in ordered:
        _outline(draw, _inside(box.corners, drawn.size), box, line + 1 if box.cased else line)
    taken: list[Corners] = []
    labels = []
    for box in reversed(ordered):       # the most probable choose their places first
        if not box.label:
            continue
        label, font = legible(box.label, size)
        x0, y0, x1, y1 = draw.textbbox((0, 0), label, font)
        place = _free_place(_inside(box.corners, drawn.size), (x1 - x0 + 2 * line + 2, y1 - y0 + 2 * line + 2),
                            drawn.size, taken)
        taken.append(place)
        labels.append((place, box, label, font, (place[0] + line + 1 - x0, place[1] + line + 1 - y0)))
    for place, box, label, font, at in reversed(labels):
        draw.rectangle(place, fill=box.style.colour)
        draw.text(at, label, "black" if box.cased else _ink(box.style.colour), font)
    return drawn


def _outline(draw: ImageDraw.ImageDraw, corners: Corners, box: StyledBox, width: int) -> None:
    """The rectangle of a box; dashes start at its upper left corner and go around it."""
    left, top, right, bottom = corners
    if box.cased:
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black", width=width + 2)
    if not box.style.dashes:
        draw.rectangle(corners, outline=box.style.colour, width=width)
        return
    dash, gap = (length * width for length in box.style.dashes)
    for start in np.arange(left, right, dash + gap):
        end = min(start + dash - 1, right)
        draw.rectangle((start, top, end, top + width - 1), fill=box.style.colour)
        draw.rectangle((start, bottom - width + 1, end, bottom), fill=box.style.colour)
    for start in np.arange(top, bottom, dash + gap):
        end = min(start + dash - 1, bottom)
        draw.rectangle((left, start, left + width - 1, end), fill=box.style.colour)
        draw.rectangle((right - width + 1, start, right, end), fill=box.style.colour)


def draw_anchors(boxes: np.ndarray, members: np.ndarray, anchors: np.ndarray, side: int = 600) -> Image.Image:
    """boxes (n, 2) and anchors (k, 2), widths and heights: a dot for each box in the colour of its anchor
    (members (n,)), and each anchor as a rectangle, all from the same corner."""
    largest = float(max(boxes.max(), anchors.max()))
    margin, font = 30, ImageFont.load_default(13)
    scale = (side - 2 * margin) / largest
    page = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(page)

    def at(width: float, height: float) -> tuple[float, float]:
        return margin + width * scale, side - margin - height * scale

    for (width, height), member in zip(boxes, members, strict=True):
        x, y = at(width, height)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour(int(member)))
    for i, (width, height) in enumerate(anchors):
        x, y = at(width, height)
        draw.rectangle((margin, y, x, side - margin), outline=colour(i), width=2)
    for i, (width, height) in enumerate(anchors):
        x, y = at(width, height)
        label = f"{i}: {width:g} x {height:g}"
        draw.text((x + 4, y - 14), label, "black", font, stroke_width=2, stroke_fill="white")
    draw.line((margin, margin, margin, side - margin, side - margin, side - margin), fill="black")
    draw.text((margin, side - margin + 6), "0", "black", font)
    draw.text((side - 2 * margin, side - margin + 6), f"width {largest:.0f}", "black", font, anchor="ma")
    draw.text((margin, 8), f"height {largest:.0f}", "black", font)
    return page


def _ink(fill: tuple[int, int, int]) -> str:
    """Black or white, whichever has more contrast (ITU-R 601 luma)."""
    return "black" if 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 128 else "white"


def _free_place(box: Corners, label: tuple[float, float], size: tuple[int, int], taken: Sequence[Corners]) -> Corners:
    """Above the box, else inside it, else below, to the right or left: the first place within the image that covers no
    other label, or the one that covers least."""
    (left, top, right, bottom), (wide, tall) = box, label
    starts = [(left, top - tall), (left, top), (right - wide, top - tall), (left, bottom),
              (right - wide, bottom - tall), (right, top), (left - wide, top), (left, bottom - tall)]
    places = []
    for x, y in starts:
        x, y = min(max(x, 0), max(size[0] - wide, 0)), min(max(y, 0), max(size[1] - tall, 0))
        places.append((x, y, x + wide, y + tall))
    if top < tall:          # no room above: pushed down, the label would cover the box's edge
        places = places[1:]
    return min(places, key=lambda place: sum(_common(place, other) for other in taken))


def _common(a: Corners, b: Corners) -> float:
    """The area two rectangles share."""
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)


def _inside(corners: Sequence[float], size: tuple[int, int]) -> Corners:
    left, top, right, bottom = corners
    left, right = max(0.0, min(left, size[0] - 1)), max(0.0, min(right, size[0] - 1))
    top, bottom = max(0.0, min(top, size[1] - 1)), max(0.0, min(bottom, size[1] - 1))
    return left, top, max(left, right), max(top, bottom)
