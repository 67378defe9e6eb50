"""[history]: the last frames of a stream, concatenated along the channels."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import opt
from runner.layers.shared.base import LayerOptions, Shape, register
from runner.layers.shared.recurrent import Recurrent


@register("history")
class History(Recurrent):
    """(c, h, w) -> (c history_size, h, w): y_t = x_t, x_{t-1}, x_{t-2} ..., zeros before the first frame.

    The frames are carried from call to call  (src/history_layer.c).  darknet keeps them only where time_steps is above
    1, and passes back only the gradient of the newest frame; so does compat mode.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        history_size: int = opt(4, "frames in the output", low=1)

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        self.out_shape = (c * self.options.history_size, h, w)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (steps * streams, c, h, w) -> y (steps * streams, c history_size, h, w), saved."""
        steps, streams = self.split(len(x), train)
        size = self.options.history_size
        frames = x.reshape(steps, streams, *self.image(self.in_shapes[0]))
        before = self.carried("frames", (streams, size - 1, *frames.shape[2:]))
        film = np.concatenate([before.swapaxes(0, 1), frames])          # film[t + size - 1] is x_t
        if self.env.time_steps > 1 or not self.env.compat.history_truncated:
            self.state = {"frames": film[steps:].swapaxes(0, 1).copy()}
        y = np.stack([film[size - 1 - age:size - 1 - age + steps] for age in range(size)], axis=2)
        return y.reshape(len(x), *self.out_shape), steps

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """dy -> dx: the gradient of a frame comes from every time step of the batch that contains it."""
        steps, size = saved, self.options.history_size
        parts = dy.reshape(steps, -1, size, *self.image(self.in_shapes[0]))
        dx = parts[:, :, 0].copy()
        if not self.env.compat.history_truncated:
            for age in range(1, min(size, steps)):
                dx[:steps - age] += parts[age:, :, age]
        return (dx.reshape(len(dy), *self.in_shapes[0]),)
