"""Pickles are read as values; what is not a plain value is refused, and nothing runs."""
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.errors import DataError
from runner.reading.pickles import Array, read_pickle

VALUES = {"a": [1, -2, 2.5, None, True, False, 10**30], "b": (1, (2, 3), ("x", "y", "z"), ()),
          "c": {"d": b"e", 3: "\xe9"},
          "again": ["same"] * 3}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(pickle.dumps(VALUES, protocol))
    assert read_pickle(tmp_path / "p") == VALUES


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(3, dtype=">i8"),
                                   np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))])
def test_arrays(protocol: int, array: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(pickle.dumps({"x": array}, protocol))
    found = read_pickle(tmp_path / "p")["x"]
    assert isinstance(found, Array)
    np.testing.assert_array_equal(found.values(), array)


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("caught",)


@pytest.mark.parametrize("content", [
    pickle.dumps(Trap()), pickle.dumps({"a": [Trap()]}), pickle.dumps(Path("x")), b"cos\nsystem\n(S'ls'\ntR.",
    b"\x80\x02(cos\nsystem\nU\x02lso.", b"Pid\n.", b"\x80\x04\x8c\x02os\x8c\x06system\x93(tb.", pickle.dumps(1j)])
def test_nothing_runs(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p").write_bytes(content)
    with pytest.raises(DataError, match="it is not loaded"):
        read_pickle("p")
    assert not Path("caught").exists()


@pytest.mark.parametrize("content", [
    b"", b"\x80\x02", b"\x80\x02.", b"q\xff.", b"h\x07.", b"(.", b"\x80\x02}q\x01X\xff\xff\xff\x7fabc.", b"a.",
    b"\x85.", b"I" + b"9" * 5000 + b"\n.", b"]K\x01s.", b"}]K\x01s.", b"0."])
def test_damaged_pickles(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match="not a pickle of plain values"):
        read_pickle(tmp_path / "p")


def test_a_large_index_takes_no_memory(tmp_path: Path) -> None:
    """LONG_BINPUT 0x7fffffff: the unpickler of Python makes room for all indices below."""
    (tmp_path / "p").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    tracemalloc.start()
    assert read_pickle(tmp_path / "p") == []
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
