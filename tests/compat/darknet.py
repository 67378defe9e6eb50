"""Replays a recorded case of the real darknet (tests/golden/README.md) on our network, array by array.

`replay(folder)` yields (key, ours, recorded, limit) for every recorded array, or (key, None, None, reason) where the
recording holds a defect of the fork that is not copied.  `defect` has these rules: each names the fork, the section
and its options, and the reason; never a case.
"""
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import runner
from runner.layers import Cost
from runner.layers.convolutional import NOT_SHARED
from runner.model import Model
from runner.network import Network
from runner.optim.optimizers import Sgd, make_optimizer
from runner.training.loop import train
from tests.compat import darknet_recurrent

FORKS = {"AlexeyAB": "alexeyab", "pjreddie": "pjreddie"}


class Case:
    """One folder: case.json, the recorded arrays, and the comparison rule of golden/README.md."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.name
        self.json = json.loads((folder / "case.json").read_text())
        self.fork = self.json["fork"]
        self.want = dict(np.load(folder / "expected.npz"))

    def array(self, name: str) -> np.ndarray:
        return np.load(self.folder / name)

    def limit(self, key: str) -> float:
        """The largest difference the case allows for an array."""
        kind = group(key)
        return self.json["tolerance"][kind] * max(np.abs(self.want[key]).max(initial=0), self.json["scale_floor"][kind])


def group(key: str) -> str:
    """The tolerance group of an array (golden/README.md, "Comparing")."""
    part = [p for p in key.split("/") if not (p[:3] == "sub" and p[3:].isdigit())]
    head = part[0].removeprefix("sane_")
    if head in ("infer", "infer2", "train", "last_train", "bn_mean", "bn_variance"):
        return "forward"
    if head in ("delta", "delta_in", "last_delta", "input_delta"):
        return "backward"
    if head in ("cost", "layer_cost"):
        return "cost"
    return head if head in ("grad", "det") else "params"


class Recorded:
    """Replaces the network's generator: returns the uniform numbers darknet drew."""

    def __init__(self, draws: list[np.ndarray]):
        self.draws = draws

    def random(self, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        return self.draws.pop(0).reshape(shape)


def replay(case: Case) -> Iterator[tuple[str, np.ndarray | None, np.ndarray | None, Any]]:
    got = infer(case)
    net = None
    if "train" in case.json["modes"]:
        net = load(case)
        got |= run_training(case, net)
    net = net or load(case)
    for key, want in sorted(case.want.items()):
        if "rand" in key.split("/") or key in ("lr", "seen") or key.startswith("det/"):
            continue
        if f"sane_{key}" in case.want:
            continue        # darknet with stale deltas and skipped updates; the sane_ key is the one to meet
        reason = defect(case, net, key)
        if reason:
            yield key, None, None, reason
        else:
            ours = got.get(key.replace("sane_", ""))
            if ours is None and group(key) == "backward":
                ours = np.zeros_like(want)      # no gradient came here: darknet recorded an array of zeros
            yield key, ours, want, case.limit(key)


def load(case: Case) -> Model:
    return runner.load(case.folder / "net.cfg", case.folder / "net.weights", compat=FORKS[case.fork])


def infer(case: Case) -> dict[str, np.ndarray]:
    """The outputs of one predict call, and of a second one (recurrent layers carry their state over)."""
    net, x = load(case), case.array("input.npy")
    x = x[:case.json["hyper"]["mini_batch"]]        # rows of one pass, time steps among them
    got: dict[str, np.ndarray] = {}
    for name in ("infer", "infer2"):
        if any(key.startswith(name + "/") for key in case.want):
            got |= {f"{name}/{i}": y for i, y in enumerate(net.outputs(x))}
    return got


def run_training(case: Case, net: Network) -> dict[str, np.ndarray]:
    """Train as recorded: the same batch every step, the recorded random numbers."""
    hyper, x, truth = case.json["hyper"], case.array("input.npy"), case.array("truth.npy")
    parts, steps = hyper["subdivisions"], hyper["steps_run"]
    rows = len(x) // parts
    got: dict[str, Any] = {}
    passes: list[dict[str, Any]] = []

    def observe(layer: Any, name: str, array: np.ndarray) -> None:
        index = next((i for i, each in enumerate(net.layers)
                      if each is layer or each.children.get("output_layer") is layer), None)
        if index is None:           # parts of composite layers are seen through their gradients
            return
        if name == "error":         # darknet's [cost] calls this its output
            passes[-1][f"train/{index}"] = array.copy()
        else:
            passes[-1][f"{name}/{index}"] = array.copy() if name.startswith("bn") else -array

    def watch(index: int, layer: Any) -> None:
        inner = layer.forward

        def forward(*xs: np.ndarray, train: bool = False) -> Any:
            y, saved = inner(*xs, train=train)
            passes[-1][f"train/{index}"] = y.copy()
            return y, saved
        layer.forward = forward

    net.env.observe = observe
    darknet_recurrent.emulate(case.fork, net)
    for index, layer in enumerate(net.layers):
        watch(index, layer)
    full_backward = net.backward

    def backward(tape: Any, truth: Any = None, **more: Any) -> Any:
        loss, dx = full_backward(tape, truth, input_gradient=True, **more)
        seen = passes[-1]
        seen["input_delta"] = None if dx is None else -dx
        seen["cost"] = np.float64(loss)
        for index, layer in enumerate(net.layers):
            if layer.names[0] == "cost" and f"delta_in/{index}" in seen:
                seen[f"delta_in/{index}"] /= layer.options.scale        # darknet scales on the way down
            if f"delta_in/{index}" in seen:
                seen.setdefault(f"delta/{index}", seen[f"delta_in/{index}"])
            if index in net.losses:
                seen[f"layer_cost/{index}"] = np.float64(net.losses[index])
        return loss, dx
    net.backward = backward     # type: ignore[assignment, method-assign]

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for step in range(1, steps + 1):
            for part in range(parts):
                sub = f"sub{part}/" if parts > 1 else ""
                prefix = f"step{step}/" if step > 1 else ""
                drawn = sorted((int(key.split("/")[-1]), key) for key in case.want
                               if key.startswith(f"{prefix}{sub}rand/"))
                net.env.rng = Recorded([case.want[key] for _, key in drawn])    # type: ignore[assignment]
                passes.append({})
                yield x[part * rows:(part + 1) * rows], truth[part * rows:(part + 1) * rows]

    optimizer = Sgd(net, net.options.momentum, net.options.decay) if _ignores_adam(case, net) else make_optimizer(net)
    update = optimizer.step
    _repeat_wrong_losses(case, net)
    costs: list[list[float]] = []

    def step(rate: float, images: int) -> None:
        number = len(costs) + 1
        for layer in net.layers:
            layer.require_grads()
        if number == 1:
            got.update({f"grad/{key}": -grad.copy() for key, grad in _arrays(net, "grads")})
        _repeat_defects(case, net)
        np.testing.assert_allclose(rate, case.want["lr"][number - 1], rtol=1e-6, err_msg="learning rate")
        still = [layer for layer in net.layers if darknet_recurrent.does_not_move(case.fork, layer)]
        for layer in still:
            layer.frozen = True
        update(rate, images)
        for layer in still:
            layer.frozen = False
        for index, layer in enumerate(net.layers):
            if layer.options.__dict__.get("share_index", NOT_SHARED) != NOT_SHARED:
                _update_again(net, optimizer, index, layer, rate, images)
        recent = passes[-parts:]
        costs.append([float(each["cost"]) for each in recent])
        for part, each in enumerate(recent):
            where = f"sub{part}/" if parts > 1 else ""
            if number == 1:
                got.setdefault("input_delta", each.get("input_delta"))      # of the first mini batch
                got.update({where + key: a for key, a in each.items() if key != "input_delta"})
            if number == steps:
                got.update({f"{where}last_{key}": a for key, a in each.items() if key.startswith(("train", "delta/"))})
        for kind in ("params", "buffers"):
            got.update({f"step{number}/{key}": a.copy() for key, a in _arrays(net, kind)})
    optimizer.step = step       # type: ignore[method-assign]

    batch = rows * parts
    net.progress.seen = int(case.want["seen"][0]) - rows * parts
    net.progress.iteration = int(case.want["seen"][0]) // batch - 1
    if 0 < net.options.max_batches <= net.progress.iteration:       # recorded after the end of the training
        net.options = replace(net.options, max_batches=0)
    for _ in train(net, batches(), optimizer=optimizer):
        pass
    got["cost"] = np.array(costs)
    got["after"] = net
    return got


def _arrays(net: Network, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    for index, layer in enumerate(net.layers):
        for name, array in getattr(layer, kind).items():
            yield f"{index}/{name}", array


# --- defects of a fork: each with its reason -----------------------------------------------------------

def _normed(layer: Any) -> bool:
    return layer.names[0] == "batchnorm" or (layer.names[0] == "convolutional" and "scales" in layer.params)


def _frozen_but_decayed(case: Case, net: Network) -> list[int]:
    """Layers that get no gradient and yet are updated by darknet, so that decay shrinks them."""
    stop = max((i for i, layer in enumerate(net.layers) if layer.options.stopbackward), default=-1)
    only = max((i for i, layer in enumerate(net.layers) if layer.options.onlyforward), default=-1)
    below = range(only + 1)
    return [*([stop] if case.fork == "AlexeyAB" and stop >= 0 else range(stop + 1)), *below]


def _repeat_defects(case: Case, net: Network) -> None:
    """Apply the fork's defect to our gradients too, so that everything after it can still be compared."""
    for index, layer in enumerate(net.layers):
        if case.fork == "AlexeyAB" and _normed(layer):
            layer.grads["biases"][...] = 0
        if case.fork == "pjreddie" and layer.names[0] == "batchnorm":
            for grad in layer.grads.values():
                grad[...] = 0
        if index in _frozen_but_decayed(case, net):
            layer.frozen = False


def _ignores_adam(case: Case, net: Network) -> bool:
    """adam=1 is honoured by the forks' GPU code only; cases derived from that code say so."""
    return net.options.adam and not any("DERIVED" in note for note in case.json["notes"])


def _repeat_wrong_losses(case: Case, net: Network) -> None:
    """pjreddie, [cost] type=smooth: src/blas.c:smooth_l1_cpu has the wrong sign where the difference is 1 or more."""
    for layer in net.layers:
        if case.fork == "pjreddie" and isinstance(layer, Cost) and layer.options.type == "smooth":
            def compare(x: np.ndarray, truth: np.ndarray, inner: Any = layer._compare) -> Any:
                error, dx = inner(x, truth)
                return error, np.where(np.abs(truth.reshape(x.shape) - x) >= 1, -dx, dx)
            layer._compare = compare    # type: ignore[method-assign]


def _update_again(net: Network, optimizer: Any, index: int, layer: Any, rate: float, images: int) -> None:
    """AlexeyAB, share_index: the shared arrays are updated by every layer that shares them, momentum and decay too."""
    owner = layer.options.share_index + (index if layer.options.share_index < 0 else 0)
    for name, w in layer.params.items():
        optimizer.update([((owner, name), layer, w, np.zeros_like(w))], rate, images)


def _overwritten(case: Case, net: Network) -> int:
    """The last layer whose delta a fork's convolution overwrites although another layer added to it; -1: none."""
    readers: dict[int, list[int]] = {}
    for index, links in enumerate(net.links):
        for link in links:
            readers.setdefault(link, []).append(index)

    def assigns(reader: Any) -> bool:
        return reader.names[0] == "convolutional" and (case.fork == "AlexeyAB" or reader.options.size == 1)
    return max((link for link, who in readers.items()
                if link >= 0 and len(who) > 1 and any(assigns(net.layers[i]) for i in who)), default=-1)


def defect(case: Case, net: Network, key: str) -> str | None:
    """Why a recorded array is not compared, or None: fork, section, option, reason; never a case."""
    part = [p for p in key.split("/") if not (p[:3] == "sub" and p[3:].isdigit())]
    index = int(part[1]) if len(part) > 1 and part[1].isdigit() else None
    layer = None if index is None else net.layers[index]
    if case.fork == "AlexeyAB" and layer is not None and _normed(layer) and part[0] == "grad" and part[-1] == "biases":
        return "AlexeyAB, batch_normalize=1: src/batchnorm_layer.c adds no gradient to the biases on the CPU"
    stop = max((i for i, each in enumerate(net.layers) if each.options.stopbackward), default=-1)
    if layer is not None and "delta" in part[0] and ((index or 0) <= stop or layer.options.onlyforward):
        return f"{case.fork}, stopbackward or onlyforward: we do not compute a gradient that nothing uses"
    region = max((i for i, each in enumerate(net.layers) if each.names[0] == "region"), default=-1)
    if case.fork == "pjreddie" and region >= 0 and (
            key == "cost" or group(key) == "params" or (group(key) in ("backward", "grad") and (index or 0) < region)):
        return "pjreddie, [region]: src/region_layer.c has an empty backward on the CPU, no layer before it is trained"
    if case.fork == "pjreddie" and key == f"delta_in/{region}":
        return "pjreddie, [region]: delta_in is before the logistic's slope, which the GPU code adds; delta is compared"
    recurrent = darknet_recurrent.defect(case.fork, net, part, index)
    if recurrent:
        return recurrent
    lost = _overwritten(case, net)
    if lost >= 0:
        later = part[0].startswith(("last_", "step", "cost", "sane_"))
        if later or (group(key) in ("backward", "grad") and (index is None or index <= lost)):
            return (f"{case.fork}, [convolutional]: its backward overwrites the delta of the layer before it, "
                    "and with it what a [shortcut] or [route] had added")
    return None
