"""The operators of inference programs: what they compute on blocked images, against the plain operations."""
import math

import numpy as np
import pytest

from runner import ops
from runner.ops import inference_op, parallel
from runner.ops.fast.infer import conv, operators
from runner.ops.fast.infer.executor import CompiledProgram
from runner.ops.fast.planned import plan_conv2d
from runner.ops.fast.simd.isa import LANES

CONV, ACT = ops.REFERENCE["conv2d"], ops.REFERENCE["activate"]


@pytest.fixture(autouse=True)
def threads():
    yield
    parallel.set_threads(2)


def normal(rng, *shape):
    return rng.normal(size=shape).astype("f4")


def convolution(rng, kind, c, f, h, w, size, activation="leaky", **more):
    """-> operator, x -> what it should give."""
    stride, padding, dilation = more.get("stride", (1, 1)), more.get("padding", (0, 0)), more.get("dilation", 1)
    weights, biases = normal(rng, f, c, size, size) / np.float32(size * np.sqrt(c)), normal(rng, f)

    def want(x):
        y = CONV(x, weights, **more) + biases[:, None, None]
        return ACT(y, activation)[0]
    out = want(np.zeros((1, c, h, w), "f4")).shape[2:]
    geometry = conv.Geometry((c, h, w), (size, size), out, stride, padding, dilation)
    return kind(weights, biases, activation, geometry), want


SHAPES = [      # c, f, h, w, size, more
    (3, 16, 11, 13, 3, {"padding": (1, 1)}),
    (3, 40, 19, 17, 7, {"padding": (3, 3), "stride": (2, 2)}),
    (1, 5, 9, 30, 5, {"padding": (2, 2)}),
    (16, 32, 13, 13, 3, {"padding": (1, 1)}),
    (20, 33, 7, 16, 1, {}),
    (64, 130, 5, 6, 1, {}),
    (24, 64, 9, 5, 3, {"padding": (1, 1), "stride": (2, 2)}),
    (17, 16, 12, 29, 3, {}),
    (32, 80, 15, 8, 5, {"padding": (2, 2), "stride": (1, 2)}),
    (48, 16, 10, 11, 3, {"padding": (2, 2), "dilation": 2}),
]


@pytest.mark.parametrize("activation", ["leaky", "linear", "mish"])
@pytest.mark.parametrize("c, f, h, w, size, more", SHAPES)
def test_direct_convolutions(c, f, h, w, size, more, activation):
    rng = np.random.default_rng(c + f)
    op, want = convolution(rng, conv.Direct, c, f, h, w, size, activation, **more)
    x = normal(rng, 3, c, h, w)
    np.testing.assert_allclose(op(x), want(x), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("c, f, h, w", [
    (16, 16, 8, 8), (24, 40, 13, 17), (32, 16, 7, 7), (64, 48, 30, 6), (16, 64, 9, 52)])
def test_winograd_convolutions(c, f, h, w, strips, monkeypatch):
    monkeypatch.setattr(conv, "PLAN_WINOGRAD_STRIPS_WEIGHTS", math.inf if strips else 0)
    rng = np.random.default_rng(c + f + h)
    op, want = convolution(rng, conv.Winograd, c, f, h, w, 3, "relu", padding=(1, 1))
    x = normal(rng, 3, c, h, w)
    got = op(x)
    np.testing.assert_allclose(got, want(x), rtol=1e-3, atol=1e-4)
    for count in (1, 4):
        parallel.set_threads(count)
        assert np.array_equal(op(x), got)
        assert np.array_equal(op(x[1:2]), got[1:2]), "the result of an image is bit-identical in any batch"


@pytest.mark.parametrize("c, h, w, size, stride", [
    (16, 9, 9, 3, (1, 1)), (40, 12, 7, 3, (2, 2)), (5, 6, 31, 5, (2, 1))])
def test_depthwise_convolutions(c, h, w, size, stride):
    rng, pad = np.random.default_rng(c), (size // 2, size // 2)
    weights, biases, x = normal(rng, c, 1, size, size), normal(rng, c), normal(rng, 2, c, h, w)
    want = ACT(CONV(x, weights, stride=stride, padding=pad, groups=c) + biases[:, None, None], "swish")[0]
    geometry = conv.Geometry((c, h, w), (size, size), want.shape[2:], stride, pad, 1)
    op = conv.Depthwise(weights, biases, "swish", geometry)
    np.testing.assert_allclose(op(x), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("c, groups, size", [(32, 2, 3), (32, 8, 3), (64, 4, 1), (96, 3, 3), (12, 2, 3)])
def test_grouped_convolutions(c, groups, size):
    """Groups that fill blocks, several to a block, and those that cannot."""
    rng = np.random.default_rng(c)
    weights, biases, x = normal(rng, c, c // groups, size, size), normal(rng, c), normal(rng, 2, c, 9, 7)
    weights /= np.float32(size * np.sqrt(c // groups))
    more = {"padding": (size // 2, size // 2), "groups": groups}
    want = ACT(CONV(x, weights, **more) + biases[:, None, None], "leaky")[0]
    run = plan_conv2d(weights, biases, "leaky", x.shape, **more)
    assert isinstance(run, inference_op.InferenceOp) == (c > 12)
    np.testing.assert_allclose(run(x), want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 5, 7), (16, 4, 33), (35, 6, 16)])
@pytest.mark.parametrize("border", [0, 1, 2])
def test_layouts_and_back(shape, border):
    """Plain -> blocked -> plain: every value, and zeros around."""
    rng, rows, layout = np.random.default_rng(0), 2, inference_op.Layout(LANES, border)
    x = normal(rng, rows, *shape)
    inside = inference_op.View(0, layout.size(shape), shape, layout, rows)
    plain = inference_op.View(rows * inside.image_stride, x[0].size, shape, inference_op.PLAIN, rows)
    program = CompiledProgram(rows)
    operators.ConvertOp(inference_op.PLAIN, layout).emit(
        program, [inference_op.View(0, x[0].size, shape, inference_op.PLAIN, rows, external_input=True)], inside, 0)
    operators.ConvertOp(layout, inference_op.PLAIN).emit(program, [inside], plain, 0)
    m = np.full(plain.offset + x.size, np.nan, "f4")
    program.bind(m.view(np.uint8))(x)
    assert np.array_equal(m[plain.offset:].reshape(x.shape), x)
    planes = m[:plain.offset].reshape(rows, layout.blocks(shape[0]), -1, LANES)
    assert np.isfinite(planes).all()
    assert np.count_nonzero(planes) == np.count_nonzero(x)
    first = layout.first(shape[2]) // LANES
    assert not planes[:, :, :first].any() and planes[:, :, first].any()
