"""Compiled pooling against the reference."""
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runner import ops
from runner.ops import fast
from runner.ops.pool import output_size
from tests.ops.fast.helpers import close, few, normal, same_bits, seeds, shapes


@few
@given(shapes, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.booleans(), seeds)
def test_maxpool(shape: tuple, size: int, stride_y: int, stride_x: int, padding: int, ties: bool, seed: int) -> None:
    x = np.round(normal(seed, *shape)) if ties else normal(seed, *shape)
    stride, before = (stride_y, stride_x), padding // 2
    sides = output_size(shape, size, stride, padding)
    if min(sides) < 1 or before >= size or any(
            (out - 1) * s - before >= side for out, s, side in zip(sides, stride, shape[2:], strict=True)):
        return      # a window without a pixel: [maxpool] refuses it
    want, index = ops.REFERENCE["maxpool2d"](x, size, stride, padding)
    got, won = fast.maxpool2d(x, size, stride, padding)
    assert index is not None and won is not None
    assert np.array_equal(got, want) and np.array_equal(won, index)
    assert np.array_equal(fast.maxpool2d(x, size, stride, padding, need_index=False)[0], want)
    dy = normal(seed + 1, *want.shape)
    close(fast.maxpool2d_backward(dy, won, x.shape, size, stride, padding),
          ops.REFERENCE["maxpool2d_backward"](dy, index, x.shape, size, stride, padding))


def test_a_maximum_with_nan_is_nan() -> None:
    x = np.full((1, 1, 2, 4), np.nan, "float32")
    assert np.isnan(fast.maxpool2d(x, 2, (2, 2), 0)[0]).all() and np.isnan(fast.maxpool2d(x, 2, (1, 1), 1)[0]).all()


@few
@given(shapes, seeds)
def test_averages(shape: tuple, seed: int) -> None:
    x, dy = normal(seed, *shape), normal(seed, *shape[:2])
    close(fast.avgpool(x), ops.REFERENCE["avgpool"](x))
    close(fast.avgpool_backward(dy, shape), ops.REFERENCE["avgpool_backward"](dy, shape))


def test_bits_do_not_depend_on_threads() -> None:
    x = normal(1, 3, 40, 64, 50)

    def compute() -> list[np.ndarray]:
        y, index = fast.maxpool2d(x, 3, (2, 2), 2)
        assert index is not None
        return [y, index, fast.maxpool2d_backward(y, index, x.shape, 3, (2, 2), 2), fast.avgpool(x)]
    same_bits(compute)
