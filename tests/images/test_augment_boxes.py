"""Boxes follow their objects: a coloured rectangle is drawn, changed with its image, and located again."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runner.errors import UsageError
from runner.images import BoxAugment, augment_with_boxes, prepare, to_float
from runner.images.augment_boxes import ImageAndBoxes, quadrant_ranges
from runner.images.box_format import convert, crop_boxes

W, H = 96, 80           # of the network
Colour = tuple[int, int, int]
GREY, RED, GREEN = (90, 90, 90), (250, 10, 10), (10, 250, 10)


def scene(colour: Colour = RED, size: tuple[int, int] = (120, 100),
          corners: tuple[int, int, int, int] = (30, 20, 66, 62)) -> ImageAndBoxes:
    """A grey image (c, h, w) uint8 with one rectangle, and its box."""
    w, h = size
    left, top, right, bottom = corners
    image = np.empty((3, h, w), np.uint8)
    image[...] = np.array(GREY)[:, None, None]
    image[:, top:bottom, left:right] = np.array(colour)[:, None, None]
    box = [(left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h, 3]
    return image, np.array([box], np.float32)


def no_other() -> ImageAndBoxes:
    raise AssertionError("another image was asked for")


class Others:
    """Further images for mosaic and mixup; count: how many were taken."""

    def __init__(self, *images: ImageAndBoxes):
        self.images, self.count = images, 0

    def __call__(self) -> ImageAndBoxes:
        self.count += 1
        return self.images[self.count - 1]


def make(settings: BoxAugment, seed: int, source: ImageAndBoxes | None = None,
         another: Callable[[], ImageAndBoxes] = no_other, most: int = 50) -> ImageAndBoxes:
    return augment_with_boxes(source or scene(), another, settings, W, H, most, np.random.default_rng(seed))


def locate(image: np.ndarray, channel: int = 0) -> np.ndarray | None:
    """left, top, right, bottom in pixels of the area of a colour; None where there is none."""
    others = [c for c in range(3) if c != channel]
    there = image[channel] - image[others].max(axis=0) > .3
    rows, columns = np.nonzero(there)
    return None if not len(rows) else np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def assert_close(box: np.ndarray, pixels: np.ndarray | None, most: float = 2) -> None:
    assert pixels is not None
    corners = convert(box[None], "cxcywh", "xyxy")[0] * (W, H, W, H)
    assert np.abs(corners - pixels).max() <= most, f"{corners} for an object at {pixels}"


PLAIN: dict[str, Any] = {"jitter": 0., "flip": False}
COLOURS: dict[str, Any] = {"hue": .02, "saturation": 1.2, "exposure": 1.2}


def test_without_changes_it_is_the_input_of_detect() -> None:
    image, boxes = make(BoxAugment(**PLAIN), 0)
    np.testing.assert_allclose(image, prepare(to_float(scene()[0]), W, H, "stretch"), atol=1e-6)
    np.testing.assert_allclose(boxes, scene()[1], rtol=1e-6)


@pytest.mark.parametrize("settings", [
    BoxAugment(**{**PLAIN, "flip": True}), BoxAugment(jitter=.3), BoxAugment(jitter=.1, resize=1.5),
    BoxAugment(jitter=.2, resize=.6), BoxAugment(jitter=.2, letterbox=True), BoxAugment(jitter=.2, **COLOURS),
    BoxAugment(jitter=.1, blur=1), BoxAugment(jitter=.1, blur=3), BoxAugment(jitter=.1, gaussian_noise=8)], ids=str)
def test_the_box_stays_on_its_object(settings: BoxAugment) -> None:
    shown, places = 0, set()
    for seed in range(60):
        image, boxes = make(settings, seed)
        assert image.shape == (3, H, W) and image.dtype == np.float32 and 0 <= image.min() and image.max() <= 1
        area = locate(image)
        assert (area is None) == (len(boxes) == 0), "an object in the image has a box, and nothing else"
        if area is not None:
            assert_close(boxes[0], area)
            assert boxes[0, 4] == 3
            shown += 1
            places.add(tuple(area))
    assert shown > 40 and len(places) > 1


def test_each_option_changes_something() -> None:
    source = scene(size=(150, 100))
    plain, _ = make(BoxAugment(**PLAIN), 0, source)
    changes: list[dict[str, Any]] = [
        {"flip": True}, {"jitter": .2}, {"resize": 1.5}, {"resize": .7}, {"hue": .2}, {"saturation": 2.},
        {"exposure": 2.}, {"blur": 1}, {"blur": 9}, {"gaussian_noise": 20}, {"letterbox": True}]
    for change in changes:
        settings = BoxAugment(**{**PLAIN, **change})
        assert any(np.abs(make(settings, seed, source)[0] - plain).max() > .01 for seed in range(8)), change


def test_resize_below_one_only_zooms_out() -> None:
    sizes = [make(BoxAugment(**PLAIN, resize=.5), seed)[1][0, 2:4] for seed in range(30)]
    assert max(size.max() for size in sizes) <= .42 + 1e-6 and min(size[0] for size in sizes) < .25
    both = [make(BoxAugment(**PLAIN, resize=2.), seed)[1] for seed in range(30)]
    assert max(boxes[0, 2] for boxes in both if len(boxes)) > .35


def test_letterbox_keeps_the_aspect_ratio_and_fills_with_the_mean_colour() -> None:
    source = scene(size=(200, 60), corners=(80, 10, 120, 50))          # 40 x 40 pixels
    image, boxes = make(BoxAugment(**PLAIN, letterbox=True), 0, source)
    w, h = boxes[0, 2:4] * (W, H)
    assert abs(w / h - 1) < .05
    np.testing.assert_allclose(image[:, 2, 40] * 255, source[0].mean(axis=(1, 2)), atol=1)
    assert_close(boxes[0], locate(image))


def test_a_flipped_box() -> None:
    boxes = np.array([[.2, .5, .2, .4, 1]], np.float32)
    np.testing.assert_allclose(crop_boxes(boxes, (1, 1), (0, 0), True), [[.8, .5, .2, .4, 1]], rtol=1e-6)
    # the left half of the image, twice as wide: what extended over its edge is cut off
    np.testing.assert_allclose(crop_boxes(boxes, (2, 1), (0, 0), False), [[.4, .5, .4, .4, 1]], rtol=1e-6)
    np.testing.assert_allclose(crop_boxes(boxes, (2, 1), (.4, 0), False), [[.1, .5, .2, .4, 1]], rtol=1e-6)


def test_an_object_below_a_pixel_has_no_box() -> None:
    tiny = scene(corners=(50, 50, 51, 90))
    assert len(make(BoxAugment(**PLAIN), 0, tiny)[1]) == 0
    assert len(make(BoxAugment(**PLAIN), 0, scene(corners=(50, 50, 53, 90)))[1]) == 1


def test_no_more_boxes_than_there_are_rows() -> None:
    image, boxes = scene()
    many = np.repeat(boxes, 30, axis=0)
    many[:, 4] = np.arange(30)
    kept = [make(BoxAugment(**PLAIN), seed, (image, many), most=7)[1][:, 4] for seed in range(2)]
    assert len(kept[0]) == 7 and not np.array_equal(kept[0], kept[1])


def test_mixup_shows_both_and_keeps_all_boxes() -> None:
    mixed = 0
    for seed in range(20):
        others = Others(scene(GREEN, corners=(70, 50, 100, 90)))
        image, boxes = make(BoxAugment(**PLAIN, mixup=True), seed, another=others)
        mixed += len(boxes) == 2
        assert len(boxes) == 1 + others.count
        if others.count:
            np.testing.assert_allclose(image[0, 30, 40], (250 + 90) / 2 / 255, atol=.01)
            np.testing.assert_allclose(boxes[1], scene(GREEN, corners=(70, 50, 100, 90))[1][0], rtol=1e-6)
    assert 4 < mixed < 16


COLOURED = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("settings", [PLAIN, {"jitter": .3}, {"jitter": .2, "resize": 1.5}], ids=str)
def test_in_a_mosaic_the_boxes_stay_on_their_objects(settings: dict[str, Any], bound: bool) -> None:
    """Four images, red, green, blue and plain: the visible area of a colour is in the box, and fills it if bound."""
    shown = mosaics = 0
    for seed in range(60):
        others = Others(scene(COLOURED[1]), scene(COLOURED[2]), (scene(GREY)[0], np.zeros((0, 5), np.float32)))
        image, boxes = make(BoxAugment(**settings, mosaic=True, mosaic_bound=bound), seed,
                            (scene()[0], scene()[1] * [1, 1, 1, 1, 0]), another=others)
        if others.count != 3:
            assert not others.count
            continue
        mosaics += 1
        areas = [locate(image, channel) for channel in range(3)]
        there = [area for area in areas if area is not None]
        slivers = sum((area[2:] - area[:2]).min() < 3 for area in there)     # pixels blend at their edges
        assert len(there) - slivers <= len(boxes) <= len(there)
        for corners in convert(boxes, "cxcywh", "xyxy") * (W, H, W, H):
            near = there[int(np.argmin([np.abs(area - corners).max() for area in there]))]
            assert (near[:2] >= corners[:2] - 2).all() and (near[2:] <= corners[2:] + 2).all()
            if bound:
                assert np.abs(near - corners).max() <= 2
            shown += 1
    assert 15 < mosaics < 45 and shown > mosaics


def test_the_quadrants_of_a_mosaic_as_in_darknet() -> None:
    """(from, to) in the changed image and on the canvas, calculated by hand from the shifts of blend_truth_mosaic."""
    assert quadrant_ranges(0, 40, 100, 0, 0, 200) == (60, 100, 0, 40)
    assert quadrant_ranges(0, 40, 100, 0, -50, 200) == (35, 75, 0, 40)    # 25 pixels beyond the right edge
    assert quadrant_ranges(0, 40, 100, 0, -150, 200) == (0, 40, 0, 40)    # at most to the end of the image
    assert quadrant_ranges(1, 40, 100, 0, 0, 200) == (0, 60, 40, 100)
    assert quadrant_ranges(1, 40, 100, -50, 0, 200) == (25, 85, 40, 100)
    assert quadrant_ranges(1, 40, 100, -150, 0, 200) == (40, 100, 40, 100)


def test_a_blurred_background_leaves_objects_sharp() -> None:
    rng = np.random.default_rng(0)
    image, boxes = scene()
    image = (image * rng.uniform(.2, 1, (1, *image.shape[1:]))).astype(np.uint8)
    sharp, _ = make(BoxAugment(**PLAIN), 0, (image, boxes))
    left, top, right, bottom = (convert(boxes, "cxcywh", "xyxy")[0] * (W, H, W, H)).astype(int)
    blurred = 0
    for seed in range(12):
        out, _ = make(BoxAugment(**PLAIN, blur=1), seed, (image, boxes))
        np.testing.assert_array_equal(out[:, top:bottom, left:right], sharp[:, top:bottom, left:right])
        blurred += out[:, :, :left - 10].std() < .5 * sharp[:, :, :left - 10].std()
    assert 4 <= blurred <= 11


def test_noise_has_the_standard_deviation_of_the_option() -> None:
    plain, _ = make(BoxAugment(**PLAIN), 0)
    deviations = [float((make(BoxAugment(**PLAIN, gaussian_noise=15), seed)[0] - plain)[:, :15].std()) * 255
                  for seed in range(10)]
    assert 0 in np.round(deviations) and all(abs(d - 15) < 1 for d in deviations if d > 1)


def test_grey_images_of_16_bits() -> None:
    image, boxes = scene()
    deep = image[:1].astype(np.uint16) * 257
    out, _ = make(BoxAugment(jitter=.2, exposure=1.5, hue=.1), 0, (deep, boxes))
    assert out.shape == (1, H, W) and 0 < out.max() <= 1


@pytest.mark.parametrize("change", [{"resize": 0.}, {"saturation": -1.}, {"jitter": -.1}, {"blur": -1}])
def test_wrong_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        BoxAugment(**change)


def test_a_network_of_a_few_pixels() -> None:
    changes = BoxAugment(jitter=.3, resize=1.5, mosaic=True, mixup=True, blur=1, letterbox=True)
    for seed in range(40):
        image, boxes = augment_with_boxes(scene(), scene, changes, 3, 2, 9, np.random.default_rng(seed))
        assert image.shape == (3, 2, 3) and np.isfinite(image).all() and np.isfinite(boxes).all()
