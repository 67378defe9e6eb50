"""[deconvolutional]: a transposed convolution: every input pixel adds a weighted filter to the output."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError, counted
from runner.layers.shared import tail
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Layer, LayerOptions, Shape, normal, register


@register("deconvolutional", "deconv")
class Deconvolutional(Layer):
    """(c, h, w) -> (filters, oh, ow), oh = (h - 1) stride + size - 2 p, p = size // 2 with pad, else padding.

    pjreddie's darknet only (src/deconvolutional_layer.c).
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(1, "output channels", low=1)
        size: int = opt(1, "side of the filters, pixels", low=1)
        stride: int = opt(1, "stride, output pixels", low=1)
        pad: bool = opt(False, "1: cut size // 2 pixels off each side (padding= is then ignored)")
        padding: int = opt(0, "pixels cut off each side, where pad is 0", low=0)
        activation: str = activation_option("logistic", "activation function of every output")
        batch_normalize: bool = opt(False, "1: normalize every channel over the batch, then scale and shift it")

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        o = self.options
        pad = o.size // 2 if o.pad else o.padding
        self.padding = (pad, pad)
        self.out_shape = (o.filters, *((side - 1) * o.stride + o.size - 2 * pad for side in (h, w)))
        if min(self.out_shape) < 1:
            raise ShapeError(f"size={o.size} with {counted(pad, 'pixel')} cut off each side leaves nothing of {w} x "
                             f"{h} pixels")
        self.param("weights", (c, o.filters, o.size, o.size), normal(math.sqrt(2 / (c * o.size ** 2))), decay=True)
        tail.declare(self, o.filters, o.batch_normalize)
        self.stored = (*tail.names(self, "biases"), "weights")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, filters, oh, ow), saved."""
        x, stride = x.reshape(len(x), *self.image(self.in_shapes[0])), (self.options.stride,) * 2
        z = ops.conv2d_transpose(x, self.params["weights"], stride=stride, padding=self.padding)
        y, kept = tail.forward(self, z, self.options.activation, train=train,
                               momentum=self.env.compat.batchnorm_momentum)
        return y, (x, kept)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (n, filters, oh, ow) -> dx (n, c, h, w)."""
        x, kept = saved
        dz = tail.backward(self, dy, kept, self.options.activation)
        dx, dweights = ops.conv2d_transpose_backward(dz, x, self.params["weights"], stride=(self.options.stride,) * 2,
                                                     padding=self.padding, need_dx=self.wants_dx)
        self.add_grad("weights", dweights)
        return (None if dx is None else dx.reshape(len(dx), *self.in_shapes[0]),)

    def flops(self) -> float:
        return 2.0 * self.specs["weights"].size * self.out_shape[1] * self.out_shape[2]
