"""Contact sheets: thumbnails with captions."""
import numpy as np
from PIL import Image

from runner.images import contact_sheet, to_pil


def test_thumbnails_are_separate_and_pixels_stay_square() -> None:
    tile = Image.fromarray(np.array([[[200, 9, 9]] * 5] * 3, np.uint8))
    tall = Image.fromarray(np.array([[[9, 90, 9]] * 100] * 400, np.uint8))
    page = np.asarray(contact_sheet.contact_sheet(["heading"], [("row", [(tile, "a"), (tall, "x" * 80)]),
                                                          ("", [(tile, "one\ntwo\nthree")])], 50))
    assert (page == (200, 9, 9)).all(axis=2).sum() == 2 * 30 * 50          # 3 x 5 pixels, ten times as large, twice
    assert (page == (9, 90, 9)).all(axis=2).sum() == 50 * 12
    long = np.asarray(contact_sheet.contact_sheet(["a very long heading, longer than the only image is wide"],
                                            [("", [(tile, "a")])], 50))
    assert long.shape[1] > 300 and (long[:, -5:] == 255).all()


def test_grey_and_colour_images() -> None:
    grey = to_pil(np.array([[[0, .5, 1]]], np.float32))
    assert np.asarray(grey).tolist() == [[[0] * 3, [128] * 3, [255] * 3]]
    colour = to_pil(np.array([[[10]], [[20]], [[30]]], np.uint8))
    assert np.asarray(colour).tolist() == [[[10, 20, 30]]]
