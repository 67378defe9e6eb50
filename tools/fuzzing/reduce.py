"""Make a failing input smaller: remove ever smaller chunks while the failure stays the same (Zeller and Hildebrandt,
"Simplifying and isolating failure-inducing input", 2002)."""
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from tools.fuzzing.hunt import Failure, Reader, attempt, filled_folder, limit_memory


def smaller(data: bytes, fails: Callable[[bytes], bool], seconds: float) -> bytes:
    """The smallest input found that still `fails`: first whole lines are removed, then bytes."""
    end = time.monotonic() + seconds
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        data = b"".join(_reduce(lines, lambda parts: fails(b"".join(parts)), end))
    return b"".join(_reduce([data[i:i + 1] for i in range(len(data))], lambda parts: fails(b"".join(parts)), end))


def _reduce(parts: list[bytes], fails: Callable[[list[bytes]], bool], end: float) -> list[bytes]:
    size = max(len(parts) // 2, 1)
    while parts:
        at, shorter = 0, False
        while at < len(parts):
            if time.monotonic() > end:
                return parts
            trial = parts[:at] + parts[at + size:]
            if fails(trial):
                parts, shorter = trial, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(size // 2, 1)
    return parts


def reduce(reader: Reader, failure: Failure, seconds: float = 20.0) -> bytes:
    """The smallest input with the same failure that is found in this time; in a process of its own."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(reader, failure, seconds, theirs))
    process.start()
    theirs.close()
    best, end = failure.data, time.monotonic() + 2 * seconds
    try:
        while mine.poll(max(end - time.monotonic(), 0)):
            best = mine.recv()
    except EOFError:
        pass
    process.kill()
    process.join()
    return best


def _work(reader: Reader, failure: Failure, seconds: float, results: Connection) -> None:
    limit_memory()
    with filled_folder(reader) as folder:
        def fails(data: bytes) -> bool:
            same = attempt(reader, data, folder).where == failure.where
            if same:
                results.send(data)
            return same
        smaller(failure.data, fails, seconds)
