"""Files that a command writes: never over a file that it reads, nor over one that this program did not write.

A file named by an option (--json, --save) may exist where it is recognisably ours: by its form, or by a mark in it.
In a folder (--save, --txt of `detect`) a list, .cfgrunner, has the checksums of what was written into it: labels
that were corrected since are the user's.
"""
import contextlib
import hashlib
import itertools
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from runner.errors import DataError, UsageError
from runner.files import naming
from runner.reading.image_files import open_image
from runner.reading.text import read_text

MARK = "cfgrunner"      # in images, as the software that wrote them
SOFTWARE = 305          # the number of that field in EXIF
LIST = ".cfgrunner"     # in a folder: what this program wrote into it
SHOWN = 5               # of the files in the way


def _image(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return MARK in (image.getexif().get(SOFTWARE), image.info.get("Software"), _text(image.info.get("comment")))
    except Exception:       # not an image, or a damaged one: decoders raise anything
        return False


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _chart(path: Path) -> bool:
    """An image, or the SVG or PDF of a chart."""
    return _image(path) or _contains(path, rb"\A<\?xml.*<dc:title>cfgrunner</dc:title>|\A%PDF.*/Creator \(cfgrunner\)")


def _contains(path: Path, pattern: bytes, length: int = -1) -> bool:
    with open(path, "rb") as file:
        return bool(re.search(pattern, file.read(length), re.DOTALL))


def _model(path: Path) -> bool:
    """A model or arrays that `export` has written."""
    if path.suffix.lower() == ".npz":           # the comment of the archive, at its end
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - len(MARK)))
            return file.read() == MARK.encode()
    return _contains(path, MARK.encode(), 64 if path.suffix.lower() == ".onnx" else 1 << 16)


PAGE = (rb'\A<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>[^\n]*\n'
        rb'<meta name="(viewport|generator)"')
# what a file contains -> whether one is ours
OURS: dict[str, Callable[[Path], bool]] = {
    "image": _image,
    "chart": _chart,
    "JSON": lambda path: _contains(path, rb'\A(\[\]|\{\}|\[\n [{\["]|\{\n ")', 8),      # indented as console.write_json
    "log": lambda path: _contains(path, rb'\A\{"event": "', 16),
    "table": lambda path: _contains(path, rb"\Aimage,(frame,)?class_id,name,confidence,", 64),
    "merged": lambda path: OURS["JSON"](path) or OURS["table"](path) or _contains(     # of `merge`
        path, rb"\Aimage,rank,class_id,name,(probability|value)", 64),
    "tracks": lambda path: _contains(path, rb"\A\d+,\d+(,-?\d+\.\d\d){4},\d+\.\d{6},-1,-1,-1\n", 256),
    "errors": lambda path: _contains(      # of `test --wrong`
        path, rb"\Aimage,(truth,predicted,probability,|label,error,probability\b|error,truth,predicted,)", 64),
    "model": _model,
    "page": lambda path: _contains(path, PAGE, 4096),
}


def mark(image_format: str) -> dict[str, object]:
    """What Pillow's save is given so that the image is recognised as ours."""
    if image_format == "GIF":
        return {"comment": MARK.encode()}
    exif = Image.Exif()
    exif[SOFTWARE] = MARK
    return {"exif": exif}


def chart_mark(file_format: str) -> dict[str, str]:
    """Likewise, of matplotlib's savefig."""
    return {"Title" if file_format == "svg" else "Creator" if file_format == "pdf" else "Software": MARK}


