"""Boxes and labels drawn on images."""
import numpy as np
import pytest

from runner.images import fonts
from runner.images.draw import MISSED, RIGHT, WRONG, Style, StyledBox, colour, draw_boxes, draw_styled


def test_labels_stay_within_the_image() -> None:
    image = draw_boxes(np.zeros((3, 30, 50), np.float32), [("a long name", 0, 1.0, (-20, -20, 70, 60))])
    assert image.size == (50, 30) and np.asarray(image).any()


def test_labels_do_not_cover_one_another() -> None:
    """Two boxes in one place: both labels can be read, that is, both colours fill a label's area."""
    grey = np.full((3, 120, 160), .5, "f4")
    both = np.asarray(draw_boxes(grey, [("cat", 0, .9, (20, 40, 90, 100)), ("dog", 1, .8, (20, 40, 90, 100))]))
    areas = [int((both == colour(kind)).all(axis=-1).sum()) for kind in (0, 1)]
    single = np.asarray(draw_boxes(grey, [("cat", 0, .9, (20, 40, 90, 100))]))
    assert min(areas) > .6 * (single == colour(0)).all(axis=-1).sum()


def test_labels_of_small_boxes_in_a_large_image_leave_the_boxes_visible() -> None:
    grey = np.full((3, 900, 900), .5, "f4")
    small = [("cat", 0, .9, (x, y, x + 24, y + 24)) for x in range(50, 850, 100) for y in range(50, 850, 100)]
    drawn = np.asarray(draw_boxes(grey, small))
    assert .03 < (drawn == colour(0)).all(axis=-1).mean() < .1 and (drawn[55, 62] == 128).all()
    large = np.asarray(draw_boxes(grey, [("cat", 0, .9, (200, 200, 700, 700))]))
    label = (large[:200] == colour(0)).all(axis=-1).any(axis=1)
    assert 24 < label.sum() < 60, "letters grow with the image where boxes are large"


def pixels_of(image: np.ndarray, style: Style) -> np.ndarray:
    """Where the image has the colour of a style (h, w)."""
    mask: np.ndarray = (image == style.colour).all(axis=-1)
    return mask


def test_styles_differ_in_colour_and_in_line() -> None:
    """A solid, a dashed and a dotted line: their shares of the edge fall."""
    shares = []
    for style in (RIGHT, WRONG, MISSED):
        drawn = np.asarray(draw_styled(np.full((3, 200, 200), .5, "f4"), [StyledBox("", style, (20, 20, 180, 180))]))
        shares.append(pixels_of(drawn, style)[20, 20:180].mean())
        assert (drawn[19, 20:180] == 0).all(), "no black line beside the coloured one"
    assert shares[0] == 1 and .55 < shares[1] < .8 and .2 < shares[2] < .45


def test_a_name_in_any_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that a font has are drawn with it; others, and commands in a name, are escapes."""
    assert fonts.legible("cat", 12)[0] == "cat"
    assert fonts.legible("a\u202eb\n", 12)[0] == r"a\u202eb\n"
    with monkeypatch.context() as patch:
        patch.setattr(fonts, "font_files", lambda: ())
        text, font = fonts.legible("Kätzchen 猫", 12)
        assert text == r"K\xe4tzchen \u732b" and font.getlength(text) > 60
    files = fonts.font_files()
    if not files:
        pytest.skip("no TrueType font here")
    assert fonts.has(files[0], "Ж") and not fonts.has(files[0], fonts.NO_CHARACTER)
    text, font = fonts.legible("кошка é", 20)
    assert text == "кошка é" and bytes(font.getmask("к")) != bytes(font.getmask("ш"))
    assert fonts.legible("e\u0301", 20)[0] == "é"


def test_right_to_left_needs_raqm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts.features, "check", lambda name: False)
    fonts.has.cache_clear()
    assert fonts.legible("חתול", 12)[0].startswith(r"\u05d7")
    fonts.has.cache_clear()
