"""Random small networks: a cfg is generated from the declared options of all layers, then built, trained for two
updates, saved, loaded, and run with and without an inference plan."""
import random
from collections.abc import Iterator
from dataclasses import Field
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np

import runner
from runner import layers, network_checks, ops, weights
from runner.analysis import footprint
from runner.detection import detection_heads
from runner.errors import CfgError
from runner.net_options import NetOptions
from runner.network import Network
from runner.training.loop import train
from tools.fuzzing.mutate import NUMBERS

LARGEST = 128 << 20             # bytes of the networks that are run
MOST_WORK = 2e8                 # floating-point operations of a pass over the rows of a batch
TAP_WORK = 1e4                  # as much again for each pixel of a window: it is a step of a loop in Python
COMMON = ("convolutional",) * 6 + ("maxpool", "connected", "shortcut", "route", "dropout", "softmax", "yolo",
                                "batchnorm")
TEXT_ONLY = ("tree", "map", "data")     # options that name files


@cache
def _kinds() -> dict[str, Any]:
    return {name: kind for name, kind in layers.LAYERS.items() if kind.names[0] == name}


@cache
def _options(kind: Any) -> dict[str, Field]:
    return kind.declared()


def random_cfg(rng: random.Random) -> bytes:
    """The text of a cfg with one to six layers; now and then with a number that does not belong there."""
    strange = rng.choice((0, 0, .02, .1, .2))
    size = rng.choice((1, 2, 4, 5, 7, 8, 8, 12, 16, 32))
    net = {"width": size, "height": rng.choice((size, size, 6, 3, 1)), "channels": rng.choice((1, 3, 3, 4, 16)),
           "batch": rng.choice((1, 2, 4)), "learning_rate": rng.choice(("0.01", "0.001", "0.1", "0"))}
    if rng.random() < .15:
        net = {"inputs": rng.choice((1, 4, 10)), "batch": 2, "time_steps": rng.choice((1, 2, 3))}
    sections = [("net", net | _values(rng, _options(NetOptions), rng.choice((0, 0, 1, 3)), strange))]
    for _ in range(rng.randrange(1, 7)):
        name = rng.choice(COMMON) if rng.random() < .6 else rng.choice(list(_kinds()))
        declared = _options(_kinds()[name].Options)
        chosen = _values(rng, declared, rng.choice((0, 1, 2, 2, 3, 6)), strange)
        for key in ("filters", "output", "size", "stride", "pad", "activation", "layers", "from"):
            if key in declared and key not in chosen and rng.random() < .7:
                chosen[key] = _value(rng, key, declared[key], strange)
        sections.append((name, chosen))
        if name in ("yolo", "Gaussian_yolo", "region") and rng.random() < .8:
            _fit_head(rng, sections)
    return "\n".join(f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in chosen.items())
                     for name, chosen in sections).encode()


def _fit_head(rng: random.Random, sections: list[tuple[str, dict[str, Any]]]) -> None:
    """Put the convolution that a detection head needs before it."""
    name, chosen = sections.pop()
    classes, num = rng.choice((1, 2, 20)), rng.choice((1, 2, 3))
    each = 9 if name == "Gaussian_yolo" else 5
    chosen |= {"classes": classes, "num": num, "anchors": ",".join(str(rng.randrange(1, 30)) for _ in range(2 * num))}
    chosen.pop("mask", None)
    sections.append(("convolutional", {"filters": num * (classes + each), "size": 1, "activation": "linear"}))
    sections.append((name, chosen))


def _values(rng: random.Random, declared: dict[str, Field], count: int, strange: float) -> dict[str, Any]:
    keys = rng.sample(list(declared), min(count, len(declared)))
    return {key: _value(rng, key, declared[key], strange) for key in keys if key not in TEXT_ONLY}


def _value(rng: random.Random, key: str, declared: Field, strange: float) -> str:
    if rng.random() < strange:
        return rng.choice(NUMBERS)
    meta = declared.metadata
    if get_origin(declared.type) is tuple:
        count = rng.choice((1, 1, 2, 2, 3, 6))
        one = get_args(declared.type)[0]
        return ",".join(_single(rng, key, one, meta) for _ in range(count))
    return _single(rng, key, declared.type, meta)


def _single(rng: random.Random, key: str, kind: Any, meta: Any) -> str:
    if meta["choices"]:
        return rng.choice(list(meta["choices"]))
    if kind is bool:
        return rng.choice("01")
    if kind is int:
        least = 0 if key not in ("layers", "from", "share_index") else -3
        return str(rng.choice((least, *range(max(least, int(meta["low"] or 0)), 7), 1, 1, 2, 2, 3, 8, 16,
                               rng.choice((32, 100, 1000, 10_000, 1_000_000)))))
    if kind is float:
        return rng.choice(("0", "0.1", "0.5", "1", "2", ".9", "1e-3", "-1", "10"))
    return rng.choice(("x", "leaky", "linear"))


def truth_for(net: Network, rows: int, rng: np.random.Generator) -> np.ndarray:
    """A truth of the shape the network's heads compare with."""
    if detection_heads(net.layers):
        boxes = rng.uniform(.1, .9, (rows, 4, 5)).astype(np.float32)
        boxes[..., 4] = 0
        boxes[:, 2:] = 0
        return boxes
    size = int(np.prod(net.out_shape))
    return np.eye(size, dtype=np.float32)[rng.integers(0, size, rows)] if size < 5000 else \
        np.zeros((rows, size), np.float32)


def fresh(net: runner.Model) -> runner.Model:
    """The network as it is before its first call."""
    net.reset_state()
    net.env.rng = np.random.default_rng(0)
    return net


def run_network(folder: Path, backend: str) -> None:
    """Everything that is done with a network, for the cfg `a.cfg`.  AssertionError where two ways differ."""
    ops.use(backend)
    cfg = folder / "a.cfg"
    net, report = runner.check(cfg)
    if net is None:
        raise CfgError(*report.errors)
    need = footprint.training(net)
    footprint.inference(net)
    net.summary()
    footprint.check_fits(net)
    rows = need.images
    work = rows * sum(layer.flops() + TAP_WORK * getattr(layer.options, "size", 1) ** 2 for layer in net.layers)
    if need.total > LARGEST or work > MOST_WORK or len(net.layers) > 100:
        return
    rng = np.random.default_rng(0)
    net = runner.load(cfg)
    x = rng.random((rows, *net.in_shape), np.float32)
    net.predict(x)
    if net.heads and not network_checks.untrainable(net.layers):
        net.options.__dict__["subdivisions"] = 1
        batches: Iterator[tuple[np.ndarray, np.ndarray]] = iter([(x, truth_for(net, rows, rng))] * 2)
        list(train(net, batches))
    weights.save(net, folder / "a.weights")
    again = runner.load(cfg, folder / "a.weights", seed=1)
    expected = fresh(net).predict(x)
    if not np.isfinite(expected).all():
        return
    if not any(o.dontload or o.dontsave or o.dontloadscales for o in (layer.options for layer in net.layers)):
        assert np.array_equal(expected, fresh(again).predict(x)), "the network differs after saving and loading"
    expected = fresh(again).predict(x)
    planned = fresh(again).optimized().predict(x)
    scale = max(float(np.abs(expected).max(initial=0)), 1e-3)
    worst = float(np.abs(planned - expected).max(initial=0))
    assert worst <= 2e-3 * scale, f"the plan differs by {worst:g} of {scale:g}"
