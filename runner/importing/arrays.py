"""Named arrays of other programs into the layers of a network: .safetensors and .npz.

Arrays that `export` has written carry their place in their name.  Those of PyTorch are matched in three steps.  The
arrays of a module (conv1.weight, conv1.bias; bn1.weight, bn1.running_mean, ...) belong together.  A batch norm belongs
to the convolution or the linear layer that it follows in the order of the names, numbers read as numbers.  Then every
layer gets the module of its shape; where several have one shape, they are taken in order.  Every array must find a
place, and every layer an array: otherwise nothing is changed, and the message lists what is left on both sides.
"""
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runner.errors import MissingExtra, WeightsError
from runner.layers import Batchnorm, Connected, Convolutional, Deconvolutional
from runner.layers.shared.base import Layer
from runner.network import Network
from runner.reading.arrays import open_npz

OWN = re.compile(r"(\d+)\.(\w+)\.([\w.]+)")         # of runner.export: layer, section, array
COUNTERS = ("num_batches_tracked",)                 # of PyTorch's batch norm: not a value of the network
LISTED = 8                                          # arrays that a message names
# arrays of ours <- the last part of PyTorch's names
NORM = {"scales": "weight", "biases": "bias", "rolling_mean": "running_mean", "rolling_variance": "running_var"}


