"""Parts of images that are pixelated or blurred."""
import numpy as np
import pytest

from runner.images.obscure import blurred, crop, inside, obscure, pixelated


@pytest.mark.parametrize("corners, expected", [
    ((1.2, 2.7, 4.1, 5.0), (1, 2, 5, 5)), ((-3, -1, 2, 2), (0, 0, 2, 2)), ((8.5, 3, 20, 9), (8, 3, 10, 8)),
    ((12, 9, 15, 12), (9, 7, 10, 8)), ((-5, -5, -2, -2), (0, 0, 1, 1)), ((3, 3, 3, 3), (3, 3, 4, 4))])
def test_whole_pixels_inside_the_image(corners: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert inside(corners, 10, 8) == expected
    image = np.arange(240, dtype=np.float32).reshape(3, 8, 10)
    assert crop(image, corners).shape == (3, expected[3] - expected[1], expected[2] - expected[0])


@pytest.mark.parametrize("height, width", [(1, 1), (3, 5), (24, 16), (17, 40), (200, 130), (300, 301)])
def test_details_are_lost_and_the_mean_stays(height: int, width: int) -> None:
    part = np.random.default_rng(height).random((3, height, width)).astype(np.float32)
    for method in (pixelated, blurred):
        out = method(part)
        assert out.shape == part.shape and out.dtype == np.float32 and 0 <= out.min() and out.max() <= 1
        if height > 10:
            assert out.std() < part.std() / 3
            np.testing.assert_allclose(out.mean(axis=(1, 2)), part.mean(axis=(1, 2)), atol=.05)


def test_squares() -> None:
    """33 pixels wide: squares of 5, the last of 3; each is the mean of what was there."""
    part = np.random.default_rng(0).random((1, 12, 33)).astype(np.float32)
    out = pixelated(part)
    np.testing.assert_allclose(out[0, 0:5, 5:10], part[0, 0:5, 5:10].mean(), rtol=1e-5)
    np.testing.assert_allclose(out[0, 10:12, 30:33], part[0, 10:12, 30:33].mean(), rtol=1e-5)
    assert len(np.unique(out)) == 3 * 7


def test_an_edge_becomes_a_ramp() -> None:
    part = np.zeros((1, 40, 40), np.float32)
    part[:, :, 20:] = 1
    row = blurred(part)[0, 20]
    assert (np.diff(row) >= -1e-6).all() and .1 < row[14] < .4 and .6 < row[25] < .9


def test_only_inside_the_boxes_and_not_in_place() -> None:
    image = np.random.default_rng(0).random((3, 50, 60)).astype(np.float32)
    before = image.copy()
    out = obscure(image, [("blur", (5, 5, 25, 25)), ("pixelate", (30.5, 10, 70, 30))])
    assert (image == before).all()
    changed = (out != image).any(axis=0)
    inside_boxes = np.zeros_like(changed)
    inside_boxes[5:25, 5:25] = inside_boxes[10:30, 30:60] = True
    assert not changed[~inside_boxes].any() and changed[inside_boxes].mean() > .99
