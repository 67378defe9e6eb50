"""[local]: a locally connected layer: a convolution with separate weights at every position."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared import fits
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, constant, normal, register


@register("local")
class Local(Layer):
    """(c, h, w) -> (filters, oh, ow), oh = (h + 2 pad - size) // stride + 1  (src/local_layer.c).

    weights (oh, ow, filters, c, size, size), biases (filters, oh, ow).
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(1, "output channels", low=1)
        size: int = opt(1, "side of the filters, pixels", low=1)
        stride: int = opt(1, "stride, pixels", low=1)
        pad: bool = opt(False, "1: pad each side with one zero")
        activation: str = activation_option("logistic", "activation function of every output")

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        o = self.options
        if o.pad and o.size not in (2, 3):
            # darknet computes the size of the output for "same" padding and then pads by one pixel
            raise ShapeError(f"pad=1 adds one pixel, which fits size=3 only. Got size={o.size}")
        oh, ow = fits.windows((h, w), 1 if o.pad else o.size, (o.stride, o.stride))
        if min(oh, ow) < 1:
            raise ShapeError(f"size={o.size} does not fit into an image of {w} x {h} pixels")
        self.remark = "" if o.pad else fits.remark((h, w), o.size, (o.stride, o.stride), 0, "zeros")
        self.out_shape = (o.filters, oh, ow)
        self.param("weights", (oh, ow, o.filters, c, o.size, o.size), normal(math.sqrt(2 / (c * o.size ** 2))),
                   decay=True)
        self.param("biases", self.out_shape, constant(0))
        self.stored = ("biases", "weights")

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, filters, oh, ow), saved."""
        columns = self._im2col(x.reshape(len(x), *self.image(self.in_shapes[0])))
        f, oh, ow = self.out_shape
        weights = self.params["weights"].reshape(oh * ow, f, -1)
        z = np.matmul(weights, columns).transpose(2, 1, 0).reshape(len(x), f, oh, ow) + self.params["biases"]
        y, kept = ops.activate(z, self.options.activation)
        return y, (columns, kept)

    def keeps(self) -> Kept:
        name, (_, oh, ow) = self.options.activation, self.out_shape
        columns = self.bytes_of((oh, ow, self.image(self.in_shapes[0])[0], self.options.size, self.options.size))
        product = self.bytes_of(self.out_shape) if ops.ACTIVATIONS[name].saves_input else 0
        return Kept(False, name != "linear", columns + product)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (n, filters, oh, ow) -> dx (n, c, h, w)."""
        columns, kept = saved
        f, oh, ow = self.out_shape
        dz = ops.activate_backward(dy, kept, self.options.activation, self.env.compat.gradients)
        self.show("delta", dz)
        self.add_grad("biases", dz.sum(axis=0))
        by_position = dz.reshape(len(dz), f, oh * ow).transpose(2, 1, 0)           # (positions, f, n)
        weights = self.params["weights"]
        self.add_grad("weights", np.matmul(by_position, columns.swapaxes(1, 2)).reshape(weights.shape))
        dcolumns = np.matmul(weights.reshape(oh * ow, f, -1).swapaxes(1, 2), by_position)
        return (self._col2im(dcolumns).reshape(len(dy), *self.in_shapes[0]),)

    def flops(self) -> float:
        return 0.0      # darknet's table counts none here

    def _im2col(self, x: np.ndarray) -> np.ndarray:
        """im2col: x -> (positions, c size size, n)."""
        (c, h, w), (_, oh, ow), o = x.shape[1:], self.out_shape, self.options
        padded = np.zeros((len(x), c, h + o.size, w + o.size), x.dtype)
        padded[:, :, o.pad:o.pad + h, o.pad:o.pad + w] = x
        windows = np.lib.stride_tricks.sliding_window_view(padded, (o.size, o.size), axis=(2, 3))
        windows = windows[:, :, :(oh - 1) * o.stride + 1:o.stride, :(ow - 1) * o.stride + 1:o.stride]
        return np.ascontiguousarray(windows.transpose(2, 3, 1, 4, 5, 0)).reshape(oh * ow, -1, len(x))

    def _col2im(self, columns: np.ndarray) -> np.ndarray:
        """col2im: (positions, c size size, n) -> (n, c, h, w), added up."""
        (c, h, w), (_, oh, ow), o = self.image(self.in_shapes[0]), self.out_shape, self.options
        parts = columns.reshape(oh, ow, c, o.size, o.size, -1).transpose(5, 2, 3, 4, 0, 1)
        padded = np.zeros((parts.shape[0], c, h + o.size, w + o.size), columns.dtype)
        for i in range(o.size):
            for j in range(o.size):
                padded[:, :, i:i + (oh - 1) * o.stride + 1:o.stride,
                       j:j + (ow - 1) * o.stride + 1:o.stride] += parts[:, :, i, j]
        return np.ascontiguousarray(padded[:, :, o.pad:o.pad + h, o.pad:o.pad + w])
