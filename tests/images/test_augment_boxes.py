"""Boxes follow their things: a coloured rectangle is drawn, changed with its picture, and found again."""
import numpy as np
import pytest

from runner.errors import UsageError
from runner.images import BoxAugment, augment_with_boxes, prepare, to_float
from runner.images.augment_boxes import _quadrant_ranges
from runner.images.box_format import convert, crop_boxes

W, H = 96, 80           # of the network
GREY, RED, GREEN = (90, 90, 90), (250, 10, 10), (10, 250, 10)


def scene(colour=RED, size=(120, 100), corners=(30, 20, 66, 62)):
    """A grey picture (c, h, w) uint8 with one rectangle, and its box."""
    w, h = size
    left, top, right, bottom = corners
    image = np.empty((3, h, w), np.uint8)
    image[...] = np.array(GREY)[:, None, None]
    image[:, top:bottom, left:right] = np.array(colour)[:, None, None]
    box = [(left + right) / 2 / w, (top + bottom) / 2 / h, (right - left) / w, (bottom - top) / h, 3]
    return image, np.array([box], np.float32)


def no_other():
    raise AssertionError("no further picture is wanted")


def make(settings, seed, picture=None, another=no_other, most=50):
    return augment_with_boxes(picture or scene(), another, settings, W, H, most, np.random.default_rng(seed))


def seen(image, channel=0):
    """left, top, right, bottom in pixels of what is of a colour; None where there is none."""
    others = [c for c in range(3) if c != channel]
    there = image[channel] - image[others].max(axis=0) > .3
    rows, columns = np.nonzero(there)
    return None if not len(rows) else np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def close(box, pixels, most=2):
    corners = convert(box[None], "cxcywh", "xyxy")[0] * (W, H, W, H)
    assert np.abs(corners - pixels).max() <= most, f"{corners} for a thing at {pixels}"


PLAIN = {"jitter": 0., "flip": False}
COLOURS = {"hue": .02, "saturation": 1.2, "exposure": 1.2}


def test_unchanged_it_is_what_detect_sees():
    image, boxes = make(BoxAugment(**PLAIN), 0)
    np.testing.assert_allclose(image, prepare(to_float(scene()[0]), W, H, "stretch"), atol=1e-6)
    np.testing.assert_allclose(boxes, scene()[1], rtol=1e-6)


@pytest.mark.parametrize("settings", [
    BoxAugment(**{**PLAIN, "flip": True}), BoxAugment(jitter=.3), BoxAugment(jitter=.1, resize=1.5),
    BoxAugment(jitter=.2, resize=.6), BoxAugment(jitter=.2, letterbox=True), BoxAugment(jitter=.2, **COLOURS),
    BoxAugment(jitter=.1, blur=1), BoxAugment(jitter=.1, blur=3), BoxAugment(jitter=.1, gaussian_noise=8)], ids=str)
def test_the_box_stays_on_its_thing(settings):
    shown, places = 0, set()
    for seed in range(60):
        image, boxes = make(settings, seed)
        assert image.shape == (3, H, W) and image.dtype == np.float32 and 0 <= image.min() and image.max() <= 1
        thing = seen(image)
        assert (thing is None) == (len(boxes) == 0), "a thing in the picture has a box, and nothing else has"
        if thing is not None:
            close(boxes[0], thing)
            assert boxes[0, 4] == 3
            shown += 1
            places.add(tuple(thing))
    assert shown > 40 and len(places) > 1


def test_each_change_changes_something():
    picture = scene(size=(150, 100))
    plain, _ = make(BoxAugment(**PLAIN), 0, picture)
    for change in ({"flip": True}, {"jitter": .2}, {"resize": 1.5}, {"resize": .7}, {"hue": .2}, {"saturation": 2.},
                   {"exposure": 2.}, {"blur": 1}, {"blur": 9}, {"gaussian_noise": 20}, {"letterbox": True}):
        settings = BoxAugment(**{**PLAIN, **change})
        assert any(np.abs(make(settings, seed, picture)[0] - plain).max() > .01 for seed in range(8)), change


def test_resize_below_one_only_zooms_out():
    sizes = [make(BoxAugment(**PLAIN, resize=.5), seed)[1][0, 2:4] for seed in range(30)]
    assert max(size.max() for size in sizes) <= .42 + 1e-6 and min(size[0] for size in sizes) < .25
    both = [make(BoxAugment(**PLAIN, resize=2.), seed)[1] for seed in range(30)]
    assert max(boxes[0, 2] for boxes in both if len(boxes)) > .35


def test_letterbox_keeps_the_shape_and_fills_with_the_mean_colour():
    picture = scene(size=(200, 60), corners=(80, 10, 120, 50))          # 40 x 40 pixels
    image, boxes = make(BoxAugment(**PLAIN, letterbox=True), 0, picture)
    w, h = boxes[0, 2:4] * (W, H)
    assert abs(w / h - 1) < .05
    np.testing.assert_allclose(image[:, 2, 40] * 255, picture[0].mean(axis=(1, 2)), atol=1)
    close(boxes[0], seen(image))


def test_a_mirrored_box():
    boxes = np.array([[.2, .5, .2, .4, 1]], np.float32)
    np.testing.assert_allclose(crop_boxes(boxes, (1, 1), (0, 0), True), [[.8, .5, .2, .4, 1]], rtol=1e-6)
    # the left half of the picture, twice as wide: what reached over its edge is cut off
    np.testing.assert_allclose(crop_boxes(boxes, (2, 1), (0, 0), False), [[.4, .5, .4, .4, 1]], rtol=1e-6)
    np.testing.assert_allclose(crop_boxes(boxes, (2, 1), (.4, 0), False), [[.1, .5, .2, .4, 1]], rtol=1e-6)


