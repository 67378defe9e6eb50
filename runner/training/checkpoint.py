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
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runner import ops
from runner.errors import CheckpointError
from runner.files import atomic_write
from runner.machine import blas
from runner.network import Network
from runner.optim.average import Average
from runner.optim.optimizers import Optimizer

FORMAT = 1
LABELS = {"kernels": "backend"}        # keys of `computed_by` that are called differently in messages
Arrays = dict[str, np.ndarray]


def write(path: Path, before: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint to `path`, and move the previous one to `before`.  One of them is complete at any moment."""
    text = np.frombuffer(json.dumps({"format": FORMAT, **facts}).encode(), np.uint8)
    members = {**arrays, "facts": text}
    new = path.with_name(path.name + ".new")
    with atomic_write(new) as file:
        np.savez(file, digest=np.frombuffer(_digest(members), np.uint8), **members)     # type: ignore[arg-type]
    if path.exists():
        os.replace(path, before)
    os.replace(new, path)


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """-> arrays, facts.  CheckpointError if the file is missing or damaged."""
    try:
        # opened here: np.load leaves the file of a damaged archive to the garbage collector
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError,
            RuntimeError) as error:
        raise CheckpointError(f"{path}: not a complete checkpoint ({error})") from None
    digest = members.pop("digest", np.zeros(0, np.uint8)).tobytes()
    if "facts" not in members or digest != _digest(members):
        raise CheckpointError(f"{path}: the checksum is wrong: the file is damaged")
    facts = json.loads(members.pop("facts").tobytes())
    if facts["format"] != FORMAT:
        raise CheckpointError(f"{path}: written by another version (format {facts['format']}; this one reads "
                              f"{FORMAT})")
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
    own = dict(_weights(net))
    stored = {name for name in arrays if name.startswith(("params/", "buffers/"))}
    if set(own) != stored:
        raise CheckpointError(f"the checkpoint belongs to another network: only one of the two has "
                              f"{min(set(own) ^ stored)}")
    for name, array in own.items():
        if array.shape != arrays[name].shape or array.dtype != arrays[name].dtype:
            raise CheckpointError(f"{name} has shape {arrays[name].shape} in the checkpoint and {array.shape} in the "
                                  "network")
    for name, array in own.items():
        array[...] = arrays[name]
    states: list[dict[str, np.ndarray]] = [{} for _ in net.layers]
    optimizer.state, average.arrays = {}, {}
    for name, array in arrays.items():
        group, *path = name.split("/")
        if group == "state":
            states[int(path[0])]["/".join(path[1:])] = array
        elif group == "optimizer":
            optimizer.state.setdefault(path[0], {})[int(path[1]), "/".join(path[2:])] = array
        elif group == "average":
            average.arrays[int(path[0]), "/".join(path[1:])] = array
    net.state = states
    net.progress.iteration, net.progress.seen = facts["update"], facts["seen"]
    optimizer.updates = facts["optimizer_updates"]
    net.env.rng.bit_generator.state = facts["random"]


def _weights(net: Network) -> Iterator[tuple[str, np.ndarray]]:
    """The parameters and buffers of all layers, by their names in the file."""
    for i, layer in enumerate(net.layers):
        yield from ((f"params/{i}/{name}", array) for name, array in layer.params.items())
        yield from ((f"buffers/{i}/{name}", array) for name, array in layer.buffers.items())


def computed_by() -> dict[str, str]:
    """What the bits of a result depend on besides cfg, data and seed.  The number of threads does not matter."""
    return {"kernels": ops.backend(), "numpy": np.__version__, "blas": blas(), "processor": platform.machine()}
