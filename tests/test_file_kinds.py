"""Files of other kinds are named for what they are, wherever a cfg, weights or a text file is expected."""
import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.errors import CfgError, DataError, WeightsError
from runner.file_kinds import HEAD, kind_of
from runner.reading.text import read_text
from tests.paths import ROOT


def zipped(*members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    return file.getvalue()


def saved(save: str) -> bytes:
    file = io.BytesIO()
    if save == "npy":
        np.save(file, np.zeros(3))
    elif save == "npz":
        np.savez(file, x=np.zeros(3))
    elif save == "tar":
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(ROOT / "run.py", "run.py")
    else:
        Image.new("RGB", (4, 4)).save(file, save)
    return file.getvalue()


HEADER = json.dumps({"__metadata__": {"format": "pt"}}).encode()
FILES = {
    "a web page": b"\xef\xbb\xbf \n<!DOCTYPE html>\n<html>",
    "a web page (HTML)": b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">',
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:01\nsize 248007048\n",
    "a PyTorch file": zipped("archive/data.pkl", "archive/version"),
    "a PyTorch": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "a Python pickle": pickle.dumps({"a": 1}),
    "a Keras file": zipped("metadata.json", "config.json", "model.weights.h5"),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0",
    "a safetensors file": struct.pack("<Q", len(HEADER)) + HEADER,
    "an ONNX file": b"\x08\x07\x12\x07pytorch\x1a\x051.9:\xb5",
    "a TensorFlow Lite file": b"\x1c\0\0\0TFL3\x14\0\x20\0",
    "a zip archive": zipped("yolov3.weights"),
    "a gzip archive": gzip.compress(b"x"),
    "a tar archive": saved("tar"),
    "a 7z archive": b"7z\xbc\xaf'\x1c\0\x04",
    "a NumPy .npy file": saved("npy"),
    "a NumPy .npz file": saved("npz"),
    "a PNG image": saved("PNG"),
    "a JPEG image": saved("JPEG"),
    "a PDF": b"%PDF-1.4\n",
}


@pytest.mark.parametrize("kind", FILES)
def test_what_a_file_is(kind: str, tmp_path: Path) -> None:
    """One line each as cfg, as weights and as any text file of a dataset."""
    assert str(kind_of(FILES[kind][:HEAD])).startswith(kind)
    path = tmp_path / "file"
    path.write_bytes(FILES[kind])
    with pytest.raises(CfgError) as cfg:
        runner.load(path)
    with pytest.raises(WeightsError) as weights:
        runner.load(ROOT / "cfg" / "net.cfg", path)
    with pytest.raises(DataError) as text:
        read_text(path)
    for error in (cfg, weights, text):
        message = str(error.value)
        assert message.startswith(str(path)) and f"this is {kind}" in message and "\n" not in message


@pytest.mark.parametrize("head", [b"", b"[net]\nbatch=1\n", struct.pack("<3iQ", 0, 2, 5, 1000) + bytes(100),
                                  struct.pack("<3iI", 0, 1, 0, 7) + bytes(100), b"data/a.jpg\n", b"0 .5 .5 .1 .1\n"])
def test_what_is_expected_has_no_kind(head: bytes) -> None:
    assert kind_of(head) is None


def test_published_files_have_no_kind() -> None:
    files = [*ROOT.glob("cfg/*.cfg"), *ROOT.glob("cfg/*.weights"), *ROOT.glob("data/**/*.txt")]
    assert files and not [path for path in files if kind_of(path.read_bytes()[:HEAD])]
