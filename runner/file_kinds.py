"""What a file is, by its first bytes: for files that were given where another kind was expected.

A download that went wrong leaves a web page or a git-lfs pointer under the name of the file; weights of other programs
are renamed to .weights.  `kind_of` gives such a file its name, so that the message need not guess.
"""
import re
from collections.abc import Callable

HEAD = 512      # bytes that are enough for all of these

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself: run `git lfs pull` where it comes from"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\xfd7zXZ\0", "an xz archive: unpack it"),
    (b"BZh", "a bzip2 archive: unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"7767517\n", "an ncnn .param file"),
    (b"404: Not Found", "the text of an HTTP error, 404: Not Found"),
)


def _zip(head: bytes) -> str | None:
    """The name of the first member, at byte 30, distinguishes archives that are files of a program."""
    if head[:2] != b"PK":
        return None
    member = head[30:30 + int.from_bytes(head[26:28], "little")]
    if member.endswith((b"/data.pkl", b".data/version", b"/version", b"/byteorder", b"/.format_version")):
        return "a PyTorch file"
    if member in (b"metadata.json", b"config.json"):
        return "a Keras file"
    if member.endswith(b".npy"):
        return "a NumPy .npz file"
    return "a zip archive: unpack it"


def _web_page(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    page = start.startswith((b"<!doctype html", b"<html", b"<head", b"<script")) or (
        start.startswith((b"<!--", b"<?xml")) and b"<html" in start)
    return "a web page (HTML), not the file itself: the download went wrong" if page else None


def _safetensors(head: bytes) -> str | None:
    """A length of 8 bytes, then a JSON header of that length."""
    return "a safetensors file" if re.match(rb'.{5}\0{3}\{\s*"', head, re.DOTALL) else None


def _onnx(head: bytes) -> str | None:
    """Protobuf: ir_version, then a string field (producer_name) or the next number (a newer file)."""
    return "an ONNX file" if re.match(rb"\x08[\x01-\x20](\x12.[\x20-\x7e]{2}|\x3a|\x42|\x1a|\x22)", head,
                                     re.DOTALL) else None


def _pickle(head: bytes) -> str | None:
    return "a Python pickle, as PyTorch writes it" if re.match(rb"\x80[\x02-\x05][\x8a\x95\x63\x7d\x28\x5d]", head) \
        else None


def _others(head: bytes) -> str | None:
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    return "a tar archive: unpack it" if head[257:262] == b"ustar" else None


_TESTS: tuple[Callable[[bytes], str | None], ...] = (_web_page, _zip, _safetensors, _onnx, _pickle, _others)


def kind_of(head: bytes) -> str | None:
    """The kind of a file that begins with these bytes (HEAD of them are enough), to follow "this is"; None if it is
    none of those above: a .cfg, .weights or list file never is."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return next((kind for test in _TESTS if (kind := test(head))), None)
