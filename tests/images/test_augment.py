"""Random changes for training: each step against a plain loop, and the properties of the whole."""
import colorsys
import math
from collections.abc import Sequence

import numpy as np
import pytest

from runner import ops
from runner.errors import RunnerError
from runner.images import Augment, augment, augment_batch, augment_of, rotate_crop
from runner.images.augment import DRAWS
from runner.images.mix import BOTH, CUTMIX, MIXUP, MOSAIC, blur, mix, sources
from runner.net_options import NetOptions

RNG = np.random.default_rng(5)


def plain_rotate_crop(image: np.ndarray, width: int, height: int, angle: float, scale: float,
                      dx: float, dy: float, aspect: float) -> np.ndarray:
    channels, h, w = image.shape
    out = np.zeros((channels, height, width))
    for y in range(height):
        for x in range(width):
            u = ((x - width / 2) * aspect + dx * aspect) / scale
            v = ((y - height / 2) + dy) / scale
            sx = math.cos(angle) * u - math.sin(angle) * v + w / 2
            sy = math.sin(angle) * u + math.cos(angle) * v + h / 2
            for row, column in [(0, 0), (0, 1), (1, 0), (1, 1)]:
                r, c = math.floor(sy) + row, math.floor(sx) + column
                if 0 <= r < h and 0 <= c < w:
                    out[:, y, x] += image[:, r, c] * (1 - abs(sy - r)) * (1 - abs(sx - c))
    return out


def test_rotate_crop_is_the_formula_image_by_image() -> None:
    images = RNG.random((3, 2, 9, 14))
    ways = {"angle": [.3, -2., 0], "scale": [1.5, .6, 1], "dx": [1., -3, 0], "dy": [0., 2.5, 0],
            "aspect": [1, .8, 1.3]}
    got = rotate_crop(images, 8, 11, **{k: np.array(v) for k, v in ways.items()})
    for k in range(3):
        want = plain_rotate_crop(images[k], 8, 11, **{name: value[k] for name, value in ways.items()})
        np.testing.assert_allclose(got[k], want, atol=1e-12)


def test_rotate_crop_of_nothing_is_the_image_and_outside_is_black() -> None:
    images = RNG.random((2, 3, 8, 8)).astype(np.float32) + .1
    np.testing.assert_array_equal(rotate_crop(images, 8, 8), images)
    assert not rotate_crop(images, 8, 8, dx=100.).any()
    wide = rotate_crop(images, 12, 8)
    assert not wide[..., 0].any() and wide[..., 4].all()


def plain_distort(pixel: np.ndarray, hue: float, saturation: float, exposure: float) -> Sequence[float]:
    h, s, v = colorsys.rgb_to_hsv(*pixel)
    h, s, v = (h + hue) % 1, s * saturation, v * exposure
    if s == 0:
        return [v, v, v]
    sector, f = int(h * 6), h * 6 - int(h * 6)
    p, q, t = v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))
    return [(v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q)][sector % 6]


@pytest.mark.parametrize("hue", [0., .1, -.35, .9])
@pytest.mark.parametrize("saturation, exposure", [(1, 1), (1.7, .6), (.4, 1.8)])
def test_distort_is_hsv(hue: float, saturation: float, exposure: float) -> None:
    images = RNG.random((2, 3, 4, 5))
    images[0, :, 0, 0], images[0, :, 0, 1], images[0, :, 0, 2] = .5, 0, (1, 0, 0)          # grey, black, pure
    got = ops.distort(images, hue, saturation, exposure)
    for n, y, x in np.ndindex(2, 4, 5):
        want = np.clip(plain_distort(images[n, :, y, x], hue, saturation, exposure), 0, 1)
        np.testing.assert_allclose(got[n, :, y, x], want, atol=1e-9)


def test_distort_per_image_and_grey() -> None:
    images = RNG.random((2, 3, 4, 4)).astype(np.float32)
    got = ops.distort(images, np.array([.2, 0]), np.array([1.5, 1]), np.array([.5, 1]))
    np.testing.assert_allclose(got[0], ops.distort(images[:1], .2, 1.5, .5)[0], atol=1e-6)
    np.testing.assert_allclose(got[1], images[1], atol=1e-6)
    assert got.dtype == np.float32
    np.testing.assert_allclose(ops.distort(images[:, :1], .2, 3, .5), images[:, :1] * .5, atol=1e-7)


