"""Compiled upsampling and its transpose against the reference."""
from hypothesis import given
from hypothesis import strategies as st

from runner import ops
from runner.ops import fast
from tests.ops.fast.helpers import close, few, normal, same_bits, seeds, shapes


@few
@given(shapes, st.integers(1, 4), st.sampled_from([1., .5]), seeds)
def test_upsample(shape: tuple, stride: int, scale: float, seed: int) -> None:
    x = normal(seed, *shape)
    y = fast.upsample(x, stride, scale)
    close(y, ops.REFERENCE["upsample"](x, stride, scale))
    close(fast.upsample_backward(y, stride, scale), ops.REFERENCE["upsample_backward"](y, stride, scale))
    close(fast.downsample(x, stride, scale), ops.REFERENCE["downsample"](x, stride, scale))


def test_bits_do_not_depend_on_threads() -> None:
    x = normal(1, 3, 40, 64, 50)
    same_bits(lambda: [fast.upsample(x, 2), fast.downsample(x, 2)])
