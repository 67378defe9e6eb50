"""Run a reader on many inputs, in a forked process with limits, and group what fails.

A failure is anything but a result or a RunnerError: another exception, more CPU time or memory than the size of the
input justifies, an error message of more than MESSAGE characters, or the death of the process.  Input k of a seed is
always the same.
"""
import mmap
import multiprocessing
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from runner.errors import RunnerError
from tools.fuzzing.mutate import mutate

MESSAGE = 120_000           # characters of an error message
STUCK = 90.0                # seconds without progress, after which the process is killed
HEADROOM = 3 << 30          # bytes of address space above what the process has when it starts
GROWN = 48 << 20            # bytes of peak memory after which a process is replaced, so that peaks stay visible
PACKAGE = os.sep + "runner" + os.sep


@dataclass(frozen=True)
class Reader:
    """What is fuzzed.

    make     writes a valid input and the files beside it into an empty folder
    file     the file of it that is changed
    read     folder -> reads it
    kind     which changes suit it, a key of MUTATIONS
    seeds    further valid contents of the file
    seconds, memory     CPU time and bytes that are always allowed; for each MB of the input `per_mb` times as much more
    input    replaces the random changes: rng -> an input
    warm     inputs that are read before the first fork, so that kernels are compiled there
    """
    name: str
    make: Callable[[Path], object]
    file: str
    read: Callable[[Path], object]
    kind: str = "text"
    seeds: tuple[bytes, ...] = ()
    seconds: float = 2.0
    memory: int = 160 << 20
    per_mb: float = 6.0
    input: Callable[[random.Random], bytes] | None = None
    warm: int = 0

    def limits(self, size: int) -> tuple[float, int]:
        """Seconds and bytes for an input of this size."""
        times = 1 + self.per_mb * size / 2**20
        return self.seconds * times, int(self.memory * times)


@dataclass(frozen=True)
class Outcome:
    """kind: read, refused or failed; where: the group of a failure, `ValueError @ runner/x.py:function`."""
    kind: str
    where: str = ""
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Failure:
    """A group of failures: how many, the smallest input, and a traceback."""
    where: str
    data: bytes
    detail: str
    count: int = 1
    index: int = 0


@dataclass
class Findings:
    """What a hunt found."""
    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: dict[str, Failure] = field(default_factory=dict)

    def add(self, index: int, where: str, data: bytes, detail: str) -> None:
        known = self.failures.get(where)
        if known is None:
            self.failures[where] = Failure(where, data, detail, 1, index)
            return
        known.count += 1
        if len(data) < len(known.data):
            known.data, known.detail, known.index = data, detail, index


class OutOfTime(BaseException):
    """The limit of CPU time; not an Exception, so that no reader catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """OutOfTime within the block after this much CPU time of the process."""
    over = False

    def stop(*_: Any) -> None:
        if not over:
            raise OutOfTime
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)      # again and again: a `finally` may swallow the first
    try:
        yield
    finally:
        over = True         # the timer may go off once more until it is stopped
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def peak() -> int:
    """The largest resident memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def attempt(reader: Reader, data: bytes, folder: Path) -> Outcome:
    """Read one input; `folder` is one that reader.make has filled."""
    (folder / reader.file).write_bytes(data)
    seconds, memory = reader.limits(len(data))
    used, before = time.process_time(), peak()
    kind, where, detail = "read", "", ""
    try:
        with warnings.catch_warnings(), time_limit(seconds):
            warnings.simplefilter("ignore")
            try:
                reader.read(folder)
            except RunnerError as error:
                kind, text = "refused", str(error)
                if len(text) > MESSAGE:
                    kind, where = "failed", f"MESSAGE @ {_place(error)}"
                    detail = f"{len(text)} characters: {text[:300]}"
    except OutOfTime as error:
        kind, where, detail = "failed", f"TIME @ {_place(error)}", f"more than {seconds:.1f} s\n{_trace(error)}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        kind, where, detail = "failed", f"{type(error).__name__} @ {_place(error)}", _trace(error)
    grown = peak() - before
    if kind != "failed" and grown > memory:
        kind, where, detail = "failed", f"MEMORY {reader.name}", f"{grown >> 20} MB, {memory >> 20} MB allowed"
    return Outcome(kind, where, detail, time.process_time() - used)


