"""[reorg]: moves blocks of pixels to channels, in the scrambled order YOLOv2's weights were trained with."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.base import Kept, Layer, LayerOptions, NotAMultiple, Shape, register


@register("reorg")
class Reorg(Layer):
    """(c, h, w) -> (c stride stride, h / stride, w / stride); reverse the other way  (src/blas.c:reorg_cpu).

    Forward mixes pixels of different positions: darknet indexes the input with the index of the output.  reverse=1 is
    the true depth-to-space.  flatten transposes (c, h w) to (h w, c) instead; extra appends zeros to the values.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        stride: int = opt(1, "side of the block, pixels", low=1)
        reverse: bool = opt(False, "1: channels become blocks of pixels")
        flatten: bool = opt(False, "1: channels last instead (with reverse: channels first); pjreddie's fork")
        extra: int = opt(0, "zeros appended to the values, which are then not an image; pjreddie's fork", low=0)

    def setup(self, shape: Shape) -> None:
        o, (c, h, w) = self.options, self.image(shape)
        self.yolor = self.env.compat.reorg == "yolor" and not (o.reverse or o.flatten or o.extra)
        self.stride = 2 if self.yolor and o.stride == 1 else o.stride   # that fork reads no stride: it is always 2
        if o.extra:
            self.out_shape = (math.prod(shape) + o.extra,)
            return
        s = self.stride
        if c % (s * s) and not self.yolor:
            raise ShapeError(f"stride={s} needs a multiple of {s * s} channels. Got {c}")
        if not o.reverse and (h % s or w % s):
            raise NotAMultiple(f"stride={s} must divide width and height. Got {w} x {h}", s)
        self.out_shape = (c // (s * s), h * s, w * s) if o.reverse else (c * s * s, h // s, w // s)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y, None."""
        o, n = self.options, len(x)
        if o.extra:
            return np.concatenate([x.reshape(n, -1), np.zeros((n, o.extra), x.dtype)], axis=1), None
        image = x.reshape(n, *self.image(self.in_shapes[0]))
        if o.flatten:
            return self._transposed(image, o.reverse).reshape(n, *self.out_shape), None
        if self.yolor:
            return self._mirrored(ops.space_to_depth(self._mirrored(image), self.stride)), None
        return (ops.depth_to_space(image, o.stride) if o.reverse else ops.reorg(image, o.stride)), None

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: every value goes back to its origin."""
        o, n, shape = self.options, len(dy), self.in_shapes[0]
        if o.extra:
            dx = dy.reshape(n, -1)[:, :math.prod(shape)].copy()
        elif o.flatten:
            dx = self._transposed(dy.reshape(n, *self.image(shape)), not o.reverse)
        elif self.yolor:
            dx = self._mirrored(ops.depth_to_space(self._mirrored(dy), self.stride))
        else:
            dx = ops.space_to_depth(dy, o.stride) if o.reverse else ops.reorg_inverse(dy, o.stride)
        return (dx.reshape(n, *shape),)

    @staticmethod
    def _mirrored(x: np.ndarray) -> np.ndarray:
        """(n, c, h, w) -> (n, c, w, h): the YOLOR fork takes the pixels of a block column by column."""
        return np.ascontiguousarray(x.swapaxes(2, 3))

    @staticmethod
    def _transposed(x: np.ndarray, reverse: bool) -> np.ndarray:
        """(n, c, h w) -> (n, h w, c), or back."""
        n, c, h, w = x.shape
        flat = x.reshape(n, h * w, c) if reverse else x.reshape(n, c, h * w)
        return np.ascontiguousarray(flat.swapaxes(1, 2))
