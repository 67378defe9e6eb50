"""Numbers from text: what Python's int() and float() accept is wider than what a file may hold.

int() takes 1_000 and digits of all alphabets, and fails with another message beyond 4,300 digits; float() takes nan and
infinity, and 1e999 is infinite.
"""
import math
from numbers import Real

LARGEST = 2**63 - 1         # whole numbers are stored as 64 bits
DIGITS = 40                 # of a whole number, with leading zeros


def whole(text: str, low: int = -LARGEST - 1, high: int = LARGEST) -> int:
    """A whole number in ASCII digits, low..high.  ValueError with the rule for anything else."""
    if len(text) <= DIGITS and text.isascii() and "_" not in text:
        try:
            value = int(text)
        except ValueError:
            pass
        else:
            if low <= value <= high:
                return value
    raise ValueError(f"must be {whole_words(low, high)}. Got {shown(text)}")


def is_whole(text: str) -> bool:
    """Whether a text is a whole number from 0 in ASCII digits, of at most 64 bits: then `int` reads it."""
    return len(text) <= 18 and text.isascii() and text.isdecimal()


def real(text: str) -> float:
    """A finite number with a decimal point.  ValueError with the rule for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text or not text.isascii():
        raise ValueError(f"must be a number. Got {shown(text)}")
    return value


def is_share(value: object) -> bool:
    """Whether a value, of a call from Python, is a number from 0 to 1."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1


def whole_words(low: float | None, high: float | None) -> str:
    """ "a whole number, at least 1", for messages; bounds of 64 bits are not mentioned."""
    return "a whole number" + range_words(low, high)


def range_words(low: float | None, high: float | None) -> str:
    words = f", at least {_plain(low)}" if low is not None and low > -LARGEST - 1 else ""
    return words + (f", at most {_plain(high)}" if high is not None and high < LARGEST else "")


def _plain(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


TEXT_SHOWN, ITEMS_SHOWN, DEPTH_SHOWN = 200, 6, 3


def shown(value: object, depth: int = DEPTH_SHOWN) -> str:
    """A value as messages show it: as repr() where that is short, else its beginning.  A file decides how long its
    values are, and messages must stay readable."""
    if isinstance(value, str | bytes):
        more = f"... ({len(value):,} {'characters' if isinstance(value, str) else 'bytes'})"
        return repr(value) if len(value) <= TEXT_SHOWN else repr(value[:TEXT_SHOWN]) + more
    if isinstance(value, dict | list | tuple):
        left, right = "{}" if isinstance(value, dict) else "[]" if isinstance(value, list) else "()"
        if depth == 0:
            return f"{left}...{right}" if value else left + right
        if isinstance(value, dict):
            items = [f"{shown(key, depth - 1)}: {shown(one, depth - 1)}"
                     for (key, one), _ in zip(value.items(), range(ITEMS_SHOWN), strict=False)]
        else:
            items = [shown(one, depth - 1) for one in value[:ITEMS_SHOWN]]
        items += ["..."] * (len(value) > ITEMS_SHOWN)
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return left + ", ".join(items) + comma + right
    if isinstance(value, int) and not -10**TEXT_SHOWN < value < 10**TEXT_SHOWN:
        return f"a number of about {math.ceil(value.bit_length() * math.log10(2)):,} digits"
    return repr(value)
