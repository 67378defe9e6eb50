"""A lock on a folder: one process at a time writes into it.

The lock of weights/net is the file weights/.net.lock, beside the folder, so that it stays where it is when the folder
is renamed.  It has two parts.  The operating system locks the open file for as long as the process lives, and unlocks
it when the process ends in any way.  The text in the file names the owner: for messages, and where the file system
cannot lock files.  A file that a killed process left behind is recognised: the operating system does not hold it, and
its owner is not running: there is no such process, or it started at another time, or the machine has been started again
since.  The lock of another machine cannot be checked, so it is refused, and the message says which file to delete.

A process may lock a folder more than once; the last release unlocks it.
"""
import contextlib
import errno
import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.errors import UsageError

WAIT, PAUSE = 2.0, 0.02         # seconds a lock may be busy without a running owner: another process looks at it
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}
FAR = 1 << 30                   # the byte that is locked on Windows: beyond the text, which others then can read


@dataclass(frozen=True)
class Owner:
    """Who has a lock: what its file says.  started: when the process was started, as the system writes it; boot: the
    start of the machine; since: when it was locked.  The last three may be ""."""
    pid: int
    host: str
    boot: str
    started: str
    since: str

    @classmethod
    def current(cls) -> "Owner":
        return cls(os.getpid(), platform.node(), _boot(), _started(os.getpid()) or "",
                   datetime.now().astimezone().isoformat(timespec="seconds"))

    @classmethod
    def read(cls, text: str) -> "Owner | None":
        """None where the text names no owner, as that of a process that was killed while it wrote."""
        try:
            facts: Any = json.loads(text)
            return cls(int(facts["pid"]), *(str(facts[name]) for name in ("host", "boot", "started", "since")))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine; a container has a name of its own."""
        return self.host == platform.node() or (bool(self.boot) and self.boot == _boot())

    @property
    def is_running(self) -> bool:
        """Whether it is a process of this machine that is running."""
        started = _started(self.pid) if self.is_here and self.boot == _boot() else None
        return started is not None and started == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since.replace('T', ' ')[:16]}"


class Lock:
    """The lock of a folder, which need not exist.  Use `with`, or release it; garbage collection does not.

    UsageError where another process has it.
    """

    def __init__(self, folder: str | Path, option: str = "--name", wait: float | None = None):
        """option: the one that chooses another folder, for messages.  wait: seconds until a lock that is busy is
        refused; None: at once where its owner is running, else WAIT."""
        self.folder = Path(folder)
        self._held: list[str] = []
        try:
            for path in lock_files(self.folder):
                _acquire(path, self.folder, option, wait)
                self._held.append(path)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Unlock.  May be called more than once."""
        while self._held:
            _release(self._held.pop())

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def lock_files(folder: Path) -> Sequence[str]:
    """The files that lock a folder: that of its name and, where this is a symbolic link, that of its target."""
    given = os.path.abspath(folder)
    places = [os.path.join(os.path.realpath(os.path.dirname(given)), os.path.basename(given)), os.path.realpath(given)]
    return [_beside(place) for place in dict.fromkeys(places)]


def _beside(place: str) -> str:
    """The lock file of a real path.  It is in the folder where the folder around it cannot be written, and the folder
    cannot be renamed either."""
    parent, name = os.path.split(place)
    if os.path.isdir(place) and not os.access(parent, os.W_OK):
        return os.path.join(place, ".lock")
    return os.path.join(parent, f".{name}.lock")


def require_free(folder: Path) -> None:
    """UsageError where a running process of this machine has the lock.  Takes no lock, and writes nothing: a program
    can refuse early, before it reads its data."""
    for path in lock_files(folder):
        owner = _owner(path)
        if owner and owner.is_running and owner.pid != os.getpid():
            raise UsageError(_refusal(folder, path, owner))


# --- the locks of this process ----------------------------------------------------------------------------------------

@dataclass
class _Entry:
    file: int       # descriptor
    pid: int        # a forked process has the entries of its parent, but not its locks
    count: int = 1


_entries: dict[str, _Entry] = {}
_entries_lock = threading.RLock()


