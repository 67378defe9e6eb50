"""Checkpoints: everything a run needs to continue between two updates with bit-identical results, in one file.

state.npz holds weights and running statistics (`params/3/weights`, `buffers/...`), the state of recurrent layers
(`state/...`), the optimizer's arrays (`optimizer/velocity/3/weights`), the moving average of the weights
(`average/...`), and `facts`, JSON: the update, the random generator, the cfg, a fingerprint of the data, the best
score.  `digest` is a checksum of everything else.  The file is replaced atomically, and the previous one is kept as
state-before.npz.
"""
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runner import ops
from runner.errors import CheckpointError
from runner.files import atomic_write, event
from runner.machine import blas
from runner.network import Network
from runner.optim.average import Average
from runner.optim.optimizers import Optimizer
from runner.reading.arrays import non_finite, open_npz
from runner.reading.json_text import parse_json
from runner.reading.numbers import shown, whole
from runner.reading.schema import Record, entries, field
from runner.run_folder import Best

FORMAT = 1
LABELS = {"kernels": "backend"}        # keys of `computed_by` that are called differently in messages
Arrays = dict[str, np.ndarray]


class Facts(Record):
    """The facts of a checkpoint; what `Run` adds and reads is not required of one that is only looked at."""
    format: int = field(doc="version of the file")
    update: int = field(doc="updates done", low=0)
    seen: int = field(doc="images seen", low=0)
    optimizer_updates: int = field(doc="updates of the optimizer", low=0)
    random: dict = field(None, "state of the random generator")
    computed_by: dict[str, str] = field(None, "backend and libraries")
    cfg: str = field(None, "text of the cfg")
    seed: int = field(None, "of random numbers", low=0)
    data: str = field(None, "path of the dataset")
    fingerprint: str = field(None, "of the training data")
    best: Best | None = field(None, "best evaluation")
    stale: int = field(None, "evaluations without a better score", low=0)
    measured: int = field(None, "update of the latest evaluation", low=-1)
    smooth: float | None = field(None, "moving average of the loss", nan=True)
    seconds: float = field(None, "of work", low=0)


