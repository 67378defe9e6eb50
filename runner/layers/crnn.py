"""[crnn]: the recurrence of [rnn] with convolutions; its state is an image."""
from dataclasses import dataclass
from typing import Any

from runner.config import ignored, opt
from runner.errors import ShapeError
from runner.layers.convolutional import Convolutional
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import Layer, LayerOptions, Shape, register, shape_text
from runner.layers.shared.recurrent import Elman


def _output(o: Any) -> int:
    "output_filters, else 1"
    return o.output_filters or 1


def _hidden(o: Any) -> int:
    "hidden_filters, else 1"
    return o.hidden_filters or 1


def _pad(o: Any) -> bool:
    "1 with output_filters or hidden_filters, else 0"
    return bool(o.output_filters or o.hidden_filters)


@register("crnn")
class Crnn(Elman):
    """(c, h, w) -> (output, h, w), over [net] time_steps  (src/crnn_layer.c).

    pjreddie's darknet has the names output_filters and hidden_filters, and 3 x 3 filters with pad=1 only.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        output_filters: int = opt(0, "pjreddie's name of output", low=0)
        hidden_filters: int = opt(0, "pjreddie's name of hidden", low=0)
        output: int = opt(_output, "output channels", low=1)
        hidden: int = opt(_hidden, "channels of the state", low=1)
        size: int = opt(3, "side of the filters, pixels", low=1)
        stride: int = opt(1, "stride of the filters, pixels; only 1 works", low=1)
        dilation: int = opt(1, "dilation of the filters, pixels", low=1)
        pad: bool = opt(_pad, "1: pad each side with size // 2 zeros")
        padding: int = opt(0, "zeros on each side, pixels, where pad is 0", low=0)
        groups: int = opt(1, "parts the channels are split into, each convolved separately", low=1)
        activation: str = activation_option("logistic", "activation function of each of the three convolutions")
        batch_normalize: bool = opt(False, "1: normalize each convolution over the streams of a time step")
        shortcut: bool = opt(False, "1: add the previous state to the new one")
        xnor: bool = ignored(False, "binary weights and inputs", "these convolutions are computed in full precision")

    def setup(self, shape: Shape) -> None:
        o, (c, h, w) = self.options, self.image(shape)
        if self.env.compat.crnn_swaps_sides:
            h, w = w, h         # its constructor is called with the two swapped: the same memory, another image
        for name, channels, filters in (("input_layer", c, o.hidden), ("self_layer", o.hidden, o.hidden),
                                        ("output_layer", o.hidden, o.output)):
            child = self.adopt(name, Convolutional((channels, h, w), env=self.env, filters=filters,
                                                   activation=o.activation, **convolution_options(o)))
            keeps_size(child, (filters, h, w))
        self.out_shape = child.out_shape
        self.stored = self.store(self.PARTS)

    def flops(self) -> float:
        return sum(child.flops() for child in self.children.values())


def convolution_options(o: Any) -> dict[str, Any]:
    """The options that [crnn] and [conv_lstm] hand to their convolutions."""
    return {key: getattr(o, key) for key in ("size", "stride", "dilation", "pad", "padding", "groups",
                                             "batch_normalize")}


def keeps_size(child: Layer, shape: Shape) -> None:
    """ShapeError where a convolution changes the size of the image: its output is its next input."""
    if child.out_shape != shape:
        raise ShapeError(f"the state is fed back, so the convolutions must keep the size of the image: use stride=1 "
                         f"and pad=1 with an odd size. {shape_text(child.in_shapes[0])} becomes "
                         f"{shape_text(child.out_shape)} instead of {shape_text(shape)}")
