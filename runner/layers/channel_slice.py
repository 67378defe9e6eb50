"""[channel_slice]: takes a range of the channels of an earlier layer."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.errors import ShapeError, counted
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register


@register("channel_slice", "channel_split")
class ChannelSlice(Layer):
    """(c, h, w) -> (end - start, h, w), the channels start to end - 1.  A section of a fork for ShuffleNet v2.

    [route] with groups= and group_id= takes equal parts; this takes any.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        from_: int = opt(-1, "the layer: an index, or negative to count back from here", key="from")
        axis: int = opt(1, "the axis that is cut: 1, the channels", low=1, high=1)
        start: int = opt(0, "the first channel", low=0)
        end: int = opt(doc="the channel after the last", low=1)

    @staticmethod
    def sources(options: Any) -> tuple[int, ...]:
        return (options.from_,)

    def setup(self, shape: Shape) -> None:
        o, (c, h, w) = self.options, self.image(shape)
        if not o.start < o.end <= c:
            raise ShapeError(f"start={o.start} and end={o.end} must be a range of the {counted(c, 'channel')} of the "
                             "input")
        self.out_shape = (o.end - o.start, h, w)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y, None."""
        image = x.reshape(len(x), *self.image(self.in_shapes[0]))
        return np.ascontiguousarray(image[:, self.options.start:self.options.end]), None

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: 0 in the other channels."""
        dx = np.zeros((len(dy), *self.image(self.in_shapes[0])), dy.dtype)
        dx[:, self.options.start:self.options.end] = dy
        return (dx.reshape(len(dy), *self.in_shapes[0]),)
