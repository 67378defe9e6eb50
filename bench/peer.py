"""What a peer provides: one network in one library, prepared to run; and how outputs are compared."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


class NotInstalled(Exception):
    """The library is not installed; the message says how to install it."""


class Unsupported(Exception):
    """The library cannot run this network or task; the message says why."""


@dataclass(frozen=True)
class Prepared:
    """run() computes once and is timed.  outputs() computes what is compared, and `what` says what that is.

    "heads": the outputs of all heads; "head inputs": their inputs; "last head": the output of the last one; "all": the
    outputs of all heads, followed by their inputs.  In training, "all" is the losses of the first two steps.
    """
    run: Callable[[], object]
    outputs: Callable[[], list[np.ndarray]]
    what: str = "heads"


def difference(outputs: list[np.ndarray], what: str, reference: list[np.ndarray], training: bool) -> str:
    """How a peer's outputs differ from the reference, whose `what` is "all"; "" if they agree.

    Inference must agree to 1/1000 of the largest value, ten times the error of float32 with Winograd's algorithm.  In
    training the losses must agree to 1 %: our batch norm divides the variance by N - 1, theirs by N.
    """
    heads = len(reference) // 2
    part = {"all": slice(None), "heads": slice(heads), "head inputs": slice(heads, None),
            "last head": slice(heads - 1, heads)}
    reference = reference if training else reference[part[what]]
    if len(outputs) != len(reference):
        return f"{len(outputs)} outputs instead of {len(reference)}"
    for ours, theirs in zip(reference, outputs, strict=True):
        if ours.size != theirs.size:
            return f"shape {theirs.shape} instead of {ours.shape}"
        error = float(np.abs(ours.reshape(-1) - theirs.reshape(-1)).max()) / max(float(np.abs(ours).max()), 1e-30)
        if not error <= (1e-2 if training else 1e-3):
            return f"the outputs differ by {error:.2g} of the largest value"
    return ""
