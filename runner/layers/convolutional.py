"""[convolutional]: a two-dimensional convolution, then batch norm or a bias, then an activation."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import ignored, opt
from runner.errors import ShapeError, counted
from runner.layers.shared import blur, fits, tail
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, normal, register

NOT_SHARED = -10**9     # darknet's value for "none"
BINARY = "the sign of weights and inputs has no slope: a straight-through estimator passes their gradients on"
GPU_EXPERIMENT = "an experiment of one fork's GPU code on its weight updates"


def _stride(o: Any) -> int:
    "stride"
    return o.stride


@register("convolutional", "conv")
class Convolutional(Layer):
    """(c, h, w) -> (filters, oh, ow), oh = (h + 2 p - size) // stride_y + 1, p = size // 2 with pad, else padding.

    A cross-correlation, as in darknet (src/convolutional_layer.c).  With dilation d the padding is p d, and the output
    has the size of the undilated layer's.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(1, "output channels", low=1)
        size: int = opt(1, "side of the filters, pixels", low=1)
        stride: int = opt(1, "stride, pixels", low=1)
        stride_x: int = opt(_stride, "horizontal stride, where it differs", low=1)
        stride_y: int = opt(_stride, "vertical stride, where it differs", low=1)
        pad: bool = opt(False, "1: pad each side with size // 2 zeros (padding= is then ignored)")
        padding: int = opt(0, "zeros on each side, pixels, where pad is 0", low=0)
        dilation: int = opt(1, "dilation of the filters, pixels", low=1)
        groups: int = opt(1, "parts the channels are split into, each convolved separately", low=1)
        activation: str = activation_option("logistic", "activation function of every output")
        batch_normalize: bool = opt(False, "1: normalize every channel over the batch, then scale and shift it")
        antialiasing: int = opt(0, "1: convolve at stride 1, then blur 3 x 3 at the given stride; 2: blur 2 x 2",
                                low=0, high=2)
        binary: bool = opt(False, "1: use the signs of the weights, times each filter's mean absolute weight")
        xnor: bool = opt(False, "1: the same, and the signs of the inputs; groups is then 1")
        assisted_excitation: int = ignored(0, "outputs raised where the truth has boxes",
                                           "layers do not see the truth in the forward pass")
        share_index: int = opt(NOT_SHARED, "layer whose weights this one shares; negative counts back from here")
        flipped: bool = opt(False, "1: the .weights file stores this layer's weights transposed")
        numload: int = ignored(0, "filters read from the .weights file", "files are always read as a whole")
        stream: int = ignored(-1, "CUDA stream", "there are no GPU streams here")
        wait_stream: int = ignored(-1, "CUDA stream to wait for", "there are no GPU streams here")
        dot: float = ignored(0.0, "a penalty on similar filters", "darknet reads it and never uses it")
        cbn: bool = ignored(False, "cross-iteration batch norm", "darknet's CPU code computes plain batch norm")
        bin_output: bool = ignored(False, "packed outputs of binary layers", "it affects speed, not results")
        sway: bool = ignored(False, "weights shifted at random in training", GPU_EXPERIMENT)
        rotate: bool = ignored(False, "weights rotated at random in training", GPU_EXPERIMENT)
        stretch: bool = ignored(False, "weights stretched at random in training", GPU_EXPERIMENT)
        stretch_sway: bool = ignored(False, "weights stretched and shifted at random in training", GPU_EXPERIMENT)
        angle: float = ignored(15.0, "range of sway and rotate, degrees", GPU_EXPERIMENT)
        grad_centr: bool = ignored(False, "gradients centred to a sum of zero in each filter", GPU_EXPERIMENT)
        reverse: float = ignored(0.0, "updates reversed", GPU_EXPERIMENT)
        coordconv: bool = ignored(False, "coordinates written over the first channels",
                                  "a bug in darknet's GPU code limits it to the first few values")

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        o = self.options
        self.groups = 1 if o.xnor else o.groups
        if o.xnor or o.binary:
            self.inexact = BINARY
        if c % self.groups or o.filters % self.groups:
            raise ShapeError(f"groups={o.groups} must divide both the {c} input channels "
                             f"and filters={o.filters}")
        self.dilation = o.dilation if o.size > 1 else 1
        pad = o.size // 2 if o.pad else o.padding
        self.stride = (1, 1) if o.antialiasing else (o.stride_y, o.stride_x)
        oh, ow = fits.windows((h + 2 * pad, w + 2 * pad), o.size, self.stride)
        if oh < 1 or ow < 1:
            raise ShapeError(f"size={o.size} does not fit into an image of {w} x {h} pixels with "
                             f"{counted(pad, 'zero')} on each side")
        self.remark = fits.remark((h, w), o.size, self.stride, 2 * pad, "zeros")
        self.stride = fits.reached((h + 2 * pad, w + 2 * pad), o.size * o.dilation, self.stride)
        self.padding = (pad * self.dilation,) * 2
        self.sharp_shape = self.out_shape = (o.filters, oh, ow)
        if o.antialiasing:
            self.out_shape = blur.blurred_shape(self.sharp_shape, o.antialiasing, (o.stride_y, o.stride_x))
        fan_in = c // self.groups * o.size * o.size
        self.param("weights", (o.filters, c // self.groups, o.size, o.size), normal(math.sqrt(2 / fan_in)), decay=True)
        tail.declare(self, o.filters, o.batch_normalize)
        self.stored = (*tail.names(self, "biases"), "weights")

    def share(self, other: Layer) -> None:
        """Use the arrays of an earlier layer (share_index); the .weights file stores them once, there."""
        if {k: p.shape for k, p in other.specs.items()} != {k: p.shape for k, p in self.specs.items()}:
            raise ShapeError(f"share_index={self.options.share_index} names a layer whose weights have another shape")
        self.params, self.buffers, self.stored = other.params, other.buffers, ()
        if self.env.allocate:
            other.require_grads()
            self.grads = other.grads

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, filters, oh, ow), saved."""
        x, o = x.reshape(len(x), *self.image(self.in_shapes[0])), self.options
        seen = ops.signs(x) if o.xnor else x
        z = ops.conv2d(seen, self.effective_weights(), stride=self.stride, padding=self.padding, dilation=self.dilation,
                       groups=self.groups, out_size=self.sharp_shape[1:], batch_independent=not train)
        y, kept = tail.forward(self, z, self.options.activation, train=train,
                               momentum=self.env.compat.batchnorm_momentum)
        if o.antialiasing:
            return blur.blur(y, o.antialiasing, (o.stride_y, o.stride_x)), (x, kept, y)
        return y, (x, kept, None)

    def prepare(self, rows: int) -> Any:
        o = self.options
        if o.xnor or o.antialiasing:
            return super().prepare(rows)
        weights, biases = tail.folded(self, self.effective_weights())
        shape = (rows, *self.image(self.in_shapes[0]))
        run = ops.plan_conv2d(weights, biases, o.activation, shape, stride=self.stride, padding=self.padding,
                              dilation=self.dilation, groups=self.groups, out_size=self.sharp_shape[1:])
        return run if shape[1:] == self.in_shapes[0] else lambda x, out: run(x.reshape(-1, *shape[1:]), out)

    def keeps(self) -> Kept:
        sharp = self.bytes_of(self.sharp_shape)
        kept = tail.keeps(self, sharp, self.options.activation)
        return Kept(True, False, kept.more + sharp) if self.options.antialiasing else kept

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy (n, filters, oh, ow) -> dx (n, c, h, w)."""
        (x, kept, sharp), o = saved, self.options
        if o.antialiasing:
            dy = blur.blur_backward(dy, sharp, o.antialiasing, (o.stride_y, o.stride_x))
        dz = tail.backward(self, dy, kept, self.options.activation)
        del dy, saved, kept, sharp      # large, and not needed any more
        dx, dweights = ops.conv2d_backward(dz, x, self.effective_weights(), stride=self.stride, padding=self.padding,
                                           dilation=self.dilation, groups=self.groups,
                                           need_dx=self.wants_dx)
        self.add_grad("weights", dweights)
        return (None if dx is None else dx.reshape(len(dx), *self.in_shapes[0]),)

    def flops(self) -> float:
        each = 2.0 * self.specs["weights"].size * self.sharp_shape[1] * self.sharp_shape[2]
        return each / 32 if self.options.xnor else each     # darknet counts 32 signs as one operation

    def effective_weights(self) -> np.ndarray:
        """The weights, or each filter's signs times its mean absolute weight (Rastegari et al. 2016)."""
        weights = self.params["weights"]
        if not (self.options.binary or self.options.xnor) or not self.env.allocate:
            return weights
        return ops.signs(weights) * np.abs(weights).mean(axis=(1, 2, 3), keepdims=True)
