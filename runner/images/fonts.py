r"""A font for names in any alphabet.

Pillow's own font has ASCII only.  Other names are drawn with the font of this machine that has most of their letters:
DejaVu Sans as it comes with matplotlib, and what the operating systems bring.  Letters that no font has are written as
escapes, \u4e2d, never as boxes.
"""
import importlib.util
import unicodedata
from functools import cache
from pathlib import Path

from PIL import ImageFont, features

# looked up by Pillow in the font folders of the system
SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf",                 # Linux
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf",
    "NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf",
    "Arial Unicode.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",    # macOS
    "segoeui.ttf", "arial.ttf", "msyh.ttc", "msgothic.ttc", "malgun.ttf", "Nirmala.ttf", "LeelawUI.ttf")    # Windows
JOINERS = "\u200c\u200d"       # they choose the forms of the letters beside them, and have none of their own
NO_CHARACTER = "\uffff"         # no font has it: it is drawn as the glyph of a missing one
PROBE_SIZE = 20                 # pixels, at which glyphs are compared

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def legible(text: str, size: float) -> tuple[str, Font]:
    """The text as it can be drawn, and the font, its size in pixels."""
    text = unicodedata.normalize("NFC", text)
    if text.isascii():
        return _escaped(text, ""), ImageFont.load_default(size)
    letters = set(text)
    best = max(font_files(), key=lambda path: sum(has(path, letter) for letter in letters), default="")
    lacking = "".join(letter for letter in letters if not letter.isascii() and not (best and has(best, letter)))
    font = ImageFont.truetype(best, size) if best else ImageFont.load_default(size)
    return _escaped(text, lacking), font


@cache
def font_files() -> tuple[str, ...]:
    """The TrueType fonts of this machine, as paths; the first is preferred."""
    return tuple(dict.fromkeys(path for path in (_of_matplotlib(), *map(_of_system, SYSTEM_FONTS)) if path))


@cache
def has(path: str, letter: str) -> bool:
    """Whether a font draws a character, and in its place."""
    if unicodedata.bidirectional(letter) in ("R", "AL", "AN") and not features.check("raqm"):
        return False            # Pillow writes from left to right without Raqm
    if letter in JOINERS or letter == " ":
        return True
    if not letter.isprintable():
        return False
    font = ImageFont.truetype(path, PROBE_SIZE, layout_engine=ImageFont.Layout.BASIC)
    one, missing = font.getmask(letter), font.getmask(NO_CHARACTER)
    return one.size != missing.size or bytes(one) != bytes(missing)


def _of_matplotlib() -> str:
    """DejaVu Sans in the folder of matplotlib, which is not imported for it."""
    try:
        found = importlib.util.find_spec("matplotlib")
    except ValueError:          # it was imported in an unusual way
        return ""
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if path.is_file():
            return str(path)
    return ""


def _of_system(name: str) -> str:
    try:
        return str(ImageFont.truetype(name, PROBE_SIZE).path)
    except OSError:
        return ""


def _escaped(text: str, lacking: str) -> str:
    """The text with these characters, and those that are not printed, as escapes."""
    return "".join(letter.encode("unicode_escape").decode() if letter in lacking or not printed(letter) else letter
                   for letter in text)


def printed(letter: str) -> bool:
    return letter.isprintable() or letter in JOINERS
