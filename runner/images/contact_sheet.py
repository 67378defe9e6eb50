"""A contact sheet: rows of thumbnails, each with a caption of a line or more below.  (Arrays such as gradients are
drawn by array_sheet.)"""
from collections.abc import Sequence

from PIL import Image, ImageDraw

from runner.images.array_sheet import FAINT, GAP, INK, LINE, PAPER
from runner.images.fonts import Font, legible

Thumbnail = tuple[Image.Image, str]     # an image and its caption
LETTERS = 12        # pixels


def contact_sheet(heading: Sequence[str], rows: Sequence[tuple[str, Sequence[Thumbnail]]],
                  size: int = 112) -> Image.Image:
    """Lines of a heading, then rows of (title, thumbnails), "" for no title; an image fits into size x size pixels.

    Small images are enlarged by a whole factor, so that their pixels stay squares.
    """
    headings = [legible(line, LETTERS) for line in heading]
    columns = max((len(thumbnails) for _, thumbnails in rows), default=1)
    heights = [size + LINE * _lines(thumbnails) + GAP // 2 + bool(title) * LINE for title, thumbnails in rows]
    top = GAP + LINE * len(heading) + GAP // 2
    widest = max((font.getlength(line) for line, font in headings), default=0)
    width = max(GAP + columns * (size + GAP), 2 * GAP + round(widest))
    page = Image.new("RGB", (width, top + sum(heights) + GAP), PAPER)
    draw = ImageDraw.Draw(page)
    for number, (line, font) in enumerate(headings):
        draw.text((GAP, GAP // 2 + number * LINE), line, INK if not number else FAINT, font)
    for (title, thumbnails), height in zip(rows, heights, strict=True):
        bottom = top + height
        if title:
            text, font = legible(title, LETTERS)
            draw.text((GAP, top), text, FAINT, font)
            top += LINE
        for column, (image, caption) in enumerate(thumbnails):
            left, small = GAP + column * (size + GAP), fit(image, size)
            page.paste(small, (left + (size - small.width) // 2, top + (size - small.height) // 2))
            for number, words in enumerate(caption.split("\n")):
                line, font = legible(words, LETTERS)
                draw.text((left, top + size + number * LINE), clipped(line, font, size + GAP - 4), INK, font)
        top = bottom
    return page


def _lines(thumbnails: Sequence[Thumbnail]) -> int:
    return max((caption.count("\n") + 1 for _, caption in thumbnails), default=1)


def fit(image: Image.Image, size: int) -> Image.Image:
    """The largest that fits into a square of `size` pixels; enlarged only by a whole factor."""
    image = image.convert("RGB")
    factor = size / max(image.size)
    if factor >= 1:
        factor = int(factor)
    wanted = tuple(max(1, round(side * factor)) for side in image.size)
    return image.resize((wanted[0], wanted[1]), Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX)


def clipped(text: str, font: Font, width: float) -> str:
    """The text, shortened with ... where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
