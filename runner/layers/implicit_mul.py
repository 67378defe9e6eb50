"""[implicit_mul]: a learned constant that [control_channels] multiplies a map by (YOLOR, Wang et al. 2021)."""
from dataclasses import dataclass

from runner.config import opt
from runner.layers.implicit import Implicit
from runner.layers.shared.base import LayerOptions, register


@register("implicit_mul")
class ImplicitMul(Implicit):
    """Any input, whose values are ignored -> (filters, atoms, 1).  A section of the YOLOR forks; starts around 1."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(128, "channels of the constant", low=1)
        atoms: int = opt(1, "height of the constant, pixels", low=1)
        mean: float = opt(1.0, "mean of the initial values")
        std: float = opt(0.02, "their largest distance from the mean", low=0)
