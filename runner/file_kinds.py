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
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"\x7fELF", "a program"),
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
    return "a safetensors file: `import` makes a .weights file from it" if re.match(rb'.{5}\0{3}\{\s*"', head,
                                                                                  re.DOTALL) else None


def _onnx(head: bytes) -> str | None:
    """Protobuf: ir_version, then a string field (producer_name) or the next number (a newer file)."""
    found = re.match(rb"\x08[\x01-\x20](\x12.[\x20-\x7e]{2}|\x3a|\x42|\x1a|\x22)", head, re.DOTALL)
    return "an ONNX file: `import` makes a cfg and its weights from it" if found else None


def _pickle(head: bytes) -> str | None:
    return "a Python pickle, as PyTorch writes it" if re.match(rb"\x80[\x02-\x05][\x8a\x95\x63\x7d\x28\x5d]", head) \
        else None


def _iso_media(head: bytes) -> str | None:
    """ISO base media: the brand distinguishes images from videos."""
    if head[4:8] != b"ftyp":
        return None
    if head[8:12] in (b"avif", b"avis"):
        return "an AVIF image: convert it to JPEG or PNG"
    if head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "a HEIC image: convert it to JPEG or PNG"
    return "a video (MP4)"


def _utf16(head: bytes) -> str | None:
    """Every other byte of ASCII text is 0."""
    text = rb"[\t\n\r\x20-\x7e]"
    return "text in UTF-16 without a byte order mark: save it as UTF-8" \
        if re.match(rb"(?:" + text + rb"\0){8}|(?:\0" + text + rb"){8}", head) else None


def _others(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "a video (AVI)"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    return "a tar archive: unpack it" if head[257:262] == b"ustar" else None


_TESTS: tuple[Callable[[bytes], str | None], ...] = (_web_page, _zip, _safetensors, _onnx, _pickle, _iso_media,
                                                      _utf16, _others)


def kind_of(head: bytes) -> str | None:
    """The kind of a file that begins with these bytes (HEAD of them are enough), to follow "this is"; None if it is
    none of those above: a .cfg, .weights or list file never is."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return next((kind for test in _TESTS if (kind := test(head))), None)


_DOCUMENTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\{\s*\"|\{\s*\}\s*\Z|\[\s*[\[{\"]|\[\s*\]\s*\Z|\[ *-?\d[\d.]*\s*[,\]]"), "a JSON file"),
    (re.compile(r"<\?xml\b|<!--|<[A-Za-z][^>]*>(?=[\s\S]*</)|<[A-Za-z][^>]*/>"), "an XML file"),
    (re.compile(r"(?:[^\n]*\n)*?layers?\s*\{"), "a Caffe .prototxt file"),
    (re.compile(r"(?:---|[A-Za-z_][\w-]*:(?:[ \t][^\n]*)?)\n(?:[^\n]*\n)*?"
                r"(?:names|nc|train|val|backbone|head|anchors|path|layers|model)\s*:"), "a YAML file"),
    (re.compile(r"(?:names|nc|train|val|path)\s*:(?:\s|$)"), "a YAML file"),
)


def document_kind(text: str) -> str | None:
    """The kind of a text that is a document of another format, to follow "this is"; None if it may be a .cfg, or a list
    of paths or class names.  Comments (#) before it are ignored."""
    start = re.sub(r"\A(?:\s*#[^\n]*\n|\s+)*", "", text[:8 * HEAD])
    return next((kind for pattern, kind in _DOCUMENTS if pattern.match(start)), None)
