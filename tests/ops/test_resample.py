"""Moving pixels, against darknet's recorded permutations and its index formula written out."""
import numpy as np
import pytest

from runner import ops

pytestmark = pytest.mark.usefixtures("backend")

# stride 2 on 4 channels of 4x4 filled with 0..63, as darknet wrote them
REORG = [0, 2, 4, 6, 16, 18, 20, 22, 32, 34, 36, 38, 48, 50, 52, 54,
         1, 3, 5, 7, 17, 19, 21, 23, 33, 35, 37, 39, 49, 51, 53, 55,
         8, 10, 12, 14, 24, 26, 28, 30, 40, 42, 44, 46, 56, 58, 60, 62,
         9, 11, 13, 15, 25, 27, 29, 31, 41, 43, 45, 47, 57, 59, 61, 63]
REORG3D = [0, 2, 8, 10, 16, 18, 24, 26, 32, 34, 40, 42, 48, 50, 56, 58,
           1, 3, 9, 11, 17, 19, 25, 27, 33, 35, 41, 43, 49, 51, 57, 59,
           4, 6, 12, 14, 20, 22, 28, 30, 36, 38, 44, 46, 52, 54, 60, 62,
           5, 7, 13, 15, 21, 23, 29, 31, 37, 39, 45, 47, 53, 55, 61, 63]


def count(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def walk(x: np.ndarray, shape: tuple[int, int, int], s: int, flag: int) -> np.ndarray:
    """src/blas.c:reorg_cpu, index by index: x (n, size) -> (n, size); shape is the c, h, w it is called with."""
    channels, height, width = shape
    out = np.full_like(x, np.nan)
    thin = channels // (s * s)
    for k, j, i in np.ndindex(channels, height, width):
        small = i + width * (j + height * k)
        offset = k // thin
        column, row = i * s + offset % s, j * s + offset // s
        large = column + width * s * (row + height * s * (k % thin))
        if flag:
            out[:, large] = x[:, small]
        else:
            out[:, small] = x[:, large]
    return out


SHAPES = [((2, 4, 4, 4), 2), ((3, 8, 2, 6), 2), ((2, 9, 3, 6), 3), ((1, 16, 6, 2), 2), ((2, 5, 3, 4), 1)]


@pytest.mark.parametrize("f, want", [(ops.reorg, REORG), (ops.space_to_depth, REORG3D)])
def test_check_values(f, want):
    y = f(count(1, 4, 4, 4), 2)
    assert y.shape == (1, 16, 2, 2)
    np.testing.assert_array_equal(y.ravel(), want)


@pytest.mark.parametrize("shape, s", SHAPES)
def test_reorg_is_the_walk_over_the_input(shape, s):
    n, c, h, w = shape
    y = ops.reorg(count(*shape), s)
    assert y.shape == (n, c * s * s, h // s, w // s)
    np.testing.assert_array_equal(y.reshape(n, -1), walk(count(*shape).reshape(n, -1), (c, h, w), s, 0))


@pytest.mark.parametrize("shape, s", SHAPES)
def test_reorg3d_is_the_walk_over_the_output(shape, s):
    n, c, h, w = shape
    y = ops.space_to_depth(count(*shape), s)
    out = (c * s * s, h // s, w // s)
    assert y.shape == (n, *out)
    np.testing.assert_array_equal(y.reshape(n, -1), walk(count(*shape).reshape(n, -1), out, s, 0))


@pytest.mark.parametrize("shape, s", [((2, 4, 3, 2), 2), ((3, 8, 2, 5), 2), ((2, 18, 2, 3), 3)])
def test_reorg_reverse_is_the_walk_back_over_the_input(shape, s):
    n, c, h, w = shape
    y = ops.depth_to_space(count(*shape), s)
    assert y.shape == (n, c // (s * s), h * s, w * s)
    np.testing.assert_array_equal(y.reshape(n, -1), walk(count(*shape).reshape(n, -1), (c, h, w), s, 1))


@pytest.mark.parametrize("shape, s", [((2, 16, 3, 2), 2), ((1, 32, 1, 3), 2), ((2, 81, 1, 2), 3)])
def test_reorg3d_reverse_is_the_walk_back_over_the_output(shape, s):
    n, c, h, w = shape
    y = ops.reorg_inverse(count(*shape), s)
    out = (c // (s * s), h * s, w * s)
    assert y.shape == (n, *out)
    np.testing.assert_array_equal(y.reshape(n, -1), walk(count(*shape).reshape(n, -1), out, s, 1))


PAIRS = [(ops.reorg, ops.reorg_inverse), (ops.space_to_depth, ops.depth_to_space)]


@pytest.mark.parametrize("there, back", PAIRS)
@pytest.mark.parametrize("shape, s", SHAPES)
def test_pairs_undo_each_other_and_so_are_the_backwards(there, back, shape, s):
    x = count(*shape)
    y = there(x, s)
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(back(y, s), x)
    np.testing.assert_array_equal(there(back(y, s), s), y)


def test_depth_to_space_has_the_blocks_channels_outermost():
    x = count(2, 12, 2, 3)
    y = ops.depth_to_space(x, 2)
    for n, k, i, j in np.ndindex(y.shape):
        assert y[n, k, i, j] == x[n, 3 * (2 * (i % 2) + j % 2) + k, i // 2, j // 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_upsample(dtype):
    y = ops.upsample(count(1, 2, 1, 2).astype(dtype), 2, 0.5)
    np.testing.assert_array_equal(y, [[[[0, 0, .5, .5]] * 2, [[1, 1, 1.5, 1.5]] * 2]])
    assert y.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_downsample_sums_blocks_and_leaves_out_the_rest(dtype):
    y = ops.downsample(count(1, 1, 3, 5).astype(dtype), 2, 0.5)
    np.testing.assert_array_equal(y, [[[[6, 10]]]])
    assert y.dtype == dtype


@pytest.mark.parametrize("shape, stride, scale", [((2, 3, 4, 6), 2, 1), ((1, 2, 5, 7), 3, 0.5), ((3, 1, 2, 2), 1, 2)])
def test_backwards_are_transposed(shape, stride, scale):
    """<f(x), dy> = <x, backward(dy)> for a linear f."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    y = ops.upsample(x, stride, scale)
    dy = rng.normal(size=y.shape)
    assert (y * dy).sum() == pytest.approx((x * ops.upsample_backward(dy, stride, scale)).sum())
    y = ops.downsample(x, stride, scale)
    dy = rng.normal(size=y.shape)
    dx = ops.downsample_backward(dy, stride, scale, shape)
    assert dx.shape == shape
    assert (y * dy).sum() == pytest.approx((x * dx).sum())


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle_moves_every_channel(groups: int) -> None:
    x = count(2, 6, 2, 3)
    y = ops.channel_shuffle(x, groups)
    for g in range(groups):
        for k in range(6 // groups):
            np.testing.assert_array_equal(y[:, k * groups + g], x[:, g * (6 // groups) + k])
    np.testing.assert_array_equal(ops.channel_shuffle(y, 6 // groups), x)