def write(path: Path, before: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint to `path`, and move the previous one to `before`.  One of them is complete at any moment."""
    text = np.frombuffer(json.dumps({"format": FORMAT, **facts}).encode(), np.uint8)
    members = {**arrays, "facts": text}
    new = path.with_name(path.name + ".new")
    with atomic_write(new) as file:
        np.savez(file, digest=np.frombuffer(_digest(members), np.uint8), **members)     # type: ignore[arg-type]
    event("keep", path)
    if path.exists():
        os.replace(path, before)
    event("replace", path)
    os.replace(new, path)


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """-> arrays, facts.  CheckpointError if the file is missing or damaged."""
    with open_npz(path, CheckpointError, "not a complete checkpoint") as archive:
        members = archive.read_all()
    digest = members.pop("digest", np.zeros(0, np.uint8)).tobytes()
    if "facts" not in members or digest != _digest(members):
        raise CheckpointError(f"{path}: the checksum is wrong: the file is damaged")
    facts = parse_json(members.pop("facts").tobytes(), f"{path}: facts", CheckpointError)
    problem = Facts.problem(facts, "facts")
    if problem:
        raise CheckpointError(f"{path}: {problem}")
    if facts["format"] != FORMAT:
        raise CheckpointError(f"{path}: written by another version (format {facts['format']}; this one reads "
                              f"{FORMAT})")
    for name, array in members.items():
        bad = non_finite(array)
        if bad:
            raise CheckpointError(f"{path}: {name}{bad}")
    return members, facts


def _digest(members: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(members):
        array = np.ascontiguousarray(members[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()


def capture(net: Network, optimizer: Optimizer, average: Average) -> tuple[Arrays, dict[str, Any]]:
    """-> arrays and facts of a network in training; the arrays are not copied."""
    arrays = dict(_weights(net))
    arrays |= {f"state/{i}/{name}": array for i, layer in enumerate(net.layers) for name, array in layer.state.items()}
    arrays |= {f"optimizer/{slot}/{i}/{name}": array for slot, slots in optimizer.state.items()
               for (i, name), array in slots.items()}
    arrays |= {f"average/{i}/{name}": array for (i, name), array in average.arrays.items()}
    facts = {"update": net.progress.iteration, "seen": net.progress.seen, "optimizer_updates": optimizer.updates,
             "random": net.env.rng.bit_generator.state, "computed_by": computed_by()}
    return arrays, facts


def restore(net: Network, optimizer: Optimizer, average: Average, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """The inverse of capture.  CheckpointError if the arrays do not fit the network, which is then left unchanged."""
    missing = [entry.key for entry in entries(Facts) if entry.key not in facts]
    if missing:
        raise CheckpointError(f"the checkpoint is not complete: its facts lack {', '.join(missing)}")
    own = dict(_weights(net))
    stored = {name for name in arrays if name.startswith(("params/", "buffers/"))}
    if set(own) != stored:
        raise CheckpointError(f"the checkpoint belongs to another network: only one of the two has "
                              f"{min(set(own) ^ stored)}")
    states: list[dict[str, np.ndarray]] = [{} for _ in net.layers]
    slots: dict[str, dict[tuple[int, str], np.ndarray]] = {}
    averages: dict[tuple[int, str], np.ndarray] = {}
    for name, array in arrays.items():
        group, *path = name.split("/")
        if group in ("params", "buffers"):
            _check_like(name, array, own[name])
        elif group == "state" and len(path) > 1:
            states[_layer(path[0], name, net)]["/".join(path[1:])] = array
            if array.dtype != net.env.dtype:
                raise CheckpointError(f"{name} has the type {array.dtype} in the checkpoint and {net.env.dtype} in the "
                                      "network")
        elif group == "optimizer" and len(path) > 2:
            key = _layer(path[1], name, net), "/".join(path[2:])
            _check_like(name, array, own.get(f"params/{key[0]}/{key[1]}"))
            slots.setdefault(path[0], {})[key] = array
        elif group == "average" and len(path) > 1:
            key = _layer(path[0], name, net), "/".join(path[1:])
            _check_like(name, array, own.get(f"params/{key[0]}/{key[1]}", own.get(f"buffers/{key[0]}/{key[1]}")))
            averages[key] = array
        else:
            raise CheckpointError(f"the checkpoint has an array {shown(name)}, which this version does not write")
    random = net.env.rng.bit_generator.state
    try:
        net.env.rng.bit_generator.state = facts["random"]
    except (ValueError, TypeError, KeyError, OverflowError):
        net.env.rng.bit_generator.state = random
        raise CheckpointError("the state of the random generator in the checkpoint is damaged") from None
    for name, array in own.items():
        array[...] = arrays[name]
    optimizer.state, average.arrays = slots, averages
    net.state = states
    net.progress.iteration, net.progress.seen = facts["update"], facts["seen"]
    optimizer.updates = facts["optimizer_updates"]


def _layer(text: str, name: str, net: Network) -> int:
    """The index of a layer in the name of an array."""
    try:
        return whole(text, 0, len(net.layers) - 1)
    except ValueError as error:
        raise CheckpointError(f"{name}: the number of its layer {error}") from None


def _check_like(name: str, array: np.ndarray, own: np.ndarray | None) -> None:
    """CheckpointError unless an array has the shape and type of the network's."""
    if own is None:
        raise CheckpointError(f"the checkpoint belongs to another network: {shown(name)} is of no array of this one")
    if array.shape != own.shape or array.dtype != own.dtype:
        raise CheckpointError(f"{name} has shape {array.shape} in the checkpoint and {own.shape} in the network")


def _weights(net: Network) -> Iterator[tuple[str, np.ndarray]]:
    """The parameters and buffers of all layers, by their names in the file."""
    for i, layer in enumerate(net.layers):
        yield from ((f"params/{i}/{name}", array) for name, array in layer.params.items())
        yield from ((f"buffers/{i}/{name}", array) for name, array in layer.buffers.items())


def computed_by() -> dict[str, str]:
    """What the bits of a result depend on besides cfg, data and seed.  The number of threads does not matter."""
    return {"kernels": ops.backend(), "numpy": np.__version__, "blas": blas(), "processor": platform.machine()}