def obstacle(path: str | Path, content: str, inputs: Iterable[str | Path]) -> str:
    """Why a file must not be written, "" where it may be.

    content  what will be in it, a key of OURS; "folder": the path is that of a folder
    inputs   what the command reads
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""               # it does not exist; or writing it will say what is wrong
    if content == "folder":
        return "" if stat.S_ISDIR(mode) else f"{path}: this is a file, not a folder"
    if stat.S_ISDIR(mode):
        return f"{path}: this is a folder"
    if not stat.S_ISREG(mode):
        return ""               # /dev/null, a pipe
    for given in inputs:
        if _same(given, path):
            return f"{path}: this command reads this file. Choose another name"
    if not path.stat().st_size or OURS[content](path):
        return ""
    return f"{path}: there is a file that this program did not write. Choose another name, or move it away"


def _same(given: str | Path, path: Path) -> bool:
    try:
        return os.path.samefile(given, path)
    except (OSError, ValueError):
        return False


class OutputFolder:
    """A folder into which files are written beside others.

    option   its name in messages
    inputs   files the command reads; `file#3` is read from `file`
    """

    def __init__(self, option: str, path: str | Path, inputs: Sequence[str] = ()):
        self.option, self.path = option, Path(path)
        self._inputs: set[tuple[int, int]] = set()
        for given in inputs:
            for name in (given, given.rpartition("#")[0]):
                with contextlib.suppress(OSError, ValueError):
                    found = os.stat(name)
                    self._inputs.add((found.st_dev, found.st_ino))
                    break
        self._sums: dict[str, set[str]] = {}
        self._read_list()

    def _read_list(self) -> None:
        with contextlib.suppress(DataError):
            for line in read_text(self.path / LIST, latin1=True).split("\n"):
                checksum, _, name = line.partition("  ")
                self._sums.setdefault(name, set()).add(checksum)

    def require_free(self, names: Iterable[str]) -> None:
        """UsageError where one of these names is that of an input, or of a file that is not ours."""
        wrong = [text for name in names if (text := self._obstacle(name))]
        if wrong:
            more = f" and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
            raise UsageError(f"{self.option} would replace {', '.join(wrong[:SHOWN])}{more}. Choose another folder")

    def _obstacle(self, name: str) -> str:
        path = self.path / name
        try:
            found = path.stat()
        except OSError:
            return ""
        if (found.st_dev, found.st_ino) in self._inputs:
            return f"{path} (an input)"
        found_sum = checksum(path)
        if found_sum not in self._sums.get(_listed(name), ()):
            self._read_list()       # another process may have written it
        return "" if found_sum in self._sums.get(_listed(name), ()) else f"{path} (not written, or changed since)"

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """The path of a temporary file, with the extension of `name`, that is renamed to it at the end.  A name may be
        in a folder: dog/a.png.

        UsageError as in `require_free`.
        """
        self.require_free([name])
        self.path.mkdir(parents=True, exist_ok=True)
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, text = tempfile.mkstemp(prefix=f".{place.name}.", suffix=f".tmp{place.suffix}", dir=place.parent)
        os.close(handle)
        temporary = Path(text)
        try:
            with naming(place):
                yield temporary
            self._record(name, checksum(temporary))
            now = os.umask(0)
            os.umask(now)
            temporary.chmod(0o666 & ~now)
            os.replace(temporary, place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _record(self, name: str, value: str) -> None:
        """Before the file is renamed: the old one and the new one are both ours then."""
        listed = _listed(name)
        if value in self._sums.get(listed, ()):
            return
        with naming(self.path / LIST), open(self.path / LIST, "a", encoding="utf-8") as file:
            file.write(f"{value}  {listed}\n")
        self._sums.setdefault(listed, set()).add(value)


def _listed(name: str) -> str:
    """A file name as the list has it, on one line: control characters and bytes that are not UTF-8 escaped."""
    return UNLISTED.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), name)


UNLISTED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')        # in names of files, on some system


def file_stem(text: str) -> str:
    """A text, such as a class name, as the stem of a file or the name of a folder on any system."""
    name = UNSAFE.sub("_", text).rstrip(". ")
    return f"_{name}" if not name or name.startswith(".") else name


def unique_name(name: str, used: set[str]) -> str:
    """The name, with a number where it is in `used`, dog-2; names that differ in case only are the same.  It is added
    there."""
    names = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
    found = next(one for one in names if one.casefold() not in used)
    used.add(found.casefold())
    return found


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
