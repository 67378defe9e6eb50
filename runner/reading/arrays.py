"""NumPy's .npy and .npz files, gzipped files, and raw values: what a file announces is compared with its size before
anything is allocated or decompressed.

Only arrays of numbers, truth values and texts are read: never Python objects, which would be pickles.
"""
import gzip
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from runner.errors import DataError, RunnerError
from runner.file_kinds import HEAD, kind_of
from runner.machine import bytes_text
from runner.reading.numbers import shown
from runner.reading.text import Path_, check_memory, check_regular, name_of, open_reason

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1 << 16
ITEM = re.compile(r"""\s*['"](\w+)['"]\s*:\s*(?:['"]([^'"]*)['"]|(True|False)|\(([\d\sL,]*)\))\s*(?:,|$)""")
TYPE = re.compile(r"[<>|=]?(?:\?|[biufc]\d{1,2}|[SU]\d{1,7})")
MOST_AXES = 32
CHUNK = 1 << 20
EXPANSION = 1100        # deflate makes files at most 1032 times smaller
SUSPICIOUS = 200        # archives of images are not compressed so far; a larger one is refused
HARMLESS = 256 << 20    # unless it needs no more than these bytes
DAMAGE = (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError,
          NotImplementedError, OverflowError, struct.error, AttributeError, IndexError)


class Header(NamedTuple):
    """What a .npy file says about its array; `size`: bytes of the header itself."""
    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]
    size: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class _Damaged(Exception):
    pass


@contextmanager
def opened(path: Path_, error: type[RunnerError] = DataError,
           damaged: str = "the file is truncated or damaged") -> Iterator[IO[bytes]]:
    """A file open for reading; whatever the block raises because of its content is an `error`: the sentence `damaged`,
    and the reason."""
    name = name_of(path)
    try:
        check_regular(path, os.stat(path), error)
        if os.path.isdir(path):
            raise IsADirectoryError(21, "is a folder")
        file = open(path, "rb")
    except (OSError, ValueError) as problem:
        raise error(f"{name}: {open_reason(problem)}") from None
    with file:
        try:
            yield file
        except _Damaged as problem:
            raise error(f"{name}: {problem}") from None
        except DAMAGE as problem:
            raise error(f"{name}: {damaged} ({str(problem) or type(problem).__name__})") from None
        except MemoryError:
            raise error(f"{name}: the file does not fit into memory") from None