def _acquire(path: str, folder: Path, option: str, wait: float | None) -> None:
    with _entries_lock:
        entry = _entries.get(path)
        if entry and entry.pid == os.getpid():
            entry.count += 1
        else:
            _entries[path] = _Entry(_open_locked(path, folder, option, wait), os.getpid())


def _release(path: str) -> None:
    with _entries_lock:
        entry = _entries.get(path)
        if entry is None or entry.pid != os.getpid():
            return
        entry.count -= 1
        if entry.count:
            return
        del _entries[path]
        try:
            if os.name == "nt":     # an open file cannot be deleted; without a text it is free
                os.truncate(entry.file, 0)
            elif _is_file(entry.file, path):
                os.unlink(path)
        except OSError:
            pass                    # a folder that has become read-only: the text names a process that has ended
        finally:
            os.close(entry.file)
        if os.name == "nt":
            with contextlib.suppress(OSError):
                os.unlink(path)


def _open_locked(path: str, folder: Path, option: str, wait: float | None) -> int:
    """Open and lock the file, and write the owner into it -> descriptor.  UsageError where another process has it."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(folder)) from None
    deadline = time.monotonic() + (WAIT if wait is None else wait)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(file)
            if locked is not False and _is_file(file, path):        # not one that its owner has deleted meanwhile
                return _claim(file, path, folder, option, checked=locked is True)
            owner = _owner(path)
            if locked is False and (time.monotonic() > deadline or (wait is None and owner and owner.is_running)):
                raise UsageError(_refusal(folder, path, owner, option))
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        time.sleep(PAUSE)


def _claim(file: int, path: str, folder: Path, option: str, checked: bool) -> int:
    """Write the owner into a file that no other process has locked.  checked: the operating system says so."""
    text = os.read(file, 4096).decode(errors="replace")
    owner, me = Owner.read(text), Owner.current()
    if text and not text.startswith(_text(me)[:7]) and not _text(me).startswith(text):
        raise UsageError(f"{path}: this file would be the lock of {folder}, but it has another content. Move it away, "
                         f"or choose another folder with {option}")
    # a text of this process: it could not delete the file.  Of another host: a container, whose processes are not seen
    if owner and ((owner.is_running and owner.pid != me.pid) or not owner.is_here or
                  (owner.host != me.host and not checked)):
        raise UsageError(_refusal(folder, path, owner, option))
    try:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, _text(me).encode())
        os.fsync(file)
    except OSError:         # a full disk
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    if not checked:         # two processes may have written: the later one has it
        time.sleep(10 * PAUSE)
        if _owner(path) != me:
            raise UsageError(_refusal(folder, path, _owner(path), option))
    return file


def _text(owner: Owner) -> str:
    return json.dumps({"pid": owner.pid, "host": owner.host, "boot": owner.boot, "started": owner.started,
                       "since": owner.since}) + "\n"


def _refusal(folder: Path, path: str, owner: Owner | None, option: str = "--name") -> str:
    who = f" ({owner})" if owner else ""
    if owner and not owner.is_here:
        return (f"{folder}: a run of another machine writes into this folder{who}. If it has ended, delete {path}; "
                f"else choose another folder with {option}")
    return (f"{folder}: another run writes into this folder{who}. Wait until it has ended, or choose another folder "
            f"with {option}")


# --- the operating system ---------------------------------------------------------------------------------------------

def _lock(file: int) -> bool | None:
    """Lock an open file, without waiting -> whether it was free; None where the file system cannot lock files."""
    try:
        if os.name == "nt":
            import msvcrt
            os.lseek(file, FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)        # type: ignore[attr-defined]
            os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in UNSUPPORTED else False
    return True


def _is_file(file: int, path: str) -> bool:
    """Whether an open file is the one at this path."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _owner(path: str) -> Owner | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return Owner.read(file.read(4096))
    except OSError:
        return None


def _boot() -> str:
    """What identifies the start of this machine; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process was started, as the system writes it; None where it is not running, or the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = stat.rpartition(")")[2].split()        # the name before it may contain anything
        return None if state in "ZX" else fields[18]            # the time in ticks; a zombie has ended
    except OSError:
        if os.name == "nt" or os.path.isdir("/proc/self"):
            return None
    try:
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return " ".join(answer.stdout.split()) or None
