"""CIFAR-10 and CIFAR-100, as they are published: binary batches, and the pickled ones for Python.

Binary: records of the label (CIFAR-100: coarse, then fine) and 3 x 32 x 32 bytes, red, green, blue.
Python: a pickled dictionary with `data` (n, 3072), and `labels` or `fine_labels`.  Pickles can run any code when they
are loaded; these are read by an unpickler that knows nothing but numbers, text, lists, dictionaries and plain arrays.
Source: https://www.cs.toronto.edu/~kriz/cifar.html.
"""
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from runner.errors import DataError

SIDE, VALUES = 32, 3 * 32 * 32


def read_binary(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """-> pixels (n, 3, 32, 32) uint8 and labels (n,), of the fine classes where there are two.

    Whether a record begins with one label or two is told by the file's size.
    """
    content = np.fromfile(path, np.uint8)
    before = [count for count in (1, 2) if len(content) and len(content) % (VALUES + count) == 0]
    if not before:
        raise DataError(f"{path}: a CIFAR batch has records of 3,073 bytes (CIFAR-100: 3,074). {len(content):,} bytes "
                        "are no multiple of either: the file is cut short or something else")
    if len(before) == 2:
        before = [2] if Path(path).stem in ("train", "test") else [1]
    records = content.reshape(-1, VALUES + before[0])
    return records[:, before[0]:].reshape(-1, 3, SIDE, SIDE), records[:, before[0] - 1].astype(np.intp)


def read_python(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """-> pixels (n, 3, 32, 32) uint8 and labels (n,) of a pickled batch."""
    content = unpickle(path)
    data, labels = content.get("data"), content.get("fine_labels", content.get("labels"))
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != VALUES or data.dtype != np.uint8:
        raise DataError(f"{path}: a CIFAR batch has data, an array of n x 3072 bytes. Got "
                        + (f"{data.shape}, {data.dtype}" if isinstance(data, np.ndarray) else type(data).__name__))
    if isinstance(labels, np.ndarray):
        labels = labels.ravel().tolist()
    if not isinstance(labels, list) or len(labels) != len(data) or not all(isinstance(n, int) for n in labels):
        raise DataError(f"{path}: a CIFAR batch has labels (or fine_labels), a number for each of its {len(data)} "
                        "images")
    return data.reshape(-1, 3, SIDE, SIDE), np.array(labels, np.intp)


def unpickle(path: str | os.PathLike) -> dict[str, Any]:
    """The dictionary of a pickled batch or of batches.meta, its keys as text.  Nothing in the file is executed."""
    try:
        content = _Unpickler(io.BytesIO(Path(path).read_bytes()), encoding="bytes").load()
        if isinstance(content, dict):
            return {_text(key): value.array() if isinstance(value, _Array) else value
                    for key, value in content.items()}
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:      # the file may hold anything at all
        raise DataError(f"{path}: this is no pickled CIFAR batch ({type(error).__name__}: {error})") from None
    raise DataError(f"{path}: a pickled CIFAR batch is a dictionary. Got {type(content).__name__}")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def names_in(content: dict[str, Any]) -> list[str]:
    """The class names of a meta file."""
    return [_text(name) for name in content.get("fine_label_names") or content.get("label_names") or []]


class _Unpickler(pickle.Unpickler):
    """Loads plain values, and arrays as stand-ins that only remember what the file says of them."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _Array
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return _Array if name == "ndarray" else _Kind
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise DataError(f"the pickle asks for {module}.{name}, which a CIFAR batch has no use for: it is not loaded")

    def persistent_load(self, pid: Any) -> Any:
        raise DataError("the pickle refers to something outside itself: it is not loaded")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", b"latin1"):
        raise DataError(f"the pickle asks for the encoding {encoding!r}: it is not loaded")
    return text.encode("latin1")


class _Kind:
    """In the place of numpy.dtype: its name."""

    def __init__(self, name: Any = "", *_: Any):
        self.name = _text(name)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in (">", b">"):
            self.name = f">{self.name}"


class _Array:
    """In the place of numpy.ndarray: shape, type and bytes, made an array by `array` after a check."""

    def __init__(self, *_: Any):
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        try:
            _, shape, kind, fortran, content = self.state
            if kind.name not in ("u1", "|u1", "uint8", "i8", "i4", ">i8", ">i4"):
                raise ValueError(f"values of type {kind.name}")
            values = np.frombuffer(content, kind.name)
            return values.reshape(shape, order="F" if fortran else "C")
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"an array of the pickle makes no sense ({error})") from None
