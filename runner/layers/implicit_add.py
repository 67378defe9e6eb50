"""[implicit_add]: a learned constant that [shift_channels] adds to a map (YOLOR, Wang et al. 2021)."""
from dataclasses import dataclass

from runner.config import opt
from runner.layers.implicit import Implicit
from runner.layers.shared.base import LayerOptions, register


@register("implicit_add")
class ImplicitAdd(Implicit):
    """Any input, whose values are ignored -> (filters, atoms, 1).  A section of the YOLOR forks; starts around 0."""

    @dataclass(frozen=True, kw_only=True)
    class Options(LayerOptions):
        filters: int = opt(128, "channels of the constant", low=1)
        atoms: int = opt(1, "height of the constant, pixels", low=1)
        mean: float = opt(0.0, "mean of the initial values")
        std: float = opt(0.02, "their largest distance from the mean", low=0)