@dataclass(frozen=True)
class Module:
    """The arrays of one module of the source, by the last part of their names, and those of its batch norm."""
    name: str
    arrays: Mapping[str, np.ndarray]
    norm_name: str = ""
    norm: Mapping[str, np.ndarray] | None = None

    @property
    def names(self) -> list[str]:
        """Of all its arrays, in the file."""
        parts = [(self.name, key) for key in self.arrays] + [(self.norm_name, key) for key in self.norm or ()]
        return [f"{module}.{key}" if module else key for module, key in parts]


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors or .npz file by name, as float32.  WeightsError where it cannot be read."""
    if Path(path).suffix.lower() == ".safetensors":
        found = _read_safetensors(path)
    else:
        with open_npz(path, WeightsError) as archive:
            found = archive.read_all()
    arrays = {}
    for name, array in found.items():
        if array.dtype.kind not in "fiu":
            raise WeightsError(f"{path}: {name} holds {array.dtype}, not numbers")
        arrays[name] = array if name.rpartition(".")[2] in COUNTERS else array.astype(np.float32)
        if not np.isfinite(arrays[name]).all():
            raise WeightsError(f"{path}: {name} has NaN or infinity")
    if not arrays:
        raise WeightsError(f"{path}: the file holds no array")
    return arrays


def _read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtra("safetensors", "reading .safetensors", "onnx") from None
    try:
        with safe_open(str(path), framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file") from None
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path}: not a .safetensors file that can be read ({error})") from None


def fill(net: Network, arrays: Mapping[str, np.ndarray], source: str) -> dict[str, str]:
    """Set every stored array of a network -> ours ("3.convolutional.weights") from which of theirs, for a table.

    source  the file, for messages.  WeightsError, with nothing changed, where arrays or layers are left over.
    """
    if all(OWN.fullmatch(name) for name in arrays):
        return _fill_by_place(net, arrays, source)
    return _fill_by_shape(net, arrays, source)


def _stored(net: Network) -> Iterator[tuple[str, Layer, str]]:
    """("3.convolutional.weights", layer, "weights") of every stored array."""
    for index, layer in enumerate(net.layers):
        for name in layer.stored:
            yield f"{index}.{layer.names[0]}.{name.replace('/', '.')}", layer, name


def _fill_by_place(net: Network, arrays: Mapping[str, np.ndarray], source: str) -> dict[str, str]:
    wanted = {full: (layer, name) for full, layer, name in _stored(net)}
    problems = [f"{name} is missing" for name in wanted if name not in arrays]
    problems += [f"{name} has no place in this cfg" for name in arrays if name not in wanted]
    problems += [f"{name} has the shape {list(arrays[name].shape)} instead of {list(layer.specs[key].shape)}"
                 for name, (layer, key) in wanted.items()
                 if name in arrays and arrays[name].shape != layer.specs[key].shape]
    if problems:
        raise WeightsError(f"{source}: {_listed(problems)}")
    for name, (layer, key) in wanted.items():
        _array(layer, key)[...] = arrays[name]
    return {name: name for name in wanted}


def _fill_by_shape(net: Network, arrays: Mapping[str, np.ndarray], source: str) -> dict[str, str]:
    modules = _modules(arrays)
    waiting: dict[tuple[int, ...], list[Module]] = {}
    for module in modules:
        waiting.setdefault(_shape(module), []).append(module)
    layers = [(index, layer) for index, layer in enumerate(net.layers) if layer.stored]
    problems, pairs = [], []
    for index, layer in layers:
        key = "scales" if isinstance(layer, Batchnorm) else "weights"
        if not isinstance(layer, Batchnorm | Connected | Convolutional | Deconvolutional):
            problems.append(f"layer {index} [{layer.names[0]}] has no counterpart in other programs")
        elif same := waiting.get(layer.specs[key].shape):
            pairs.append((index, layer, same.pop(0)))
        else:
            problems.append(f"layer {index} [{layer.names[0]}] finds no array of the shape "
                            f"{list(layer.specs[key].shape)}")
    problems += [f"{name} is left over" for same in waiting.values() for module in same for name in module.names]
    problems += [problem for index, layer, module in pairs for problem in _misfits(index, layer, module)]
    if problems:
        raise WeightsError(f"{source}: {_listed(problems)}")
    table: dict[str, str] = {}
    for index, layer, module in pairs:
        _set(layer, module)
        table |= {f"{index}.{layer.names[0]}": ", ".join(module.names)}
    return table


def _modules(arrays: Mapping[str, np.ndarray]) -> list[Module]:
    """The arrays grouped by module, in the order of a network, each batch norm with the module before it."""
    grouped: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        module, _, key = name.rpartition(".")
        if key not in COUNTERS:
            grouped.setdefault(module, {})[key] = array
    modules: list[Module] = []
    for name in sorted(grouped, key=_order):
        own = grouped[name]
        last = modules[-1] if modules else None
        if "running_mean" in own and last and last.norm is None and "running_mean" not in last.arrays \
                and "weight" in last.arrays and _outputs(last) == len(own["running_mean"]):
            modules[-1] = Module(last.name, last.arrays, name, own)
        else:
            modules.append(Module(name, own))
    return modules


def _order(name: str) -> list[tuple[float, int, str]]:
    """Sorts names as a network is built: numbers as numbers, a convolution before its norm, shortcuts after the rest
    of their block, the classifier last."""
    key = []
    for part in name.split("."):
        match = re.fullmatch(r"(.*?)(\d+)?", part)
        assert match is not None
        word, number = match[1].rstrip("_").lower(), match[2]
        last = word in ("fc", "classifier", "head", "linear") or word.startswith("downsample") or word == "shortcut"
        norm = word.startswith(("bn", "batch", "norm"))
        place = float("inf") if last else -1.0 if number is None and not word.startswith(("layer", "conv", "bn")) \
            else float(number or 0)
        group = 1 if word.startswith(("layer", "stage", "block", "features")) else 0
        key.append((group * 1e6 + place if place != float("inf") else place, int(norm), word))
    return key


def _outputs(module: Module) -> int:
    return len(module.arrays["weight"])


def _shape(module: Module) -> tuple[int, ...]:
    weight = module.arrays.get("weight")
    return () if weight is None else weight.shape


def _misfits(index: int, layer: Layer, module: Module) -> list[str]:
    """What stands against setting a layer from a module of its shape."""
    known = {"weight", "bias"} | (set(NORM.values()) if isinstance(layer, Batchnorm) else set())
    problems = [f"{module.name}.{key} has no place in [{layer.names[0]}]" for key in module.arrays if key not in known]
    own = "scales" in layer.specs and not isinstance(layer, Batchnorm)
    if own and module.norm is None:
        problems.append(f"layer {index} has batch_normalize=1, and {module.name} is followed by no batch norm")
    if module.norm is not None and not own:
        problems.append(f"{module.name} is followed by {module.norm_name}: set batch_normalize=1 in layer {index}")
    return problems


def _set(layer: Layer, module: Module) -> None:
    norm = module.arrays if isinstance(layer, Batchnorm) else module.norm
    if not isinstance(layer, Batchnorm):
        layer.params["weights"][...] = module.arrays["weight"]
    if norm is not None:
        for ours, theirs in NORM.items():
            if theirs in norm:
                _array(layer, ours)[...] = norm[theirs]
        if not isinstance(layer, Batchnorm) and "bias" in module.arrays:       # added before the mean is subtracted
            layer.buffers["rolling_mean"] -= module.arrays["bias"]
    else:
        layer.params["biases"][...] = module.arrays.get("bias", 0)


def _array(layer: Layer, name: str) -> np.ndarray:
    return layer.params[name] if name in layer.params else layer.buffers[name]


def _listed(problems: list[str]) -> str:
    more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
    return "; ".join(problems[:LISTED]) + more
