"""A contact sheet: many small pictures in rows, each with a line or more below."""
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runner.images.array_sheet import FAINT, GAP, INK, LINE, PAPER

Tile = tuple[Image.Image, str]          # a picture, and what stands below it


def contact_sheet(heading: Sequence[str], rows: Sequence[tuple[str, Sequence[Tile]]], size: int = 112) -> Image.Image:
    """Lines of a heading, then rows of pictures, each under its title ("" for none); a picture fits size x size pixels.

    Small pictures are enlarged by a whole factor, so that their pixels stay squares.
    """
    font = ImageFont.load_default(12)
    columns = max((len(tiles) for _, tiles in rows), default=1)
    heights = [size + LINE * _lines(tiles) + GAP // 2 + bool(title) * LINE for title, tiles in rows]
    top = GAP + LINE * len(heading) + GAP // 2
    widest = max((font.getlength(line) for line in heading), default=0)
    width = max(GAP + columns * (size + GAP), 2 * GAP + round(widest))
    page = Image.new("RGB", (width, top + sum(heights) + GAP), PAPER)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(heading):
        draw.text((GAP, GAP // 2 + number * LINE), line, INK if not number else FAINT, font)
    for (title, tiles), height in zip(rows, heights, strict=True):
        bottom = top + height
        if title:
            draw.text((GAP, top), title, FAINT, font)
            top += LINE
        for column, (picture, caption) in enumerate(tiles):
            left, small = GAP + column * (size + GAP), fit(picture, size)
            page.paste(small, (left + (size - small.width) // 2, top + (size - small.height) // 2))
            for number, line in enumerate(caption.split("\n")):
                draw.text((left, top + size + number * LINE), clipped(line, font, size + GAP - 4), INK, font)
        top = bottom
    return page


def _lines(tiles: Sequence[Tile]) -> int:
    return max((caption.count("\n") + 1 for _, caption in tiles), default=1)


def picture_of(image: np.ndarray) -> Image.Image:
    """(c, h, w) with values in 0..1, or uint8 -> a picture, 1 channel grey, 3 in colour."""
    if image.dtype != np.uint8:
        image = np.clip(np.rint(np.asarray(image, np.float32) * 255), 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0).squeeze(2) if len(image) == 1
                                                else image[:3].transpose(1, 2, 0))).convert("RGB")


def fit(picture: Image.Image, size: int) -> Image.Image:
    """As large as goes into a square, by a whole factor where it is enlarged."""
    picture = picture.convert("RGB")
    factor = size / max(picture.size)
    if factor >= 1:
        factor = int(factor)
    wanted = tuple(max(1, round(side * factor)) for side in picture.size)
    return picture.resize((wanted[0], wanted[1]), Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX)


def clipped(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as goes into `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
