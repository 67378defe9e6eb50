"""[route]: concatenates earlier outputs along the channels."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared.base import FlatShape, Kept, Layer, LayerOptions, Shape, register, shape_text
from runner.ops import parallel


@register("route")
class Route(Layer):
    """(c1, h, w), (c2, h, w) ... -> ((c1 + c2 + ...) / groups, h, w)  (src/route_layer.c).

    With groups, part `group_id` of each input is taken.  Inputs of different sizes are concatenated as flat values.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        layers: tuple[int, ...] = opt(doc="the outputs to concatenate: indices, or negative to count back from here")
        groups: int = opt(1, "parts each input is split into along its channels", low=1)
        group_id: int = opt(0, "which part is taken, from 0", low=0)
        stream: int = ignored(-1, "CUDA stream", "there are no GPU streams here")
        wait_stream: int = ignored(-1, "CUDA stream to wait for", "there are no GPU streams here")

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return options.layers

    def setup(self, *in_shapes: Shape) -> None:
        o = self.options
        if o.group_id >= o.groups:
            raise ShapeError(f"group_id={o.group_id} must be below groups={o.groups}")
        nested = any(isinstance(shape, FlatShape) for shape in in_shapes)
        images = [] if nested else [self.image(shape) for shape in in_shapes]
        self.flat = nested or any(image[1:] != images[0][1:] for image in images)
        for shape in in_shapes:
            if (math.prod(shape) if self.flat else self.image(shape)[0]) % o.groups:
                raise ShapeError(f"groups={o.groups} must divide the channels of each input. "
                                 f"Got {shape_text(shape)}")
        if self.flat:
            self.out_shape = FlatShape((sum(map(math.prod, in_shapes)) // o.groups,))
        else:
            self.out_shape = (sum(image[0] for image in images) // o.groups, *images[0][1:])

    def forward(self, *xs: np.ndarray, train: bool = False) -> tuple[np.ndarray, Any]:
        """xs (n, c_i, h, w) -> y (n, c, h, w), saved."""
        parts = [self._shaped(x)[:, self.part(shape)] for x, shape in zip(xs, self.in_shapes, strict=True)]
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0]), None
        return np.concatenate(parts, axis=1), None

    def alias(self, *xs: np.ndarray) -> np.ndarray | None:
        return self._shaped(xs[0])[:, self.part(self.in_shapes[0])] if len(xs) == 1 else None

    def concat_in_place(self, rows: int) -> bool:
        return rows == 1 and self.options.groups == 1

    def prepare(self, rows: int) -> Any:
        parts = [self.part(shape) for shape in self.in_shapes]

        def run(*arrays: np.ndarray) -> None:
            *xs, out = arrays
            copies, at, into = [], 0, out.reshape(rows, -1, *out.shape[2:])
            for x, part in zip(xs, parts, strict=True):
                copies.append((into[:, at:at + part.stop - part.start], self._shaped(x)[:, part]))
                at += part.stop - part.start
            pieces = [(y[i], x[i]) for i in range(rows) for y, x in copies]
            parallel.for_each(lambda i: np.copyto(*pieces[i]), len(pieces))
        return run

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> a dx for each input: its own slice, zero outside the part that was taken."""
        dxs, at = [], 0
        for shape in self.in_shapes:
            part = self.part(shape)
            count = part.stop - part.start
            piece, at = dy[:, at:at + count], at + count
            if self.options.groups > 1:
                dx = np.zeros((len(dy), *shape), dy.dtype)
                self._shaped(dx)[:, part] = piece
            else:
                dx = np.ascontiguousarray(piece).reshape(len(dy), *shape)
            dxs.append(dx)
        return tuple(dxs)

    def _shaped(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1) if self.flat else x.reshape(len(x), *self.image(x.shape[1:]))

    def part(self, shape: Shape) -> slice:
        """The channels (or values) of an input of that shape that are taken."""
        size = (math.prod(shape) if self.flat else self.image(shape)[0]) // self.options.groups
        return slice(self.options.group_id * size, (self.options.group_id + 1) * size)
