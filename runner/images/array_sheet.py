"""A sheet of labelled pictures of arrays: what goes into a layer, what comes out, and the gradients.

How values become grey or colour is told in each caption, so that nobody has to guess:
  nothing negative    black is 0, white the largest value (or 1, if that is larger)
  otherwise           middle grey is 0, white and black are as far from it on either side
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP, LINE, CHANNELS = 12, 17, 16        # pixels between pictures; pixels of a caption's line; channels shown at most
PAPER, INK, FAINT = "white", "black", "#555555"


@dataclass(frozen=True)
class Panel:
    """One picture of the sheet: an array (c, h, w) or (k,) and what it is."""
    title: str
    values: np.ndarray


def sheet(heading: str, panels: Sequence[Panel], width: int) -> Image.Image:
    """The panels side by side, `width` pixels each (at least 200: the captions need that); below each the middle of
    its first channel, enlarged."""
    width = max(width, 200)
    pictures = [(_picture(panel.values, width), _detail(panel.values, width)) for panel in panels]
    tops = max(top.height for top, _ in pictures)
    lows = max(low.height for _, low in pictures)
    first = GAP + 5 * LINE
    second = first + tops + GAP + LINE
    page = Image.new("RGB", (GAP + len(panels) * (width + GAP), second + lows + GAP), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    draw.text((GAP, GAP // 2), heading, INK, font)
    for column, (panel, (top, low)) in enumerate(zip(panels, pictures, strict=True)):
        left = GAP + column * (width + GAP)
        for line, text in enumerate((panel.title, *_caption(panel.values)), 1):
            draw.text((left, GAP + LINE * line - 2), text, INK if line == 1 else FAINT, font)
        page.paste(top, (left, first))
        draw.text((left, second - LINE), _detail_caption(panel.values), FAINT, font)
        page.paste(low, (left, second))
    return page


def to_levels(values: np.ndarray) -> np.ndarray:
    """Any array as uint8 of the same shape, by the rule at the top of this file; what is not finite is 0."""
    values = np.nan_to_num(np.asarray(values, np.float64), nan=0., posinf=0., neginf=0.)
    low, high = _range(values)
    return np.clip(np.rint((values - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def _range(values: np.ndarray) -> tuple[float, float]:
    """The values shown black and white.  Of signed values the largest hundredth is cut, or one would hide the rest."""
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


def _picture(values: np.ndarray, width: int) -> Image.Image:
    """Colours of three channels, else the channels as tiles; a vector is a row of bars."""
    if values.ndim == 1:
        return _fit(Image.fromarray(to_levels(values)[None]), width, height=32)
    levels = to_levels(values)
    if len(levels) == 3:
        return _fit(Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0))), width)
    levels = levels[:CHANNELS]
    across = math.ceil(math.sqrt(len(levels)))
    down, (h, w) = -(-len(levels) // across), levels.shape[1:]
    tiles = np.full((down * (h + 1) - 1, across * (w + 1) - 1), 255, np.uint8)
    for i, level in enumerate(levels):
        y, x = i // across * (h + 1), i % across * (w + 1)
        tiles[y:y + h, x:x + w] = level
    return _fit(Image.fromarray(tiles), width)


def _detail(values: np.ndarray, width: int) -> Image.Image:
    """The middle of the first channel in squares that can be counted."""
    if values.ndim == 1:
        return _fit(Image.fromarray(to_levels(values)[None, :_side(values)]), width, height=32)
    h, w = values.shape[1:]
    wide, tall = _side(values), max(1, min(h, _side(values) * 2 // 3))
    y, x = (h - tall) // 2, (w - wide) // 2
    return _fit(Image.fromarray(np.ascontiguousarray(to_levels(values)[0, y:y + tall, x:x + wide])), width)


def _side(values: np.ndarray) -> int:
    """How many pixels the detail is wide: an eighth of the picture, so that panels of one layer show one place."""
    return max(1, min(values.shape[-1], max(8, values.shape[-1] // 8)))


def _detail_caption(values: np.ndarray) -> str:
    return "its first values" if values.ndim == 1 else "the middle of channel 0, enlarged"


def _fit(picture: Image.Image, width: int, height: int | None = None) -> Image.Image:
    """`width` pixels wide; enlarged pixels stay squares."""
    height = height or max(1, round(picture.height * width / picture.width))
    if picture.size == (width, height):
        return picture.convert("RGB")
    how = Image.Resampling.NEAREST if picture.width < width else Image.Resampling.BOX
    return picture.convert("RGB").resize((width, height), how)
