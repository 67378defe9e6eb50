"""How kernels are compiled: by numba at the first call, without the interpreter lock, and cached on disk.

The compiled code is kept in `__pycache__` next to the source, or in the user's cache folder where that is not writable.
It is valid as long as no file of this folder changes, because kernels of one file are inlined into those of others.
"""
import contextlib
import glob
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import extending
from numba.core import caching, event, sigutils
from numba.core.ccallback import CFunc

STAMP = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py")))).hexdigest()

REORDERED = {"reassoc", "contract", "arcp", "nsz"}      # LLVM's fast-math flags, without those that assume no NaN

on_first_compilation: Callable[[], None] | None = None      # called once per process, before the first compilation


def compiled(function: Callable) -> Any:
    """Decorator of a kernel.  Sums may be reordered, so that they run in vector registers, but the order is fixed once
    it is compiled; NaN and infinity keep their meaning."""
    return _compiled(function, REORDERED)


def compiled_exactly(function: Callable) -> Any:
    """Decorator of a kernel that rounds where it is written, as NumPy does: it gives the reference's bits."""
    return _compiled(function, False)


class _CacheFile(caching.IndexDataCacheFile):
    """The cache of a kernel on disk.  Numba's own compares only the age of the kernel's file; it numbers the files of
    compiled code and lists them before it writes them, so that a killed process, or two at once, can leave a list that
    names other code.  Here the name says what the code was made of, and the list is written last.  What cannot be read
    is compiled again."""

    def save(self, key: Any, data: Any) -> None:
        index = self._load_index()
        base = self._index_name.removesuffix(".nbi")
        name = f"{base}.{STAMP[:12]}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        if not index:       # the code of other versions
            for path in Path(self._cache_path).glob(f"{glob.escape(base)}.*.nbc"):
                if not path.name.startswith(f"{base}.{STAMP[:12]}-"):
                    path.unlink(missing_ok=True)
        self._save_data(name, data)
        self._save_index({**index, key: name})

    def _load_index(self) -> dict[Any, str]:
        try:
            return dict(super()._load_index())
        except Exception:       # whatever damaged bytes raise when they are unpickled
            return {}

    def _load_data(self, name: str) -> Any:
        try:
            return super()._load_data(name)
        except Exception as error:
            raise OSError(f"{name}: damaged") from error        # numba takes it for a missing file


def _keep_safely(kernel: Any) -> None:
    """Use this cache for a kernel.  Where it cannot be written, on a full disk, the kernel is used all the same."""
    try:
        cache = kernel._cache
        file = cache._cache_file
        cache._cache_file = _CacheFile(file._cache_path, file._index_name.removesuffix(".nbi"), STAMP)
        save = cache.save_overload
    except AttributeError:      # another version of numba
        return

    def save_overload(signature: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            save(signature, data)
    cache.save_overload = save_overload


def _compiled(function: Callable, fastmath: set[str] | bool) -> Any:
    settings: dict[str, Any] = dict(nogil=True, fastmath=fastmath, error_model="numpy")
    try:
        kernel = numba.njit(cache=True, **settings)(function)
    except RuntimeError:        # no folder is writable: compiled again in every process
        return numba.njit(**settings)(function)
    _keep_safely(kernel)
    return kernel


def cache_folder() -> str | None:
    """Where compiled kernels are kept; None: no folder is writable."""
    cache = getattr(compiled(_nothing), "_cache", None)
    return getattr(cache, "cache_path", None)


def _nothing() -> None:
    """A kernel to ask for its cache."""


_entries: list[CFunc] = []


def entry(function: Callable, signature: Any, reordered: bool = False) -> int:
    """The address of a function compiled for this signature, to be called by address: its callers are compiled without
    it, so a large function with many callers is compiled once.  reordered: sums as in `compiled`, else as written."""
    options: dict[str, Any] = {"nopython": True}
    if reordered:
        options |= {"fastmath": REORDERED, "error_model": "numpy"}
    made: Any = CFunc(function, sigutils.normalize_signature(signature), locals={}, options=options)
    try:
        made.enable_caching()
        _keep_safely(made)
    except RuntimeError:
        pass
    made.compile()
    _entries.append(made)
    return int(made.address or 0)


def inlined(function: Callable) -> Any:
    """Decorator of a function that is inlined into the kernels calling it: a call that passes arrays costs as much as
    copying some dozens of values."""
    return numba.njit(inline="always")(function)


def intrinsic(function: Callable) -> Any:
    """Decorator of a microkernel: numba's `intrinsic`, whose calls a type checker takes for calls of the function."""
    return extending.intrinsic(function)


class _Listener(event.Listener):
    def on_start(self, event: Any) -> None:
        global on_first_compilation
        if on_first_compilation is not None:
            callback, on_first_compilation = on_first_compilation, None
            callback()

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Listener())