def _place(error: BaseException) -> str:
    """The innermost function of the package that an exception went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if PACKAGE in frame.filename] or frames[-1:]
    frame = own[-1]
    return f"{re.sub('.*' + PACKAGE, 'runner/', frame.filename)}:{frame.name}"


def _trace(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error, limit=-12))
    return text if len(text) < 6000 else f"{text[:3000]}\n...\n{text[-3000:]}"


def contents(reader: Reader) -> list[bytes]:
    """The valid inputs a reader starts from."""
    with tempfile.TemporaryDirectory() as folder:
        reader.make(Path(folder))
        return [(Path(folder) / reader.file).read_bytes(), *reader.seeds]


def make_input(reader: Reader, valid: list[bytes], seed: int, index: int) -> bytes:
    """Input `index` of a seed; number 0 is a valid one."""
    rng = random.Random(f"{reader.name}/{seed}/{index}")
    if reader.input:
        return reader.input(rng)
    return valid[0] if index == 0 else mutate(rng, valid, reader.kind)


@contextmanager
def filled_folder(reader: Reader) -> Iterator[Path]:
    """A temporary folder that is also the working directory, with the files of a reader.  It is a deep one: an input
    that names `..` shall not search what others have left beside it."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name, *"abcdefgh")
        folder.mkdir(parents=True)
        reader.make(folder)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def hunt_here(reader: Reader, seed: int, inputs: int) -> Findings:
    """Without a process of its own: for the test suite."""
    found, valid = Findings(), contents(reader)
    with filled_folder(reader) as folder:
        for index in range(inputs):
            data = make_input(reader, valid, seed, index)
            _count(found, attempt(reader, data, folder), index, data)
    return found


def _count(found: Findings, outcome: Outcome, index: int, data: bytes) -> None:
    found.inputs += 1
    found.read += outcome.kind == "read"
    found.refused += outcome.kind == "refused"
    found.slowest = max(found.slowest, outcome.seconds)
    if outcome.kind == "failed":
        found.add(index, outcome.where, data, outcome.detail)


def hunt(reader: Reader, seed: int, inputs: int, seconds: float, progress: Callable[[Findings], None]) -> Findings:
    """Until `inputs` are tried or the time is over; the process is replaced when it dies, is stuck or has grown."""
    found, valid, index = Findings(), contents(reader), 0
    if reader.warm:
        hunt_here(replace(reader, seconds=600), seed, reader.warm)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-"), mmap.mmap(-1, 8) as place:
        while index < inputs and time.monotonic() < end:
            index = _one_process(reader, valid, seed, index, min(inputs, index + 20_000), end, place, found)
            progress(found)
    return found


def _one_process(reader: Reader, valid: list[bytes], seed: int, start: int, stop: int, end: float, place: mmap.mmap,
                 found: Findings) -> int:
    """Run inputs from `start` in a forked process -> the next one."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    struct.pack_into("q", place, 0, start)
    process = context.Process(target=_work, args=(reader, valid, seed, start, stop, end, place, theirs))
    process.start()
    theirs.close()
    at, since, part = start, time.monotonic(), Findings()
    while True:
        try:
            if mine.poll(0.5):
                part = mine.recv()
                continue
        except EOFError:
            process.join()
            break
        now = struct.unpack_from("q", place, 0)[0]
        if now != at:
            at, since = now, time.monotonic()
        elif time.monotonic() - since > STUCK:
            process.kill()
            process.join()
            break
    at = struct.unpack_from("q", place, 0)[0]
    _merge(found, part)
    if process.exitcode == 0:
        return at
    what = "STUCK" if time.monotonic() - since > STUCK else "KILLED"
    data = make_input(reader, valid, seed, at)
    found.inputs += 1
    found.add(at, f"{what} {reader.name}", data, f"input {at}: the process ended with {process.exitcode}")
    return at + 1


def _merge(found: Findings, part: Findings) -> None:
    found.inputs += part.inputs
    found.read += part.read
    found.refused += part.refused
    found.slowest = max(found.slowest, part.slowest)
    for where, failure in part.failures.items():
        found.add(failure.index, where, failure.data, failure.detail)
        found.failures[where].count += failure.count - 1


def limit_memory() -> None:
    """Allow this process HEADROOM bytes more than it has."""
    have = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + HEADROOM, resource.RLIM_INFINITY))


def _work(reader: Reader, valid: list[bytes], seed: int, start: int, stop: int, end: float, place: mmap.mmap,
          results: Connection) -> None:
    """The forked process: everything found so far is sent now and then, and at the end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout = sys.stderr = open(os.devnull, "w")     # the process ends with it
    limit_memory()
    part, first, sent = Findings(), peak(), time.monotonic()
    with filled_folder(reader) as folder:
        for index in range(start, stop):
            struct.pack_into("q", place, 0, index)
            data = make_input(reader, valid, seed, index)
            _count(part, attempt(reader, data, folder), index, data)
            struct.pack_into("q", place, 0, index + 1)
            if time.monotonic() - sent > 1:
                results.send(part)
                sent = time.monotonic()
                if sent > end:
                    break
            if peak() - first > GROWN:
                break
    results.send(part)
    results.close()
