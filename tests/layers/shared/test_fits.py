"""Windows larger than their image by less than a stride: one window, as darknet's division of ints counts."""
import math
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import ops
from runner.errors import ShapeError
from runner.layers import Convolutional, Local, LocalAvgpool, Maxpool

pytestmark = pytest.mark.usefixtures("backend")


def test_the_count_is_that_of_division_toward_zero() -> None:
    for length in range(1, 12):
        for size in range(1, 15):
            for stride in range(1, 6):
                darknet = math.trunc((length - size) / stride) + 1
                got = ops.count_windows(length, size, stride)
                assert got == darknet if darknet > 0 else got < 1


@pytest.mark.parametrize("stride", [3, 4])
def test_a_convolution_reads_zeros_beyond_the_image(stride: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    layer = Convolutional((3, 4, 5), filters=4, size=6, stride=stride, activation="linear")
    larger = np.zeros((2, 3, 6, 6), np.float32)
    larger[:, :, :4, :5] = x
    want = np.einsum("nchw,fchw->nf", larger, layer.params["weights"])
    np.testing.assert_allclose(layer.forward(x)[0].reshape(2, 4), want, rtol=1e-5, atol=1e-5)
    out = np.empty((2, 4, 1, 1), np.float32)
    layer.prepare(2)(x, out)
    np.testing.assert_allclose(out.reshape(2, 4), want, rtol=1e-5, atol=1e-5)


def test_a_local_layer_reads_zeros_beyond_the_image() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    layer = Local((3, 4, 5), filters=2, size=6, stride=3, activation="linear")
    want = np.einsum("nchw,fchw->nf", x, layer.params["weights"][0, 0, :, :, :4, :5])
    np.testing.assert_allclose(layer.forward(x)[0].reshape(2, 2), want, rtol=1e-5, atol=1e-5)


def test_pools_see_only_the_pixels_of_the_image() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32) - 9       # a zero would be the maximum
    for layer, want in ((Maxpool((3, 4, 5), size=6, stride=3, padding=0), x.max(axis=(2, 3))),
                        (LocalAvgpool((3, 4, 5), size=6, stride=3, padding=0), x.mean(axis=(2, 3)))):
        np.testing.assert_allclose(layer.forward(x)[0].reshape(2, 3), want, rtol=1e-5)
        out = np.empty((2, 3, 1, 1), np.float32)
        layer.prepare(2)(x, out)
        np.testing.assert_allclose(out.reshape(2, 3), want, rtol=1e-5)


@pytest.mark.parametrize("make", [Convolutional, Local, Maxpool, LocalAvgpool])
def test_a_window_larger_by_a_stride_is_refused(make: type) -> None:
    options = {"padding": 0} if make in (Maxpool, LocalAvgpool) else {}
    assert make((3, 4, 9), size=6, stride=3, **options).out_shape[1:] == (1, 2)
    with pytest.raises(ShapeError, match="size=6 does not fit into an image of 9 x 3 pixels"):
        make((3, 3, 9), size=6, stride=3, **options)


def test_check_warns_with_the_line_and_what_to_change(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\nwidth=5\nheight=4\nchannels=3\n[local]\nsize=6\nstride=3\n[maxpool]\n"
                                    "padding=0\nsize=3\nstride=9\n")
    _, report = runner.check(tmp_path / "a.cfg")
    assert not report.errors
    assert [line.replace(f"{tmp_path}/", "") for line in report.warnings] == [
        "a.cfg:6: [local] layer 0: size=6 is larger than an image of 5 x 4 pixels, by less than stride=3: one window "
        "reaches beyond the image, where it finds zeros, as in darknet. Set a smaller size=, or a larger width= and "
        "height= in [net]",
        "a.cfg:10: [maxpool] layer 1: size=3 is larger than an image of 1 x 1 pixels, by less than stride=9: one "
        "window reaches beyond the image, where it finds no pixel, as in darknet. Set a smaller size=, or a larger "
        "width= and height= in [net]"]


def test_a_stride_beyond_the_image_is_cut_to_it() -> None:
    """One window is computed either way; kernels must not have memory for the pixels up to the next."""
    far = Convolutional((3, 4, 5), filters=2, size=3, pad=1, stride=100_000)
    assert far.out_shape == (2, 1, 1) and max(far.stride) < 20
    near = Convolutional((3, 4, 5), filters=2, size=3, pad=1, stride=6)
    near.params["weights"][...] = far.params["weights"]
    x = np.random.default_rng(0).random((2, 3, 4, 5), np.float32)
    assert np.array_equal(far.forward(x, train=False)[0], near.forward(x, train=False)[0])
