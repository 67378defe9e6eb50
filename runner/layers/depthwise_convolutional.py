"""[depthwise_convolutional]: every channel is convolved on its own, with one filter (MobileNet, Howard et al. 2017)."""
from dataclasses import dataclass, fields

from runner.config import ignored, opt
from runner.layers.convolutional import Convolutional
from runner.layers.shared.activation_option import activation_option
from runner.layers.shared.base import LayerOptions, Shape, register


@register("depthwise_convolutional")
class DepthwiseConvolutional(Convolutional):
    """(c, h, w) -> (c, oh, ow): [convolutional] with filters=c and groups=c, arrays in the file included.

    A section of the MobileNet forks of pjreddie's darknet (their src/depthwise_convolutional_layer.c).
    """

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        size: int = opt(1, "side of the filters, pixels", low=1)
        stride: int = opt(1, "stride, pixels", low=1)
        pad: bool = opt(False, "1: pad each side with size // 2 zeros (padding= is then ignored)")
        padding: int = opt(0, "zeros on each side, pixels, where pad is 0", low=0)
        activation: str = activation_option("logistic", "activation function of every output")
        batch_normalize: bool = opt(False, "1: normalize every channel over the batch, then scale and shift it")
        flipped: bool = ignored(False, "weights transposed in the file", "those forks read it and transpose nothing")
        dot: float = ignored(0.0, "a penalty on similar filters", "darknet reads it and never uses it")

    def setup(self, shape: Shape) -> None:
        channels, o = self.image(shape)[0], self.options
        given = {f.name: getattr(o, f.name) for f in fields(self.Options)} | {"flipped": False}
        self.options = Convolutional.Options.make(self.names[0], filters=channels, groups=channels, **given)
        super().setup(shape)
