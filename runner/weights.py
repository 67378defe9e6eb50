"""darknet's .weights files, read and written byte for byte.

A file is a header and then float32 values, little endian, without markers: layer after layer, each layer's arrays in
the order it declares in `stored`.  Only the cfg says which values belong to which layer, so sizes are checked before
anything is read.  Source: src/parser.c:load_weights_upto, save_weights_upto.
"""
import difflib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from runner.errors import WeightsError, counted, plural
from runner.file_kinds import HEAD, kind_of
from runner.files import atomic_write
from runner.layers import Implicit
from runner.layers.shared.base import Layer
from runner.network import Network
from runner.reading.arrays import non_finite
from runner.reading.text import read_bytes

NORM = ("scales", "rolling_mean", "rolling_variance")


@dataclass(frozen=True)
class Header:
    """version is (major, minor, revision); seen counts images; transposed: connected weights are (inputs, outputs);
    remark: what the file lacked although it was loaded, as a sentence."""
    version: tuple[int, int, int]
    seen: int
    size: int
    remark: str = ""

    @property
    def transposed(self) -> bool:
        return self.version[0] > 1000 or self.version[1] > 1000


def read_header(data: bytes, path: str | Path, values: int | None = None) -> Header:
    """The first 16 or 20 bytes.  `seen` has 64 bits since version 0.2, and 32 before.

    In transposed files pjreddie's darknet reads 32 bits and AlexeyAB's 64; there `values`, what the cfg needs,
    decides together with the size of the file; pjreddie's way is used when both or neither fit.
    """
    kind = kind_of(data) or ("a text file. Is it the cfg?" if data[:HEAD].isascii() and b"\0" not in data[:HEAD]
                             and data.strip() else None)
    if kind:
        raise WeightsError(f"{path}: not a .weights file: this is {kind}")
    if len(data) < 16:
        raise WeightsError(f"{path}: {counted(len(data), 'byte')} {'is' if len(data) == 1 else 'are'} too few for a "
                           ".weights file: its header has 16 or 20")
    major, minor, revision = struct.unpack_from("<3i", data)
    if not (0 <= major < 100_000 and 0 <= minor < 100_000 and revision >= 0):
        raise WeightsError(f"{path}: not a .weights file: its version would be {major}.{minor}.{revision}")
    wide = major * 10 + minor >= 2 and major < 1000 and minor < 1000
    if (major > 1000 or minor > 1000) and values is not None:
        wide = len(data) == 20 + 4 * values
    if wide and len(data) < 20:
        raise WeightsError(f"{path}: {counted(len(data), 'byte')} {'is' if len(data) == 1 else 'are'} too few for the "
                           f"header of version {major}.{minor}")
    seen, = struct.unpack_from("<Q" if wide else "<I", data, 12)
    return Header((major, minor, revision), seen, 20 if wide else 16)


