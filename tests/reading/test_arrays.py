"""Arrays from .npy and .npz files, and what damaged or hostile ones are refused with."""
import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from runner.errors import CheckpointError, DataError
from runner.reading import arrays
from runner.reading.arrays import non_finite, open_npz, read_npy


def npy(descr: str = "'|u1'", shape: str = "(3,)", values: bytes = b"abc", fortran: str = "False",
        rest: str = "") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, {rest}}}".encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.float32).reshape(2, 3), np.float64(3),
                                   np.zeros((0, 4), np.uint8),
                                   np.asfortranarray(np.arange(24).reshape(2, 3, 4)), np.array(["a", "\xe9"]),
                                   np.arange(3, dtype=">u2"), np.array([True, False]), np.array([b"x", b"yz"])])
@pytest.mark.parametrize("packed", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_were_written(array: np.ndarray, packed: object, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    packed(tmp_path / "a.npz", first=array, second=np.arange(2))        # type: ignore[operator]
    with open_npz(tmp_path / "a.npz") as archive:
        assert archive.names == ["first", "second"]
        found = archive.read_all()
    np.testing.assert_array_equal(found["first"], array)
    assert found["first"].dtype == np.asarray(array).dtype


@pytest.mark.parametrize("content, message", [
    (b"", "does not begin with"), (npy()[:20], "its header must have"), (npy(values=b"ab"), "and there are 2"),
    (npy("'|O'"), "Python objects"), (npy("[('a', '<f4')]"), "its header must have"), (npy("'<f4096'"), "'<f4096'"),
    (npy("'<f3'"), "'<f3'"),
    (npy("'<M8[s]'"), "not an array of plain values"), (npy(shape="(1e3,)"), "its header must have"),
    (npy(shape="(64000000000000,)"), "and there are 3"), (npy(shape="(" + "9" * 60 + ",)"), "no array has the shape"),
    (npy(shape="(" + "1," * 40 + ")"), "no array has the shape"), (npy(shape="(0, 4611686018427387904, 9)"), "damaged"),
    (npy(shape="(" * 5000), "its header must have"), (npy(rest="'x': 'y'"), "its header must have"),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "is too long"), (npy("'<U1'", "(1,)", b"\xff\xff\xff\xff"), "no text"),
    (npy("'|b1'", "(1,)", b"\x07"), "no truth value"), (npy(shape="3"), "its header must have")])
def test_damaged_arrays(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", content)
    with pytest.raises(CheckpointError, match=r"a\.npz: "), open_npz(tmp_path / "a.npz", CheckpointError) as archive:
        archive.read("x")


def archive_of(content: bytes, method: int = zipfile.ZIP_STORED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x.npy", content)
    return bytearray(file.getvalue())


def test_damaged_archives(tmp_path: Path) -> None:
    whole = archive_of(npy(values=bytes(300), shape="(300,)"), zipfile.ZIP_DEFLATED)
    for at in range(len(whole)):        # each byte once
        damaged = whole.copy()
        damaged[at] ^= 0xff
        (tmp_path / "a.npz").write_bytes(damaged)
        try:
            with open_npz(tmp_path / "a.npz") as archive:
                archive.read_all()
        except DataError as error:
            assert str(error).startswith(f"{tmp_path}/a.npz: ")


def test_an_archive_that_expands_without_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "HARMLESS", 1 << 20)
    content = npy(shape=f"({5 << 20},)", values=bytes(5 << 20))
    (tmp_path / "a.npz").write_bytes(archive_of(content, zipfile.ZIP_DEFLATED))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"would become 5\.0 MB, \d+ times its size"), \
                open_npz(tmp_path / "a.npz") as archive:
            archive.read("x")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_sizes_that_the_directory_invents_are_refused(tmp_path: Path) -> None:
    content = archive_of(npy())
    at = content.index(b"PK\x01\x02")
    content[at + 24:at + 28] = struct.pack("<I", 0xf0000000)        # the size written in the directory
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="which no compression reaches"), open_npz(tmp_path / "a.npz") as archive:
        archive.read("x")


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"), open_npz(tmp_path / "a.npz"):
        pass
    with pytest.raises(DataError, match="this is a folder"), open_npz(tmp_path):
        pass


def test_the_first_value_that_is_not_finite_has_a_place() -> None:
    values = np.zeros((30, 7, 1000), np.float32)
    assert non_finite(values) is None
    assert non_finite(np.full(10**6, 3e38, np.float32)) is None, "a sum may overflow"
    values[17, 3, 5] = np.nan
    assert non_finite(values) == "[17, 3, 5] is nan"
    values[29, 6, 999] = -np.inf
    assert non_finite(values) == "[17, 3, 5] is nan (and 1 more)"
    assert non_finite(np.arange(3)) is None
    assert non_finite(np.array(np.inf)) == "[] is inf"


def test_zlib_errors_are_caught() -> None:
    assert zlib.error in arrays.DAMAGE
