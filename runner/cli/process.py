"""The process of a command: its exit status, signals, and standard streams.

  0    done
  1    the answer is no: `check` found an error, `data` something to fix, `doctor` a problem, `rates` no learning
       rate
  2    it could not be done: bad arguments, a file that is missing or damaged, no memory, a full disk
  130  interrupted, by Ctrl-C or SIGTERM: what was computed so far may be saved, but it is not complete
"""
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

DONE, NO, CANNOT, INTERRUPTED = 0, 1, 2, 130


def open_standard_streams() -> None:
    """Where the caller has closed a standard stream, use the null device: a file that is opened next would get its
    number, and what is printed would be written into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)      # gets the lowest free number, this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM interrupts the command as Ctrl-C does."""
    try:
        before = signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:      # not the main thread, which alone receives signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def discard_output() -> None:
    """Drop what could not be written to stdout, so that Python does not try again, and complain, when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def status_of(returncode: int) -> int:
    """The exit status for that of a process that was started: of one that was ended by a signal, 130."""
    return INTERRUPTED if returncode < 0 else returncode