def load(net: Network, path: str | Path, *, start: int = 0, cutoff: int | None = None) -> Header:
    """Read a file into the network's arrays.  WeightsError, with nothing changed, where it does not fit.

    start   read into the layers from this one on
    cutoff  read only the layers before this one; the file may end there, as those of pretrained backbones do

    A file of the YOLOR fork, which does not store [implicit_*], leaves those arrays unchanged; Header.remark says so.
    """
    data = read_bytes(path, WeightsError, missing="there is no such weights file")
    stored = [entry for entry in _stored(net, cutoff) if entry[0] >= start]
    header = read_header(data, path, sum(_array(layer, name).size for _, layer, name in stored))
    have, left_over = divmod(len(data) - header.size, 4)
    if left_over:
        raise WeightsError(f"{path}: {len(data)} bytes are not a whole number of float32 values after a header of "
                           f"{header.size}; the file is damaged")
    short = [entry for entry in stored if not isinstance(entry[1], Implicit)]
    if len(short) < len(stored) and have == sum(_array(layer, name).size for _, layer, name in short):
        count = sum(_array(layer, name).size for _, layer, name in stored) - have
        header = replace(header, remark=f"{path}: the file has no values of [implicit_add] and [implicit_mul], as the "
                                        f"YOLOR fork writes it: {count:,} values of this network stay as they were")
        stored = short
    _check(net, stored, have, path, cutoff)
    values, at = np.frombuffer(data, "<f4", offset=header.size), 0
    _check_finite(stored, values, path)
    for _, layer, name in stored:
        array = _array(layer, name)
        _fill(array, values[at:at + array.size], layer, name, header.transposed)
        at += array.size
    net.progress.seen = header.seen
    images = max(net.options.batch // net.options.subdivisions, 1) * net.options.subdivisions
    net.progress.iteration = header.seen // (images * net.options.time_steps)
    return header


def count_values(path: str | Path) -> int:
    """The number of float32 values in a file, without its header."""
    data = read_bytes(path, WeightsError, missing="there is no such weights file")
    return (len(data) - read_header(data, path).size) // 4


def save(net: Network, path: str | Path, *, cutoff: int | None = None) -> None:
    """Write the network as darknet does, with `net.progress.seen` in the header (version 0.2)."""
    with atomic_write(path) as file:
        file.write(struct.pack("<3iQ", 0, 2, net.env.compat.weights_revision, net.progress.seen))
        for _, layer, name in _stored(net, cutoff, saving=True):
            array = _array(layer, name)
            if getattr(layer.options, "flipped", False) and name == "weights":
                array = array.reshape(len(array), -1).T
            file.write(np.ascontiguousarray(array, "<f4").tobytes())


def average(net: Network, paths: Sequence[str | Path]) -> None:
    """Set every array of the network to its mean over several files, summed in float32 in their order as darknet's
    `average` does; the images seen are those of the first file."""
    arrays = [_array(layer, name) for _, layer, name in _stored(net, None)]
    sums = [np.zeros_like(array) for array in arrays]
    seen = []
    for path in paths:
        seen.append(load(net, path).seen)
        for total, array in zip(sums, arrays, strict=True):
            total += array
    for total, array in zip(sums, arrays, strict=True):
        array[...] = total * np.float32(1 / len(paths))
    net.progress.seen = seen[0]


def transfer(net: Network, source: Network) -> set[int]:
    """Copy the arrays of layers that match in both networks -> their indices in `net`.

    Layers match when they have the same section and arrays of the same shapes.  They are matched in order; a layer
    that was inserted or removed does not prevent later ones from matching.
    """
    ours, theirs = ([(i, layer) for i, layer in enumerate(each.layers) if layer.stored] for each in (net, source))

    def forms(layers: list[tuple[int, Layer]]) -> list[tuple]:
        return [(layer.names[0], *((name, _array(layer, name).shape) for name in layer.stored)) for _, layer in layers]
    taken = set()
    for match in difflib.SequenceMatcher(None, forms(theirs), forms(ours), autojunk=False).get_matching_blocks():
        for k in range(match.size):
            (_, old), (index, new) = theirs[match.a + k], ours[match.b + k]
            for name in new.stored:
                _array(new, name)[...] = _array(old, name)
            taken.add(index)
    return taken


def _stored(net: Network, cutoff: int | None, saving: bool = False) -> Iterator[tuple[int, Layer, str]]:
    """(index, layer, array name) in the order of the file."""
    for index, layer in enumerate(net.layers[:cutoff]):
        if layer.options.dontsave if saving else layer.options.dontload:
            continue
        for name in layer.stored:
            if saving or not (layer.options.dontloadscales and name in NORM):
                yield index, layer, name


def _array(layer: Layer, name: str) -> np.ndarray:
    return layer.params[name] if name in layer.params else layer.buffers[name]


def _fill(array: np.ndarray, values: np.ndarray, layer: Layer, name: str, transposed: bool) -> None:
    flipped = getattr(layer.options, "flipped", False) and name == "weights"
    if flipped or (transposed and array.ndim == 2 and name.endswith("weights")):
        rows = array.reshape(len(array), -1)
        rows[...] = values.reshape(rows.shape[::-1]).T
    else:
        array[...] = values.reshape(array.shape)


def _check_finite(stored: list[tuple[int, Layer, str]], values: np.ndarray, path: str | Path) -> None:
    """WeightsError where a value is NaN or infinite, with its layer; before anything is changed."""
    at = 0
    for index, layer, name in stored:
        size = _array(layer, name).size
        bad = non_finite(values[at:at + size])
        if bad:
            raise WeightsError(f"{path}: layer {index} [{layer.names[0]}]: of its {size:,} {name}, {bad}. The network "
                               "that was saved had diverged, or the file is damaged")
        at += size


def _check(net: Network, stored: list[tuple[int, Layer, str]], have: int, path: str | Path, cutoff: int | None) -> None:
    """WeightsError unless the file has exactly the stored values (with a cutoff: at least these)."""
    want = 0
    for index, layer, name in stored:
        size = _array(layer, name).size
        if want + size > have:
            total = sum(_array(each, key).size for _, each, key in stored)
            whole = len({i for i, _, _ in stored if i < index}) and want == have
            hint = (f" It ends exactly before layer {index}: if it is a backbone, add --cutoff {index}." if whole else
                    " Is it cut off, the file of another cfg, or one saved without batch_normalize?")
            raise WeightsError(
                f"{path}: the file ends in layer {index} [{layer.names[0]}], at its {name}: {size:,} "
                f"{plural(size, 'value')} wanted, {have - want:,} left. The cfg needs {total:,} "
                f"{plural(total, 'value')} in all, the file has {have:,}.{hint}")
        want += size
    if have > want and cutoff is None:
        raise WeightsError(f"{path}: the file has {have:,} {plural(have, 'value')}, the cfg needs {want:,}: "
                           f"{have - want:,} are left over after the last layer ({len(net.layers) - 1}). It belongs to "
                           "another cfg")