def test_a_thing_under_a_pixel_is_no_truth():
    tiny = scene(corners=(50, 50, 51, 90))
    assert len(make(BoxAugment(**PLAIN), 0, tiny)[1]) == 0
    assert len(make(BoxAugment(**PLAIN), 0, scene(corners=(50, 50, 53, 90)))[1]) == 1


def test_no_more_boxes_than_there_are_rows():
    image, boxes = scene()
    many = np.repeat(boxes, 30, axis=0)
    many[:, 4] = np.arange(30)
    kept = [make(BoxAugment(**PLAIN), seed, (image, many), most=7)[1][:, 4] for seed in range(2)]
    assert len(kept[0]) == 7 and not np.array_equal(kept[0], kept[1])


def test_mixup_shows_both_and_keeps_all_boxes():
    mixed = 0
    for seed in range(20):
        asked = []
        image, boxes = make(BoxAugment(**PLAIN, mixup=True), seed,
                            another=lambda asked=asked: asked.append(1) or scene(GREEN, corners=(70, 50, 100, 90)))
        mixed += len(boxes) == 2
        assert len(boxes) == 1 + len(asked)
        if asked:
            np.testing.assert_allclose(image[0, 30, 40], (250 + 90) / 2 / 255, atol=.01)
            np.testing.assert_allclose(boxes[1], scene(GREEN, corners=(70, 50, 100, 90))[1][0], rtol=1e-6)
    assert 4 < mixed < 16


COLOURED = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("settings", [PLAIN, {"jitter": .3}, {"jitter": .2, "resize": 1.5}], ids=str)
def test_in_a_mosaic_the_boxes_stay_on_their_things(settings, bound):
    """Four pictures, red, green, blue and plain: what is seen of a colour lies in the box, and fills it if bound."""
    shown = mosaics = 0
    for seed in range(60):
        others = iter([scene(COLOURED[1]), scene(COLOURED[2]), (scene(GREY)[0], np.zeros((0, 5), np.float32))])
        asked = []
        image, boxes = make(BoxAugment(**settings, mosaic=True, mosaic_bound=bound), seed,
                            (scene()[0], scene()[1] * [1, 1, 1, 1, 0]),
                            another=lambda asked=asked, others=others: asked.append(1) or next(others))
        if len(asked) != 3:
            assert not asked
            continue
        mosaics += 1
        things = [seen(image, channel) for channel in range(3)]
        there = [thing for thing in things if thing is not None]
        slivers = sum((thing[2:] - thing[:2]).min() < 3 for thing in there)     # pixels blend at their edges
        assert len(there) - slivers <= len(boxes) <= len(there)
        for corners in convert(boxes, "cxcywh", "xyxy") * (W, H, W, H):
            near = min(there, key=lambda thing, corners=corners: np.abs(thing - corners).max())
            assert (near[:2] >= corners[:2] - 2).all() and (near[2:] <= corners[2:] + 2).all()
            if bound:
                assert np.abs(near - corners).max() <= 2
            shown += 1
    assert 15 < mosaics < 45 and shown > mosaics


def test_the_parts_of_a_mosaic_as_in_darknet():
    """_tile: (from, to) in the changed picture and on the canvas; worked by hand from blend_truth_mosaic's shifts."""
    assert _quadrant_ranges(0, 40, 100, 0, 0, 200) == (60, 100, 0, 40)
    assert _quadrant_ranges(0, 40, 100, 0, -50, 200) == (35, 75, 0, 40)    # 25 pixels beyond the right edge
    assert _quadrant_ranges(0, 40, 100, 0, -150, 200) == (0, 40, 0, 40)        # at most as far as there is picture
    assert _quadrant_ranges(1, 40, 100, 0, 0, 200) == (0, 60, 40, 100)
    assert _quadrant_ranges(1, 40, 100, -50, 0, 200) == (25, 85, 40, 100)
    assert _quadrant_ranges(1, 40, 100, -150, 0, 200) == (40, 100, 40, 100)


def test_a_blurred_background_leaves_things_sharp():
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


def test_noise_has_the_deviation_asked_for():
    plain, _ = make(BoxAugment(**PLAIN), 0)
    deviations = [float((make(BoxAugment(**PLAIN, gaussian_noise=15), seed)[0] - plain)[:, :15].std()) * 255
                  for seed in range(10)]
    assert 0 in np.round(deviations) and all(abs(d - 15) < 1 for d in deviations if d > 1)


def test_grey_and_deep_pictures():
    image, boxes = scene()
    deep = image[:1].astype(np.uint16) * 257
    out, _ = make(BoxAugment(jitter=.2, exposure=1.5, hue=.1), 0, (deep, boxes))
    assert out.shape == (1, H, W) and 0 < out.max() <= 1


@pytest.mark.parametrize("change", [{"resize": 0.}, {"saturation": -1.}, {"jitter": -.1}, {"blur": -1}])
def test_wrong_settings_are_refused(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        BoxAugment(**change)


def test_a_network_of_a_few_pixels():
    changes = BoxAugment(jitter=.3, resize=1.5, mosaic=True, mixup=True, blur=1, letterbox=True)
    for seed in range(40):
        image, boxes = augment_with_boxes(scene(), scene, changes, 3, 2, 9, np.random.default_rng(seed))
        assert image.shape == (3, 2, 3) and np.isfinite(image).all() and np.isfinite(boxes).all()