class Archive:
    """An open .npz archive; `names` of its arrays."""

    def __init__(self, file: IO[bytes], name: str, error: type[RunnerError]):
        self._zip, self._name, self._error = zipfile.ZipFile(file), name, error
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()
                         if info.filename.endswith(".npy")}
        self.names = list(self._members)

    def read(self, name: str) -> np.ndarray:
        """One array."""
        info = self._members[name]
        self._check_size([info])
        with self._zip.open(info) as stream:
            return _values(stream, self._header(stream, info, name))

    def header(self, name: str) -> Header:
        """What is said about one array."""
        with self._zip.open(self._members[name]) as stream:
            return self._header(stream, self._members[name], name)

    def _header(self, stream: IO[bytes], info: zipfile.ZipInfo, name: str) -> Header:
        header = read_header(stream, f"{shown(name)[1:-1]}: ")
        if header.nbytes != info.file_size - header.size:
            raise _Damaged(f"{shown(name)[1:-1]}: its header says {_form(header)}, and {header.nbytes:,} bytes; "
                           f"there are {info.file_size - header.size:,}")
        return header

    def read_all(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        self._check_size(list(self._members.values()))
        return {name: self.read(name) for name in self.names}

    def _check_size(self, members: Sequence[zipfile.ZipInfo]) -> None:
        packed, size = (sum(getattr(info, key) for info in members) for key in ("compress_size", "file_size"))
        if size > EXPANSION * packed + (1 << 16):
            raise _Damaged(f"the archive says that {packed:,} bytes are {size:,}, which no compression reaches: it is "
                           "damaged")
        if size > HARMLESS and size > SUSPICIOUS * packed:
            raise _Damaged(f"the archive would become {bytes_text(size)}, {size // packed} times its size. If that is "
                           "right, write it without compression (np.savez)")
        check_memory(size, f"{self._name}: the archive", self._error)


@contextmanager
def open_npz(path: Path_, error: type[RunnerError] = DataError, damaged: str = "") -> Iterator[Archive]:
    """A .npz archive; `error` for whatever is wrong with it, also while it is read.  `damaged` is said of another file,
    too; without it, what that file is."""
    with opened(path, error, damaged or "the .npz archive is truncated or damaged") as file:
        head = file.read(HEAD)
        if not damaged and not head.startswith(b"PK"):
            this = kind_of(head) or (None if head else "an empty file")
            raise _Damaged(f"not an .npz archive{f': this is {this}' if this else ''}")
        file.seek(0)
        yield Archive(file, name_of(path), error)


def read_npy(source: Path_ | IO[bytes], error: type[RunnerError] = DataError, name: str = "") -> np.ndarray:
    """The array of a .npy file: a path, or an open binary file of that name."""
    if not isinstance(source, str | os.PathLike):
        return _npy(source, name or "<stream>", error)
    with opened(source, error) as file:
        return _npy(file, name_of(source), error)


def _npy(file: IO[bytes], name: str, error: type[RunnerError]) -> np.ndarray:
    header = npy_header(file)
    check_memory(header.nbytes, f"{name}: the array", error)
    return _values(file, header)


def npy_header(file: IO[bytes]) -> Header:
    """What an open .npy file says about its array, which is not larger than the file; the file is then at its first
    value."""
    header = read_header(file)
    at = file.tell()
    there = file.seek(0, os.SEEK_END) - at
    file.seek(at)
    if header.nbytes > there:
        raise _Damaged(f"the header says {_form(header)}, {header.nbytes:,} bytes, and there are {there:,}: the file "
                       "is truncated or damaged")
    return header


def _form(header: Header) -> str:
    return f"{' x '.join(map(str, header.shape)) or 'one'} values of {header.dtype}"


def read_header(stream: IO[bytes], where: str = "") -> Header:
    """The header of a .npy file; the stream is then at its first value."""
    start = stream.read(8)
    if start[:6] != MAGIC or len(start) < 8:
        raise _Damaged(f"{where}not an array of NumPy: it does not begin with {MAGIC!r}")
    wide = start[6] > 1
    length = int.from_bytes(stream.read(4 if wide else 2), "little")
    if length > LONGEST_HEADER:
        raise _Damaged(f"{where}a header of {length:,} bytes is too long")
    text = stream.read(length).decode("utf-8" if start[6] > 2 else "latin-1")
    found, body = {}, text.strip().removeprefix("{").removesuffix("}")
    at = 0
    while item := ITEM.match(body, at):
        found[item[1]] = item
        at = item.end()
    if body[at:].strip() or set(found) != {"descr", "fortran_order", "shape"}:
        raise _Damaged(f"{where}its header must have a type, the order and the shape of an array of plain values. Got "
                       f"{shown(text.strip())}")
    kind, order, shape = found["descr"][2], found["fortran_order"][3], found["shape"][4]
    if kind is None or not TYPE.fullmatch(kind):
        objects = "Python objects (a pickle), which are not loaded" if kind in ("|O", "O") else f"{shown(kind)}"
        raise _Damaged(f"{where}not an array of plain values: they are {objects}")
    if order is None or shape is None:
        raise _Damaged(f"{where}its header is damaged: {shown(text.strip())}")
    sizes = tuple(int(size) for size in (part.strip().removesuffix("L") for part in shape.split(",")) if size)
    if len(sizes) > MOST_AXES or any(size > 2**62 for size in sizes):
        raise _Damaged(f"{where}no array has the shape {shown(sizes)}")
    try:
        dtype = np.dtype(kind)
    except TypeError:       # <f3
        raise _Damaged(f"{where}not an array of plain values: they are {shown(kind)}") from None
    return Header(dtype, order == "True", sizes, 8 + (4 if wide else 2) + length)


def _values(stream: IO[bytes], header: Header) -> np.ndarray:
    """The array behind a header."""
    array = np.empty(header.shape[::-1] if header.fortran else header.shape, header.dtype)
    if array.nbytes:
        read_into(stream, array.reshape(-1).view(np.uint8).data)
    stream.read(1)      # at the end of a member of an archive its checksum is tested
    if not _is_valid(array):
        raise _Damaged(f"values that no {'text' if array.dtype.kind == 'U' else 'truth value'} can have")
    return array.T if header.fortran else array


def _is_valid(array: np.ndarray) -> bool:
    """Whether the bytes of texts are characters, and those of truth values 0 or 1: NumPy does not check."""
    if array.dtype.kind == "U" and array.nbytes:
        return int(array.reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)).max()) < 0x110000
    return array.dtype.kind != "b" or int(array.view(np.uint8).max(initial=0)) < 2


def read_into(stream: IO[bytes], target: memoryview) -> None:
    """Fill `target`.  EOFError where the stream ends before."""
    at = 0
    while at < len(target):
        block = stream.read(min(CHUNK, len(target) - at))
        if not block:
            raise EOFError(f"it ends after {at:,} of {len(target):,} bytes")
        target[at:at + len(block)] = block
        at += len(block)


def read_head(path: Path_, count: int) -> bytes:
    """The first bytes of a file, unpacked if it is gzipped; b"" where it cannot be read."""
    try:
        with opened(path) as file, unzipped(file) as stream:
            return stream.read(count)
    except RunnerError:
        return b""


@contextmanager
def unzipped(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The content of an open file, unpacked where it is gzipped."""
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if zipped:
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream        # type: ignore[misc]
    else:
        yield file


def non_finite(values: np.ndarray) -> str | None:
    """Where the first NaN or infinity is: "[3, 0] is nan (and 2 more)"; None where all values are finite.

    One pass: sums of chunks are finite only if all their values are.
    """
    if values.dtype.kind not in "fc":
        return None
    flat = np.ascontiguousarray(values).reshape(-1)
    with np.errstate(all="ignore"):
        chunks = range(0, len(flat), CHUNK >> 4)
        if all(np.isfinite(flat[at:at + (CHUNK >> 4)].sum()) for at in chunks):
            return None
    bad = ~np.isfinite(flat)
    count = int(np.count_nonzero(bad))
    if not count:
        return None
    first = int(bad.argmax())
    place = ", ".join(str(int(at)) for at in np.unravel_index(first, values.shape))
    return f"[{place}] is {flat[first]}" + (f" (and {count - 1:,} more)" if count > 1 else "")


def file_size(path: Path_) -> int:
    """Bytes of a file; 0 where it cannot be read."""
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0
