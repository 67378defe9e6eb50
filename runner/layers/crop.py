"""[crop]: a crop of the image; random and perhaps mirrored in training, the centre at inference."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.shared.base import Kept, Layer, LayerOptions, Shape, register

GPU_ONLY = "darknet's CPU code ignores it; set it in [net], where it augments every image"


@register("crop")
class Crop(Layer):
    """(c, h, w) -> (c, crop_height, crop_width), values 2 x - 1 unless noadjust  (src/crop_layer.c)."""
    inexact = "no layer before a [crop] is trained: darknet passes no gradient on"

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        crop_height: int = opt(1, "height of the crop, pixels", low=1)
        crop_width: int = opt(1, "width of the crop, pixels", low=1)
        flip: bool = opt(False, "1: mirror half of the batches in training")
        noadjust: bool = opt(False, "1: keep the values; else they become 2 x - 1")
        angle: float = ignored(0.0, "random rotation, degrees", GPU_ONLY)
        saturation: float = ignored(1.0, "random change of saturation", GPU_ONLY)
        exposure: float = ignored(1.0, "random change of brightness", GPU_ONLY)
        shift: float = ignored(0.0, "random change of each channel", GPU_ONLY)

    def setup(self, shape: Shape) -> None:
        c, h, w = self.image(shape)
        o = self.options
        if o.crop_height > h or o.crop_width > w:
            raise ShapeError(f"a crop of {o.crop_width} x {o.crop_height} does not fit into {w} x {h} pixels")
        self.out_shape = (c, o.crop_height, o.crop_width)

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, Any]:
        """x (n, c, h, w) -> y (n, c, crop_height, crop_width), None.  The whole batch is cropped at the same place."""
        x = x.reshape(len(x), *self.image(self.in_shapes[0]))
        _, h, w = x.shape[1:]
        _, ch, cw = self.out_shape
        top, left, mirror = (h - ch) // 2, (w - cw) // 2, False
        if train:
            rng = self.env.rng
            mirror = self.options.flip and bool(rng.integers(2))
            top, left = int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1))
        y = x[:, :, top:top + ch, left:left + cw]
        if mirror:
            y = y[..., ::-1]
        return (np.ascontiguousarray(y) if self.options.noadjust else y * 2 - 1), None

    def keeps(self) -> Kept:
        return Kept(inputs=False, output=False)

    def backward(self, dy: np.ndarray, saved: Any) -> tuple[np.ndarray | None, ...]:
        """No gradient is passed on."""
        return (None,)
