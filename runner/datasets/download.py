"""Downloading: a file is resumed, checked, and either complete or not there.

A file grows as `name.part`; when a connection breaks, or the program is stopped, the next attempt continues from there
if the server supports it (HTTP Range), else from the start.  Only a file with the right checksum gets its name.
"""
import hashlib
import http.client
import os
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from runner import __version__
from runner.errors import DataError
from runner.files import atomic_write
from runner.reading.numbers import is_whole, whole

BLOCK = 1 << 16
TRIES, PAUSE, TIMEOUT = 4, 1.0, 30.0       # attempts per address; seconds between them; seconds without an answer
Progress = Callable[[str, int, int], None]      # file, bytes so far, bytes in all or 0 where unknown


class Broken(Exception):
    """A failed attempt: the reason, and whether another one may succeed."""

    def __init__(self, why: str, again: bool):
        super().__init__(why)
        self.again = again


def fetch(addresses: Iterable[str], target: Path, checksum: str = "", progress: Progress = lambda *_: None) -> None:
    """Download a file from the first address that has it.  DataError with the answer of each address.

    The part left by an interrupted download is used.  checksum: an md5 or a sha256; "": only the length that the server
    states is checked.
    """
    kind = "sha256" if len(checksum) == 64 else "md5"
    if target.exists() and (not checksum or digest(target, kind) == checksum):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part, answers = target.with_name(target.name + ".part"), []
    for address in addresses:
        for attempt in range(TRIES):
            try:
                _try(address, part, progress)
                found = digest(part, kind) if checksum else ""
                if found != checksum:
                    part.unlink()       # wrong from some byte on: none of it can be trusted
                    raise Broken(f"the checksum is wrong: the {kind} is {found}, and {checksum} is published",
                                 attempt == 0)
                os.replace(part, target)
                return
            except Broken as broken:
                if not broken.again or attempt == TRIES - 1:
                    answers.append(f"{address}: {broken}")
                    break
                time.sleep(PAUSE * 2**attempt)
    kept = f"\n{part.stat().st_size:,} bytes are kept: the same command continues from there" if part.exists() else ""
    raise DataError("\n".join([f"{target.name} cannot be downloaded:", *answers]) + kept)


def _try(address: str, part: Path, progress: Progress) -> None:
    """One connection: append the missing bytes to `part`, or write all of it."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": f"cfgrunner/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            start, total = _offset_and_length(answer, have)
            with open(part, "r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                _copy(answer, file, start, total, lambda done: progress(part.name.removesuffix(".part"), done, total))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:      # nothing after what we have: it is complete, or another file
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
            raise Broken("the partial file is longer than the file", True) from None
        raise Broken(f"the server answers {error.code} {error.reason}", error.code >= 500) from None
    except urllib.error.URLError as error:
        raise Broken(f"no connection ({error.reason})", True) from None
    except (OSError, http.client.HTTPException) as error:       # an error of the local file has a file name
        if getattr(error, "filename", None):
            raise
        raise Broken(f"the connection broke ({error or type(error).__name__})", True) from None


def _offset_and_length(answer: Any, have: int) -> tuple[int, int]:
    """-> the offset in the file of the bytes of the answer, and the length of the file; 0 where it is not known."""
    if answer.status == 206:
        match = re.match(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18})", answer.headers.get("Content-Range", ""))
        if not match or whole(match[1]) != have:
            raise Broken("the server sends another part than the one asked for", False)
        return have, whole(match[2])
    length = answer.headers.get("Content-Length", "")
    return 0, whole(length) if is_whole(length) else 0


def _copy(answer: Any, file: IO[bytes], done: int, total: int, progress: Callable[[int], None]) -> None:
    while block := answer.read(BLOCK):
        file.write(block)
        done += len(block)
        progress(done)
    file.flush()
    os.fsync(file.fileno())
    if done < total:
        raise Broken(f"the connection ended after {done:,} of {total:,} bytes", True)


def digest(path: Path, kind: str = "md5") -> str:
    """The md5 or sha256 of a file, as published by the authors; an md5 detects accidents, not attacks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def unpack(archive: Path, into: Path) -> None:
    """Extract a .tar.gz or .zip, without the outer folder that contains all files.  DataError for a damaged archive, or
    one that would write outside `into`."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                members = {info.filename: info for info in packed.infolist() if not info.is_dir()}
                for name, path in _inside(archive, members, into).items():
                    with packed.open(members[name]) as source:
                        _write(source, path)
        else:
            with tarfile.open(archive, "r:gz") as tar:
                files = {info.name: info for info in tar if info.isfile()}
                for name, path in _inside(archive, files, into).items():
                    content = tar.extractfile(files[name])
                    assert content is not None
                    _write(content, path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.filename and str(error.filename) != str(archive):
            raise
        raise DataError(f"{archive}: the archive is damaged ({error}). Delete it and download it again") from None


def _inside(archive: Path, names: Iterable[str], into: Path) -> dict[str, Path]:
    """The target path of each file of an archive."""
    parts = {name: PurePosixPath(name).parts for name in names}
    for name, where in parts.items():
        if name.startswith(("/", "\\")) or ".." in where or ":" in name:
            raise DataError(f"{archive}: the archive would write outside of its folder ({name!r}): it is not unpacked")
    first = {where[0] for where in parts.values()}
    shared = len(first) == 1 and all(len(where) > 1 for where in parts.values())
    return {name: into.joinpath(*where[shared:]) for name, where in parts.items()
            if where[-1] not in (".DS_Store",) and "__MACOSX" not in where}


def _write(source: IO[bytes], path: Path) -> None:
    with atomic_write(path) as file:
        shutil.copyfileobj(source, file, BLOCK)
