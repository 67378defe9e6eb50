"""[implicit_mul]: a learned constant that [control_channels] multiplies a map by (YOLOR, Wang et al. 2021)."""
from dataclasses import dataclass

from runner.config import opt
from runner.layers.implicit import Implicit
from runner.layers.shared.base import LayerOptions, register


@register("implicit_mul")
class ImplicitMul(Implicit):
    """Any input, which is not looked at -> (filters, atoms, 1).  A section of the YOLOR forks; starts around 1."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(128, "channels of the constant", low=1)
        atoms: int = opt(1, "its height, pixels", low=1)
        mean: float = opt(1.0, "middle of the initial values")
        std: float = opt(0.02, "how far they lie from it at most", low=0)