@pytest.mark.parametrize("hue", [0., .2])
@pytest.mark.parametrize("channels", [2, 4, 7])
def test_colours_are_the_first_three_channels(hue: float, channels: int) -> None:
    images = RNG.random((3, channels, 5, 6)).astype(np.float32)
    changes = hue, np.array([1.5, 1, .7]), np.array([.5, 1, 1.2])
    before = images.copy()
    got = ops.distort(images, *changes)
    colours = ops.distort(np.ascontiguousarray(images[:, :3 if channels > 3 else 1]), *changes)
    np.testing.assert_array_equal(got[:, :colours.shape[1]], colours)
    np.testing.assert_array_equal(got[:, colours.shape[1]:], images[:, colours.shape[1]:])
    np.testing.assert_array_equal(images, before)
    assert not np.array_equal(colours[0], images[0, :colours.shape[1]])


def test_geometry_changes_all_channels_alike() -> None:
    image = np.repeat(RNG.random((1, 20, 31)).astype(np.float32), 5, axis=0)
    out = augment(image, Augment(16, 12, min_crop=14, max_crop=30, angle=20, aspect=1.3), RNG)
    assert out.shape == (5, 12, 16) and (out == out[:1]).all()
    colours = augment(image, Augment(16, 12, min_crop=14, max_crop=30, angle=20, exposure=2.), RNG)
    assert (colours[3:] == colours[3:4]).all() and not np.allclose(colours[0], colours[3])
    for mode in (MIXUP, CUTMIX, MOSAIC):
        parts = np.repeat(RNG.random((sources(mode), 2, 1, 9, 9)).astype(np.float32), 5, axis=2)
        mixed, _ = mix(parts, mode, RNG.random((2, 5)))
        assert mixed.shape == (2, 5, 9, 9) and (mixed == mixed[:, :1]).all()


EVERYTHING = Augment(16, 12, min_crop=14, max_crop=30, angle=20, aspect=1.3, hue=.1, saturation=1.5,
                     exposure=1.5)


