"""What a peer is: one network in one library, ready to run."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


class Missing(Exception):
    """The library is not installed; the message says what to install."""


class Unable(Exception):
    """The library cannot run this network, or not in this way; the message says why."""


@dataclass(frozen=True)
class Ready:
    """run() computes once; outputs() computes and gives what is compared, `what` says what that is.

    "heads" are the outputs of all heads, "read by heads" what they read, "last head" one of them, "all" all heads and
    then all they read; in training "all" are the losses of the first two steps.
    """
    run: Callable[[], object]
    outputs: Callable[[], list[np.ndarray]]
    what: str = "heads"


def compared(outputs: list[np.ndarray], what: str, reference: list[np.ndarray], training: bool) -> str:
    """"" when a peer computed the same as the reference, which is of the kind "all"; else what differs.

    Inference must agree to 1/1000 of the largest value: that is ten times what float32 and Winograd leave.  In
    training the losses must agree to 1 %: our batch norm divides the variance by N - 1, theirs by N.
    """
    heads = len(reference) // 2
    part = {"all": slice(None), "heads": slice(heads), "read by heads": slice(heads, None),
            "last head": slice(heads - 1, heads)}
    reference = reference if training else reference[part[what]]
    if len(outputs) != len(reference):
        return f"{len(outputs)} outputs instead of {len(reference)}"
    for ours, theirs in zip(reference, outputs, strict=True):
        if ours.size != theirs.size:
            return f"shape {theirs.shape} instead of {ours.shape}"
        away = float(np.abs(ours.reshape(-1) - theirs.reshape(-1)).max()) / max(float(np.abs(ours).max()), 1e-30)
        if not away <= (1e-2 if training else 1e-3):
            return f"the outputs differ by {away:.2g} of the largest value"
    return ""
