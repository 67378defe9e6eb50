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
from runner.cli import main
from runner.datasets.lists import read_lines
from runner.errors import CfgError, DataError, WeightsError
from runner.file_kinds import HEAD, document_kind, kind_of
from runner.images import read_image
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
    "a safetensors file: `import` makes a .weights file from it": struct.pack("<Q", len(HEADER)) + HEADER,
    "an ONNX file: `import` makes a cfg and its weights from it": b"\x08\x07\x12\x07pytorch\x1a\x051.9:\xb5",
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


# --- documents, and files given as images ------------------------------------------------------------------------


DOCUMENTS = {
    "a JSON file": ['{"images": []}', "{}", '[\n {"a": 1},\n {"a": 2}\n]', "[1, 2]", '# comment\n{"a": 1}'],
    "an XML file": ['<?xml version="1.0"?>\n<annotation/>', "<annotation>\n<size></size>", "<svg/>"],
    "a YAML file": ["# model\nnc: 80\nbackbone:\n  [[-1, 1, Conv, [64]]]\n", "train: a\nval: b\nnames: [a]\n",
                    "---\nnames:\n- a\n"],
    "a Caffe .prototxt file": ['name: "net"\nlayer {\n  type: "Input"\n}\n', "layers {\n}"],
}


@pytest.mark.parametrize("kind, text", [(kind, text) for kind, texts in DOCUMENTS.items() for text in texts])
def test_a_document_given_as_cfg_list_or_names(kind: str, text: str, tmp_path: Path) -> None:
    assert document_kind(text) == kind
    (tmp_path / "a.cfg").write_text(text)
    net, report = runner.check(tmp_path / "a.cfg")
    assert net is None and report.errors == [f"{tmp_path}/a.cfg: not a .cfg file: this is {kind}"] and report.count == 1
    with pytest.raises(DataError, match=f"this is {kind}, not lines of text"):
        list(read_lines(tmp_path / "a.cfg"))


@pytest.mark.parametrize("text", [
    "[net]\nwidth=3\n", " [net]", "[network]\n", "# names: a\n[net]\n", "cat\ndog\n", "<unk>\n<pad>\nthe\n", "{\n}\n~",
    "C:\\data\\1.png\n", "data/1.png\n", "person: adult\n", "classes=2\ntrain=a\n", "[\n", "-1\n", "", "path\nnames\n"])
def test_texts_that_are_none(text: str) -> None:
    assert document_kind(text) is None


def test_check_of_a_file_of_another_kind_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_bytes(FILES["a git-lfs pointer"])
    assert main(["check", str(tmp_path / "a.cfg")]) == 1
    assert capsys.readouterr().out.endswith("a.cfg: 1 error\n")


def test_text_in_utf16_without_a_mark() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert kind_of("[net]\nbatch=1\n".encode(encoding)) == ("text in UTF-16 without a byte order mark: save it as "
                                                                "UTF-8")


@pytest.mark.parametrize("kind, content", [
    ("a git-lfs pointer", FILES["a git-lfs pointer"]), ("a web page", FILES["a web page"]), ("a PDF", b"%PDF-1.7\n"),
    ("a zip archive", zipped("a.png")), ("a JSON file", b'{"message": "Not Found"}'),
    ("an XML file", b"<?xml version='1.0'?><Error>AccessDenied</Error>"), ("a video (MP4)", b"\0\0\0\x18ftypisom\0\0"),
    ("a video (AVI)", b"RIFF\0\0\0\0AVI LIST"), ("a HEIC image", b"\0\0\0\x18ftypheic\0\0"),
    ("a video (Matroska", b"\x1aE\xdf\xa3\x93B"), ("a PyTorch file", FILES["a PyTorch file"])])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_another_file_given_as_an_image_is_named(kind: str, content: bytes, channels: int, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_image(tmp_path / "a.jpg", channels)
    assert str(raised.value).startswith(f"{tmp_path}/a.jpg: not an image: this is {kind}")


def test_an_image_that_is_cut_off_is_not_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved("png")[:12])
    with pytest.raises(DataError, match="the image is truncated or damaged"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="this is not an image in any known format"):
        read_image(tmp_path / "b.jpg")
