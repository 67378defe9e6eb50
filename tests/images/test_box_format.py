"""Formats of boxes, and boxes of an image that is resized."""
import numpy as np
import pytest

from runner.images import convert, pixel_corners
from runner.images.box_format import resize_with_boxes

# one box in each format: 20 wide and 10 high, its upper left corner at (30, 40)
BOX = {"cxcywh": [40., 45., 20., 10.], "xyxy": [30., 40., 50., 50.], "xywh": [30., 40., 20., 10.]}


@pytest.mark.parametrize("in_fmt", BOX)
@pytest.mark.parametrize("out_fmt", BOX)
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 1, 4)])
def test_every_format_into_every_other(in_fmt: str, out_fmt: str, shape: tuple[int, ...]) -> None:
    boxes = np.broadcast_to(np.array(BOX[in_fmt]), shape)
    np.testing.assert_array_equal(convert(boxes, in_fmt, out_fmt), np.broadcast_to(np.array(BOX[out_fmt]), shape))


def test_as_torchvision() -> None:
    ops, torch = pytest.importorskip("torchvision.ops"), pytest.importorskip("torch")
    boxes = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    for in_fmt in BOX:
        for out_fmt in BOX:
            theirs = ops.box_convert(torch.from_numpy(boxes), in_fmt, out_fmt).numpy()
            np.testing.assert_allclose(convert(boxes, in_fmt, out_fmt), theirs, atol=1e-6)


@pytest.mark.parametrize("formats", [("cxcywh", "yxyx"), ("corners", "xyxy")])
def test_an_unknown_format_is_refused(formats: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="a box format is cxcywh, xyxy or xywh"):
        convert(np.zeros((1, 4)), *formats)


def test_the_class_of_a_row_is_left_out() -> None:
    row = np.array([[.4, .45, .2, .1, 7]], np.float32)
    np.testing.assert_allclose(pixel_corners(row, 100, 200), [[30, 80, 50, 100]], rtol=1e-6)
    assert convert(row, "cxcywh", "xyxy").shape == (1, 4)


def test_boxes_of_a_letterboxed_image() -> None:
    image, boxes = np.ones((1, 10, 20), np.float32), np.array([[.5, .5, 1, 1, 0]], np.float32)
    canvas, moved = resize_with_boxes(image, boxes, 40, 40, keep_ratio=True)
    np.testing.assert_allclose(moved, [[.5, .5, 1, .5, 0]])
    left, top, right, bottom = pixel_corners(moved[0], 40, 40).astype(int)
    assert (canvas[0, top:bottom, left:right] == 1).all() and (canvas == 1).sum() == (right - left) * (bottom - top)
    stretched, same = resize_with_boxes(image, boxes, 40, 40)
    assert (stretched == 1).all() and same is boxes
