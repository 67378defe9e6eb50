"""What darknet's CPU code gets wrong in training recurrent layers: rules for tests/compat/darknet.py.

None is for a single case.

Each defect makes the gradient of some parts of the layer wrong, that of all earlier layers, and with the first update
everything after it.  Forward passes, the first loss, and the gradients of the other parts are compared as ever.
"""
from typing import Any

from runner.network import Network

SAME_CELL = ("its backward takes the state and cell of step 0 for those before it, which wf, uf, vf, vi and the "
             "weights of W* see")
TWICE = "gives input_layer the delta after self_layer multiplied it by its own activation's slope"
REASONS = {
    "rnn": "src/rnn_layer.c " + TWICE,
    "crnn": "src/crnn_layer.c " + TWICE + "; AlexeyAB's loses what goes back in time too, pjreddie's moves no "
            "weight",
    "gru": "src/gru_layer.c has an empty backward",
    "lstm": "src/lstm_layer.c: " + SAME_CELL,
    "conv_lstm": "src/conv_lstm_layer.c: " + SAME_CELL,
}


def defect(fork: str, net: Network, part: list[str], index: int | None) -> str | None:
    """Why an array is not compared, or None.  part: its key, split at the slashes."""
    kinds = {i: layer.names[0] for i, layer in enumerate(net.layers) if _wrong(layer)}
    if not kinds:
        return None
    last = max(kinds)
    head = part[0].removeprefix("sane_")
    kind = kinds[index] if index in kinds else kinds[last]
    reason = f"{fork}, [{kind}]: {REASONS[kind]}"
    if head in ("infer", "infer2", "train", "layer_cost"):
        return None
    if head == "cost" or head.startswith("last_") or (head.startswith("step") and head != "step1"):
        return reason       # after the first update
    if head == "input_delta" or (index is not None and index < last):
        return reason
    if index in kinds and head in ("grad", "step1") and _spoiled(fork, kinds[index], part[2], part[3], head):
        return reason
    return None


def _wrong(layer: Any) -> bool:
    if layer.names[0] in ("rnn", "crnn"):
        return layer.children["self_layer"].options.activation != "linear"
    return layer.names[0] in REASONS


def _spoiled(fork: str, kind: str, child: str, array: str, head: str) -> bool:
    """Does the defect reach this array of the layer itself?"""
    if kind in ("rnn", "crnn"):
        stuck = kind == "crnn" and fork == "pjreddie" and head == "step1"
        return stuck or child == "input_layer" or (kind == "crnn" and fork == "AlexeyAB" and child == "self_layer")
    if kind == "gru":
        return True
    return child in ("uf", "wf", "vf", "vi") or (child[0] == "w" and array == "weights")
