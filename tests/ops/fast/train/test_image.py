"""The compiled arithmetic on images gives the reference's bits."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runner.ops import image as reference
from runner.ops.fast.train import image as fast
from tests.ops.fast.helpers import few, seeds

side = st.integers(1, 40)
dtypes = st.sampled_from(["uint8", "uint16", "float32"])


def image_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def same(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got, want)


@few
@given(side, side, side, side, st.sampled_from([(), (1,), (2, 3)]), seeds)
def test_resize(h: int, w: int, height: int, width: int, front: tuple, seed: int) -> None:
    image = image_of(seed, *front, h, w)
    same(fast.resize(image, width, height), reference.resize(image, width, height))


@few
@given(side, side, side, side, st.integers(-9, 9), st.integers(-9, 9), st.integers(2, 50), st.integers(2, 50), dtypes,
       seeds)
def test_crop(h: int, w: int, height: int, width: int, left: int, top: int, crop_width: int, crop_height: int,
              dtype: str, seed: int) -> None:
    pixels = image_of(seed, 3, h, w)
    if dtype != "float32":
        pixels = (pixels * np.iinfo(dtype).max).astype(dtype)
    for part in ((0, 0, width, height), (width // 3, height // 2, width, height)):
        same(fast.crop(pixels, left, top, crop_width, crop_height, width, height, part),
             reference.crop(pixels, left, top, crop_width, crop_height, width, height, part))


@few
@given(st.integers(1, 3), st.sampled_from([1, 3]), side, side, side, side, seeds)
def test_rotate_crop(n: int, channels: int, h: int, w: int, height: int, width: int, seed: int) -> None:
    images, rng = image_of(seed, n, channels, h, w), np.random.default_rng(seed)
    changes = {"angle": rng.normal(0, 1, n), "scale": rng.uniform(.3, 3, n), "dx": rng.normal(0, 5, n),
            "dy": rng.normal(0, 5, n), "aspect": rng.uniform(.5, 2, n)}
    same(fast.rotate_crop(images, width, height, **changes), reference.rotate_crop(images, width, height, **changes))
    same(fast.rotate_crop(images, width, height), reference.rotate_crop(images, width, height))


@few
@given(st.integers(1, 3), st.sampled_from([1, 2, 3, 4, 6]), side, st.integers(1, 90), st.booleans(), seeds)
def test_distort(n: int, channels: int, h: int, w: int, shift: bool, seed: int) -> None:
    images, rng = image_of(seed, n, channels, h, w), np.random.default_rng(seed)
    images[:, :, :h // 3] = images[:, :1, :h // 3]      # greys
    hue = rng.uniform(-1, 1, n) if shift else 0.
    changes = hue, rng.uniform(.5, 2, n), rng.uniform(.5, 2, n)
    same(fast.distort(images, *changes), reference.distort(images, *changes))


def test_other_arrays_go_to_the_reference() -> None:
    image = np.random.default_rng(0).random((1, 3, 9, 8))
    transposed = image_of(0, 1, 3, 8, 9).swapaxes(2, 3)
    for images in (image, transposed):
        same(fast.resize(images, 5, 4), reference.resize(images, 5, 4))
        same(fast.rotate_crop(images, 5, 4, angle=.3), reference.rotate_crop(images, 5, 4, angle=.3))
        same(fast.distort(images, .1, 1.2, .9), reference.distort(images, .1, 1.2, .9))
    same(fast.crop(transposed[0], 1, 1, 5, 5, 4, 4, (0, 0, 4, 4)),
         reference.crop(transposed[0], 1, 1, 5, 5, 4, 4, (0, 0, 4, 4)))
