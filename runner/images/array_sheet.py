"""A sheet of arrays drawn side by side: what goes into a layer, what comes out, and the gradients.  (For images of a
dataset see contact_sheet.)

Each caption says how values become grey or colour:
  nothing negative    black is 0, white the largest value (or 1, if that is larger)
  otherwise           middle grey is 0, white and black are equally far from it
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runner.images.to_pil import to_pil

GAP, LINE, CHANNELS = 12, 17, 16        # pixels between panels; pixels of a caption's line; most channels shown
PAPER, INK, FAINT = "white", "black", "#555555"


@dataclass(frozen=True)
class Panel:
    """One array of the sheet, (c, h, w) or (k,), and what it is."""
    title: str
    values: np.ndarray


def array_sheet(heading: str, panels: Sequence[Panel], width: int) -> Image.Image:
    """The panels side by side, each `width` pixels wide (at least 200, for the captions); below each the middle of its
    first channel, enlarged."""
    width = max(width, 200)
    drawn = [(_whole(panel.values, width), _detail(panel.values, width)) for panel in panels]
    tops = max(top.height for top, _ in drawn)
    lows = max(low.height for _, low in drawn)
    first = GAP + 5 * LINE
    second = first + tops + GAP + LINE
    page = Image.new("RGB", (GAP + len(panels) * (width + GAP), second + lows + GAP), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.text((GAP, GAP // 2), heading, INK, font)
    for column, (panel, (top, low)) in enumerate(zip(panels, drawn, strict=True)):
        left = GAP + column * (width + GAP)
        for line, text in enumerate((panel.title, *_caption(panel.values)), 1):
            draw.text((left, GAP + LINE * line - 2), text, INK if line == 1 else FAINT, font)
        page.paste(top, (left, first))
        draw.text((left, second - LINE), _detail_caption(panel.values), FAINT, font)
        page.paste(low, (left, second))
    return page


def to_levels(values: np.ndarray) -> np.ndarray:
    """Any array as uint8 of the same shape, by the rule at the top of this file; NaN and infinity are 0."""
    values = np.nan_to_num(np.asarray(values, np.float64), nan=0., posinf=0., neginf=0.)
    low, high = _range(values)
    return np.clip(np.rint((values - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def _range(values: np.ndarray) -> tuple[float, float]:
    """The values shown black and white.  Of signed values the largest 1 % is clipped, so that a
    few do not hide the rest."""
    if values.min() >= 0:
        return 0., max(1., float(values.max()))
    high = float(np.quantile(np.abs(values), .99)) or float(np.abs(values).max())
    return -high, high


def _caption(values: np.ndarray) -> tuple[str, str, str]:
    shape = " x ".join(map(str, values.shape[::-1])) if values.ndim == 3 else f"{values.size} values"
    if len(values) > CHANNELS and values.ndim == 3:
        shape += f", the first {CHANNELS}"
    black, white = _range(values)
    rule = f"black is 0, white {white:.3g}" if black == 0 else f"grey is 0, white {white:.2g}, black {black:.2g}"
    return shape, f"{values.min():.3g} to {values.max():.3g}", rule


def _whole(values: np.ndarray, width: int) -> Image.Image:
    """Three channels in colour, else the channels in a grid; a vector is a row of bars."""
    if values.ndim == 1:
        return _fit(Image.fromarray(to_levels(values)[None]), width, height=32)
    levels = to_levels(values)
    if len(levels) == 3:
        return _fit(to_pil(levels), width)
    levels = levels[:CHANNELS]
    columns = math.ceil(math.sqrt(len(levels)))
    rows, (h, w) = -(-len(levels) // columns), levels.shape[1:]
    grid = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), 255, np.uint8)
    for i, level in enumerate(levels):
        y, x = i // columns * (h + 1), i % columns * (w + 1)
        grid[y:y + h, x:x + w] = level
    return _fit(Image.fromarray(grid), width)


def _detail(values: np.ndarray, width: int) -> Image.Image:
    """The middle of the first channel, enlarged so that its pixels can be counted."""
    if values.ndim == 1:
        return _fit(Image.fromarray(to_levels(values)[None, :_side(values)]), width, height=32)
    h, w = values.shape[1:]
    wide, tall = _side(values), max(1, min(h, _side(values) * 2 // 3))
    y, x = (h - tall) // 2, (w - wide) // 2
    return _fit(Image.fromarray(np.ascontiguousarray(to_levels(values)[0, y:y + tall, x:x + wide])), width)


def _side(values: np.ndarray) -> int:
    """How many pixels the detail is wide: an eighth of the width, so that panels of one layer show one place."""
    return max(1, min(values.shape[-1], max(8, values.shape[-1] // 8)))


def _detail_caption(values: np.ndarray) -> str:
    return "its first values" if values.ndim == 1 else "the middle of channel 0, enlarged"


def _fit(image: Image.Image, width: int, height: int | None = None) -> Image.Image:
    """`width` pixels wide; enlarged pixels stay squares."""
    height = height or max(1, round(image.height * width / image.width))
    if image.size == (width, height):
        return image.convert("RGB")
    how = Image.Resampling.NEAREST if image.width < width else Image.Resampling.BOX
    return image.convert("RGB").resize((width, height), how)