@pytest.mark.parametrize("channels, h, w", [(3, 20, 31), (1, 8, 8), (3, 50, 9), (3, 1, 1)])
def test_shape_range_and_repeatability(channels: int, h: int, w: int) -> None:
    image = RNG.random((channels, h, w)).astype(np.float32)
    got = [augment(image, EVERYTHING, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert got[0].shape == (channels, 12, 16) and got[0].dtype == np.float32
    assert got[0].min() >= 0 and got[0].max() <= 1
    np.testing.assert_array_equal(got[0], got[1])
    assert h == 1 or not np.array_equal(got[0], got[2])


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    images, draws = RNG.random((5, 3, 20, 24)).astype(np.float32), RNG.random((5, DRAWS))
    together = augment_batch(images, EVERYTHING, draws)
    for k in range(5):
        single = augment_batch(images[k:k + 1], EVERYTHING, draws[k:k + 1])[0]
        np.testing.assert_allclose(single, together[k], atol=1e-6)


def test_nothing_asked_nothing_changed() -> None:
    image = RNG.random((3, 8, 8)).astype(np.float32)
    still = Augment(8, 8, flip=False)
    np.testing.assert_array_equal(augment(image, still, np.random.default_rng(0)), image)


def test_mirrors_half_of_the_images() -> None:
    image = np.zeros((1, 1, 8, 8), np.float32)
    image[..., :4] = 1
    out = augment_batch(image.repeat(400, 0), Augment(8, 8), RNG.random((400, DRAWS)))
    mirrored = out[:, 0, 0, 0] == 0
    assert .4 < mirrored.mean() < .6
    np.testing.assert_array_equal(out[mirrored], image[..., ::-1].repeat(mirrored.sum(), 0))


def test_crops_wander_but_stay_inside() -> None:
    white = np.ones((200, 1, 20, 30), np.float32)
    out = augment_batch(white, Augment(16, 16, 20, 30), RNG.random((200, DRAWS)))
    assert (out[..., 1:-1, 1:-1] > .999).all()           # the border itself may be half a pixel off
    ramp = np.broadcast_to(np.arange(30, dtype=np.float32), (200, 1, 20, 30)).copy()
    crops = augment_batch(ramp, Augment(16, 16, 20, 30, flip=False), RNG.random((200, DRAWS)))
    middles = crops[:, 0, 8, 8]
    assert np.ptp(middles) > 8


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(RunnerError, match="saturation must be greater than 0"):
        Augment(8, 8, saturation=0)
    with pytest.raises(RunnerError, match="at least 1"):
        Augment(0, 8)


# --- several images in one -----------------------------------------------------------------------------------

def four(n: int, h: int = 20, w: int = 30) -> np.ndarray:
    """Images of one value each: k + 1 for the k-th of the parts."""
    return np.arange(1, 5, dtype=np.float32)[:, None, None, None, None] * np.ones((1, n, 2, h, w), np.float32)


def test_mixup_is_the_mean() -> None:
    parts = RNG.random((2, 3, 1, 4, 5)).astype(np.float32)
    out, shares = mix(parts, MIXUP, RNG.random((3, 5)))
    np.testing.assert_allclose(out, parts.mean(axis=0), rtol=1e-6)
    assert shares.tolist() == [[.5] * 3] * 2


def test_cutmix_pastes_a_rectangle_of_the_second() -> None:
    out, shares = mix(four(300)[:2], CUTMIX, RNG.random((300, 5)))
    inside = out[:, 0] == 2
    np.testing.assert_allclose(shares, [1 - inside.mean(axis=(1, 2)), inside.mean(axis=(1, 2))], atol=1e-6)
    wide, tall = inside.any(axis=1).sum(axis=1), inside.any(axis=2).sum(axis=1)
    np.testing.assert_array_equal(inside.sum(axis=(1, 2)), wide * tall)            # one rectangle
    assert (wide.min(), wide.max(), tall.min(), tall.max()) == (9, 24, 6, 16)      # .3 to .8 of the sides
    assert inside.any(axis=0)[:-1, :-1].all() and np.array_equal(out[:, 0], out[:, 1])


def test_mosaic_shows_each_image_in_its_quarter() -> None:
    out, shares = mix(four(300), MOSAIC, RNG.random((300, 5)))
    for k in range(4):
        np.testing.assert_allclose(shares[k], (out[:, 0] == k + 1).mean(axis=(1, 2)), atol=1e-6)
    top, left = (out[:, 0, :, 0] == 1).sum(axis=1), (out[:, 0, 0] == 1).sum(axis=1)
    assert (top.min(), top.max(), left.min(), left.max()) == (4, 16, 6, 24)        # .2 to .8 of the sides
    assert (out[:, 0, 0, 0] == 1).all() and (out[:, 0, 0, -1] == 2).all()
    assert (out[:, 0, -1, 0] == 3).all() and (out[:, 0, -1, -1] == 4).all()


def test_both_is_cutmix_or_mosaic_for_each_image() -> None:
    _, shares = mix(four(400), BOTH, RNG.random((400, 5)))
    assert .4 < (shares[2] > 0).mean() < .6 and ((shares > 0).sum(axis=0) >= 2).all()


def test_parts_of_a_mosaic_stay_in_their_place() -> None:
    parts = RNG.random((4, 1, 1, 6, 8)).astype(np.float32)
    out, _ = mix(parts, MOSAIC, RNG.random((1, 5)))
    assert ((out == parts).any(axis=0)).all()


@pytest.mark.parametrize("size, shape", [(3, (9, 12)), (15, (9, 12)), (15, (4, 20)), (5, (1, 1)), (4, (7, 7))])
def test_blur_is_a_gaussian_over_the_mirrored_image(size: int, shape: tuple[int, ...]) -> None:
    image = RNG.random((2, 3, *shape))
    got, half = blur(image, size), size // 2
    sigma = .3 * (half - 1) + .8
    taps = np.exp(-np.arange(-half, half + 1) ** 2 / (2 * sigma**2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    h, w = shape
    framed = np.pad(image, ((0, 0), (0, 0), (half, half), (half, half)), "reflect" if min(shape) > 1 else "edge")
    want = sum(kernel[i, j] * framed[..., i:i + h, j:j + w] for i in range(2 * half + 1) for j in range(2 * half + 1))
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_the_options_of_net_say_what_to_do() -> None:
    def of(**options):
        return augment_of(NetOptions.make("net", width=8, height=6, channels=3, **options))

    assert of() == Augment(8, 6, 8, 16)
    assert of(min_crop=5, max_crop=9, angle=4., hue=.1, flip=False).angle == 4
    modes = [of(**options).mix for options in ({"mixup": 1}, {"cutmix": True}, {"mosaic": True, "mixup": 1},
                                               {"cutmix": True, "mosaic": True}, {"mixup": 2})]
    assert modes == [MIXUP, CUTMIX, MOSAIC, BOTH, CUTMIX] and [sources(mode) for mode in modes] == [2, 2, 4, 4, 2]
    assert (of(blur=1).blur, of(blur=7).blur, of().blur) == (15, 7, 0)
