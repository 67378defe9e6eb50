"""How a kernel is compiled: by numba at its first call, without the interpreter lock, and kept on disk.

The compiled code lies in `__pycache__` beside the source, or in the user's cache folder where that cannot be written.
It is used again as long as the files of this folder stay the same: kernels of one call into those of another.
"""
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event, sigutils
from numba.core.ccallback import CFunc

STAMP = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py")))).hexdigest()

tell: Callable[[], None] | None = None      # called once, before the first compilation of this process


def compiled(function: Callable) -> Any:
    """Decorator of a kernel.  Sums may be taken in another order, so that they run in vector registers, but in one
    that is fixed once it is compiled; nan and infinity keep their meaning."""
    return _compiled(function, {"reassoc", "contract", "arcp", "nsz"})


def compiled_exactly(function: Callable) -> Any:
    """Decorator of a kernel that rounds where it is written, as NumPy does: it gives the reference's bits."""
    return _compiled(function, False)


def _compiled(function: Callable, freedom: set[str] | bool) -> Any:
    settings: dict[str, Any] = dict(nogil=True, fastmath=freedom, error_model="numpy")
    try:
        kernel = numba.njit(cache=True, **settings)(function)
    except RuntimeError:        # no folder can be written: compiled anew in every process
        return numba.njit(**settings)(function)
    try:        # numba itself asks only how old the kernel's own file is
        kernel._cache._cache_file._source_stamp = STAMP
    except AttributeError:
        pass
    return kernel


_entries: list[CFunc] = []


def entry(function: Callable, signature: Any) -> int:
    """The address of a function compiled for this signature.  Who calls it by its address is compiled without it: a
    large function called from many places is compiled once only."""
    made: Any = CFunc(function, sigutils.normalize_signature(signature), locals={}, options=dict(nopython=True))
    try:
        made.enable_caching()
        made._cache._cache_file._source_stamp = STAMP
    except (RuntimeError, AttributeError):
        pass
    made.compile()
    _entries.append(made)
    return int(made.address or 0)


def inlined(function: Callable) -> Any:
    """Decorator of a short part of kernels, written into each of them: a call with arrays costs as much as moving some
    dozens of values."""
    return numba.njit(inline="always")(function)


class _Listener(event.Listener):
    def on_start(self, event: Any) -> None:
        global tell
        if tell is not None:
            say, tell = tell, None
            say()

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Listener())
