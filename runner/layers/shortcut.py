"""[shortcut]: adds earlier outputs to the previous one (He et al. 2016), optionally with learned weights."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner import ops
from runner.config import opt
from runner.errors import ShapeError
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, constant, register, shape_text


@register("shortcut")
class Shortcut(Layer):
    """x (c, h, w), others -> (c, h, w): act(W0 x + W1 other1 + ...)  (src/shortcut_layer.c).

    Channels may differ: the first ones that both have are added.  Sizes may differ only in pjreddie's form (one
    `from`): the larger of the two is sampled with the ratio of the sides as its stride, and alpha and beta weight the
    two inputs.  With weights_type the W are learned, one for each input or each of its channels, and normalized to a
    sum of one by weights_normalization.
    """
    in_place = True

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        from_: tuple[int, ...] = opt(doc="the other layers: an index, or negative to count back from here", key="from")
        activation: str = activation_option("linear", "activation function of the sum")
        alpha: float = opt(1.0, "factor on the previous output (pjreddie)")
        beta: float = opt(1.0, "factor on the other one (pjreddie)")
        weights_type: str = opt("none", "learned weights: one per input, or one per channel",
                                choices=("none", "per_feature", "per_layer", "per_channel"))
        weights_normalization: str = opt("none", "how they are normalized to a sum of one",
                                         choices=("none", "relu", "avg_relu", "softmax"))

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return (-1, *options.from_)

    def setup(self, *in_shapes: Shape) -> None:
        o, images = self.options, [self.image(shape) for shape in in_shapes]
        _, h, w = images[0]
        if len(images) < 2:
            raise ShapeError("from= names no layer")
        for other in images[1:]:
            if other[1:] != (h, w) and (len(images) > 2 or o.weights_type != "none" or not _sampled(images[0], other)):
                raise ShapeError(f"expects images of the same width and height (or, with one from=, of an integer "
                                 f"ratio). Got {shape_text(images[0])} and {shape_text(other)}")
        if len(images) > 2 and (o.alpha, o.beta) != (1.0, 1.0):
            raise ShapeError("alpha and beta are for a single from= layer")
        self.images, self.out_shape = images, images[0]
        if o.weights_type != "none":
            columns = images[0][0] if o.weights_type == "per_channel" else 1
            self.param("weights", (len(images), columns), constant(1), decay=True)
            self.stored = ("weights",)

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """xs (n, c_i, h_i, w_i) -> y (n, c, h, w), saved."""
        xs = tuple(x.reshape(len(x), *image) for x, image in zip(xs, self.images, strict=True))
        if self._plain():
            y, kept = ops.sum_activate(xs, self.options.activation)
            return y, (kept, None, None)
        if "weights" in self.params:
            effective, normal = self.effective_weights()
            y = xs[0] * effective[0, :, None, None]
            for k, x in enumerate(xs[1:], 1):
                c = min(y.shape[1], x.shape[1])
                y[:, :c] += x[:, :c] * effective[k][:c, None, None]
        else:
            normal = None
            y = xs[0].copy()
            for x in xs[1:]:
                mine, theirs = self.overlap(x.shape[1:])
                if (self.options.alpha, self.options.beta) == (1.0, 1.0):
                    y[mine] += x[theirs]
                else:
                    y[mine] = self.options.alpha * y[mine] + self.options.beta * x[theirs]
        y, kept = ops.activate(y, self.options.activation, inplace=True)
        return y, (kept, xs if normal is not None else None, normal)

    def prepare(self, rows: int) -> Any:
        return ops.plan_add(self.options.activation) if self._plain() else super().prepare(rows)

    def _plain(self) -> bool:
        """Is it the sum of images of one shape?"""
        o = self.options
        return o.weights_type == "none" and (o.alpha, o.beta) == (1, 1) and len(set(self.images)) == 1

    def keeps(self) -> Kept:
        name = self.options.activation
        more = self.bytes_of(self.out_shape) if ops.ACTIVATIONS[name].saves_input else 0
        return Kept("weights" in self.specs, name != "linear", more)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> a dx for each input."""
        kept, xs, normal = saved
        dz = ops.activate_backward(dy, kept, self.options.activation, self.env.compat.gradients)
        self.show("delta", dz)
        if xs is not None:
            return self._weighted_backward(dz, xs, normal)
        own = dz
        if self.options.alpha != 1:     # alpha acts on the overlap only; darknet's backward multiplies all of it
            mine, _ = self.overlap(self.images[1])
            own = dz * self.options.alpha if self.env.compat.gradients == "darknet" else dz.copy()
            if own is not dz and self.env.compat.gradients == "exact":
                own[mine] *= self.options.alpha
        return (own, *(self._scatter(dz, image) for image in self.images[1:]))

    def flops(self) -> float:
        c, h, w = self.out_shape
        return float(c * h * w * (len(self.in_shapes) - 1)) * (2 if "weights" in self.specs else 1)

    def overlap(self, other: Shape) -> tuple[Any, Any]:
        """The overlapping slices of this layer's values and of another's."""
        (c, h, w), (c2, h2, w2) = self.images[0], other
        stride, sample = max(1, w2 // w), max(1, w // w2)
        c, rows, columns = min(c, c2), min(h, h2), min(w, w2)

        def every(step: int) -> tuple[slice, ...]:
            return (slice(None), slice(c), slice(0, rows * step, step), slice(0, columns * step, step))
        return every(sample), every(stride)

    def _scatter(self, dz: np.ndarray, image: Shape) -> np.ndarray:
        mine, theirs = self.overlap(image)
        if image == self.images[0] and self.options.beta == 1:
            return dz
        dx = np.zeros((len(dz), *image), dz.dtype)
        dx[theirs] = dz[mine] if self.options.beta == 1 else dz[mine] * self.options.beta
        return dx

    def effective_weights(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """The normalized weights, (inputs, channels), and what their derivative needs."""
        w, kind = self.params["weights"], self.options.weights_normalization
        if kind == "none":
            part, total = w, np.ones_like(w[:1])
        elif kind == "softmax":
            part = np.exp(w - w.max(axis=0))
            total = part.sum(axis=0, keepdims=True) + w.dtype.type(1e-4)
        else:
            part = np.maximum(w, 0)
            total = part.sum(axis=0, keepdims=True) + w.dtype.type(1e-4)
        return np.broadcast_to(part / total, (len(w), self.images[0][0])), (part, total)

    def _weighted_backward(self, dz: np.ndarray, xs: tuple[np.ndarray, ...],
                           normal: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray | None, ...]:
        part, total = normal
        effective = np.broadcast_to(part / total, (len(part), self.images[0][0]))
        dxs, dweights = [], np.zeros_like(part)
        for k, x in enumerate(xs):
            c = min(dz.shape[1], x.shape[1])
            dx = np.zeros_like(x)
            dx[:, :c] = dz[:, :c] * effective[k][:c, None, None]
            dxs.append(dx)
            each = np.einsum("nchw,nchw->c", dz[:, :c], x[:, :c])
            dweights[k, :c if part.shape[1] > 1 else 1] = each if part.shape[1] > 1 else each.sum()
        if self.env.compat.shortcut_normalization:
            dweights = self._through_normalization(dweights, part, total)
        self.add_grad("weights", dweights)
        return tuple(dxs)

    def _through_normalization(self, d: np.ndarray, part: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Gradient with respect to the normalized weights -> to the weights themselves."""
        kind = self.options.weights_normalization
        if kind == "none":
            return d
        by_part = (d - (d * part).sum(axis=0, keepdims=True) / total) / total
        if kind != "softmax":
            return by_part * (part > 0)
        by_exponent = by_part * part
        top = part == part.max(axis=0, keepdims=True)       # the largest is subtracted from every exponent
        return by_exponent - top * by_exponent.sum(axis=0, keepdims=True) / top.sum(axis=0, keepdims=True)


def _sampled(mine: Shape, other: Shape) -> bool:
    """Have width and height of two images the same integer ratio?"""
    (_, h, w), (_, h2, w2) = mine, other
    return w2 // w == h2 // h and w // w2 == h // h2
