"""activation= of every layer that has one."""
from typing import Any

from runner import ops
from runner.config import opt


def activation_option(default: str, doc: str) -> Any:
    """Declare an option whose value is the name of an activation, ours or another program's (silu for swish)."""
    return opt(default, doc, choices=ops.ACTIVATIONS, aliases=ops.ACTIVATION_ALIASES, foreign=ops.FOREIGN_ACTIVATIONS)
