"""Inference over very many images: a folder of parts, each with the records of one shard of a list.

    manifest.json       what the records are of: list, network, options; how the list is divided
    part-00017.jsonl    the records of shard 17, one JSON object on each line, in the order of the list

Any number of processes may work in a folder at the same time, on one machine or on several with a shared disk.  They do
not communicate.  Each takes the next shard that has neither a part nor a claim; a claim is a lock (runner/lock.py) with
the name of the part.  A part is written under a temporary name and renamed when it is complete.  So whatever ends a
process, what is lost is the shard it was computing; the same command computes what is missing.

A claim that its owner left behind is taken over by processes that start later, and not by those that were already
running: images that end the process that reads them end one process of a call, not one after the other.
"""
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from runner.errors import DataError, UsageError, counted
from runner.files import SCHEMA_VERSION, atomic_write, json_utf8
from runner.lock import Lock, Owner
from runner.outputs import checksum
from runner.reading.json_text import parse_json, read_json
from runner.reading.numbers import shown, whole
from runner.reading.schema import Record, field
from runner.reading.text import read_text
from runner.shipped import find

MANIFEST = "manifest.json"
RUNNING, COMPLETE = "running", "complete"
SMALLEST, LARGEST, DIVISIONS = 16, 1000, 256     # images of a shard where no size is given, and shards of a list
BUSY = 30.0             # seconds in which another process must have written the manifest
SHOWN = 8               # shards that a message names


class Listed(Record):
    """The list of images."""
    count: int = field(doc="images", low=1)
    sha256: str = field(doc="of the names")
    arguments: list[str] = field(doc="the images as they were named")


class Network(Record):
    """The network, by the content of its files."""
    cfg: str = field(doc="path")
    cfg_sha256: str = field(doc="of that file")
    weights: str = field(doc="path")
    weights_sha256: str = field(doc="of that file")
    classes: list[str] = field(doc="class names; empty where they are numbers")


class Manifest(Record):
    """What all parts of a folder have in common."""
    schema_version: int = field(doc="of this format and of the records", low=1)
    verb: str = field(doc="detect or predict", choices=("detect", "predict"))
    state: str = field(doc="complete when all parts are there", choices=(RUNNING, COMPLETE))
    images: Listed = field(doc="the list")
    network: Network = field(doc="the network")
    options: dict[str, Any] = field(doc="options of the call that the records depend on")
    shard_size: int = field(doc="images of each shard but the last", low=1)
    shards: int = field(doc="parts", low=1)
    errors: int | None = field(None, "when complete: images that could not be read", low=0)


@dataclass(frozen=True)
class Work:
    """What a call computes, to be compared with a manifest."""
    verb: str
    arguments: Sequence[str]
    count: int
    list_digest: str
    cfg: str
    weights: str
    classes: Sequence[str]
    options: Mapping[str, Any]

    def facts(self, shard_size: int) -> dict[str, Any]:
        """The manifest of a new folder."""
        facts = {
            "schema_version": SCHEMA_VERSION, "verb": self.verb, "state": RUNNING,
            "images": {"count": self.count, "sha256": self.list_digest, "arguments": list(self.arguments)},
            "network": {"cfg": self.cfg, "cfg_sha256": checksum(Path(find(self.cfg))), "weights": self.weights,
                        "weights_sha256": checksum(Path(find(self.weights))), "classes": list(self.classes)},
            "options": dict(self.options), "shard_size": shard_size, "shards": -(-self.count // shard_size)}
        copied: dict[str, Any] = parse_json(json_utf8(facts), MANIFEST)       # as it is when it is read again
        return copied


class Complete(NamedTuple):
    """errors: images that could not be read; now: it was this process that found the folder complete."""
    errors: int
    now: bool


def default_size(count: int) -> int:
    """Images of a shard where no size is given: the same for any number of processes."""
    return min(LARGEST, max(SMALLEST, count // DIVISIONS))


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a folder of parts.  DataError where there is none, or one of something else."""
    path = Path(folder) / MANIFEST
    if not path.exists():
        raise DataError(f"{folder}: this is not a folder of parts, as --json-lines writes it: there is no {MANIFEST}")
    value = read_json(path)
    problem = Manifest.problem(value)
    if problem:
        raise DataError(f"{path}: {problem}")
    manifest = Manifest.read(value)
    if manifest.schema_version != SCHEMA_VERSION or manifest.shards != -(-manifest.images.count // manifest.shard_size):
        raise DataError(f"{path}: this manifest is that of another version of the program, or was edited")
    return manifest


class Shards:
    """A folder of parts.

    UsageError where the parts in the folder are of other work, with everything that differs.
    """

    def __init__(self, folder: str | Path, work: Work, size: int | None = None):
        """size: images of a shard; None: that of the manifest, else `default_size`."""
        self.folder, self.count, self.was_complete = Path(folder), work.count, False
        os.makedirs(self.folder, exist_ok=True)
        with self._manifest_lock():
            facts = work.facts(size or default_size(work.count))
            if (self.folder / MANIFEST).exists():
                self._require_same(facts, size)
                self.was_complete = self._reopen()
            else:
                if strange := sorted(path.name for path in self.folder.glob("part-*.jsonl"))[:1]:
                    raise UsageError(f"{self.folder}: {strange[0]} is there, but no {MANIFEST}, which says what it is "
                                     "of. Choose another folder, or move it away")
                self._write(facts)
        self.manifest = read_manifest(self.folder)
        self.total, self.size = self.manifest.shards, self.manifest.shard_size
        self._old = self._claimed()

    def part(self, number: int) -> Path:
        return self.folder / part_name(number)

    def missing(self) -> list[int]:
        """The shards that have no part yet."""
        return missing_parts(self.folder, self.total)

    def range(self, number: int) -> tuple[int, int]:
        """The images of a shard: start, stop."""
        return number * self.size, min((number + 1) * self.size, self.count)

    def take(self) -> Generator[int, None, None]:
        """Claim one shard after the other until all have a part or a claim.  A claim is given up when the next one is
        asked for, or the iterator is closed."""
        for number in self.missing():
            claim = self._claim(number)
            if claim:
                with claim:
                    if not self.part(number).exists():
                        self._remove_leftovers(number)
                        yield number

    def _claim(self, number: int) -> Lock | None:
        if self.part(number).exists() or (number not in self._old and self.claim_file(number).exists()):
            return None
        with suppress(UsageError):
            return Lock(self.folder / f"part-{number:05d}", "--json-lines", wait=0)
        return None

    def write(self, number: int, records: Iterator[Mapping[str, Any]]) -> tuple[int, int]:
        """Write the part of a claimed shard -> images, and how many of them have an error."""
        start, stop = self.range(number)
        errors = 0
        with atomic_write(self.part(number), "w") as file:
            index = start
            for index, record in enumerate(records, start):
                errors += "error" in record
                file.write(line_of(index, record))
            if index != stop - 1:
                raise AssertionError(f"shard {number} has {stop - start} images. Got {index + 1 - start} records")
        return stop - start, errors

    def under_way(self) -> tuple[list[int], dict[int, Owner], list[int]]:
        """The shards without a part: those that a running process of this machine computes; those that another
        machine has claimed, with the owner of the claim; and those whose process has ended."""
        running: list[int] = []
        elsewhere: dict[int, Owner] = {}
        lost: list[int] = []
        for number in self.missing():
            owner = None
            with suppress(DataError):
                owner = Owner.read(read_text(self.claim_file(number)))
            if owner and owner.is_running:
                running.append(number)
            elif owner and not owner.is_here:
                elsewhere[number] = owner
            elif not self.part(number).exists():        # it may have been finished meanwhile
                lost.append(number)
        return running, elsewhere, lost

    def complete(self) -> "Complete | None":
        """Where all parts are there, mark the folder as complete; None where some are missing."""
        if self.missing():
            return None
        found = read_manifest(self.folder)
        if found.state == COMPLETE and found.errors is not None:
            return Complete(found.errors, now=False)
        errors = sum(is_error(line) for number in range(self.total) for line in lines_of_part(self.part(number)))
        with self._manifest_lock():
            now = read_manifest(self.folder).state != COMPLETE
            self._write({**read_json(self.folder / MANIFEST), "state": COMPLETE, "errors": errors})
        return Complete(errors, now)

    def _reopen(self) -> bool:
        """Whether a folder is complete; one that was, and has lost parts since, is no longer marked as such."""
        found = read_manifest(self.folder)
        if found.state == COMPLETE and missing_parts(self.folder, found.shards):
            facts = read_json(self.folder / MANIFEST)
            self._write({key: value for key, value in facts.items() if key != "errors"} | {"state": RUNNING})
            return False
        return found.state == COMPLETE

    def _manifest_lock(self) -> Lock:
        return Lock(self.folder / MANIFEST, "--json-lines", wait=BUSY)

    def _write(self, facts: Mapping[str, Any]) -> None:
        with atomic_write(self.folder / MANIFEST, "w") as file:
            file.write(json_utf8(facts, 1) + "\n")

    def claim_file(self, number: int) -> Path:
        return self.folder / f".part-{number:05d}.lock"

    def _claimed(self) -> set[int]:
        names = (re.fullmatch(r"\.part-([0-9]{5,18})\.lock", name) for name in os.listdir(self.folder))
        return {whole(match[1]) for match in names if match}

    def _remove_leftovers(self, number: int) -> None:
        """The temporary files of a process that was killed while it wrote this part."""
        for path in self.folder.glob(f".{part_name(number)}.*.tmp"):
            path.unlink(missing_ok=True)

    def _require_same(self, facts: Mapping[str, Any], size: int | None) -> None:
        """UsageError with everything in which the manifest of the folder differs from what is asked for."""
        there = read_manifest(self.folder)
        now = Manifest.read(dict(facts))
        wrong = [f"{what}: there {old}, here {new}" for what, old, new, differ in [
            ("verb", there.verb, now.verb, there.verb != now.verb),
            ("images", f"{there.images.count:,} ({' '.join(there.images.arguments)})",
             f"{now.images.count:,} ({' '.join(now.images.arguments)})", there.images.sha256 != now.images.sha256),
            *((name, f"{getattr(there.network, name)} ({getattr(there.network, f'{name}_sha256')[:12]})",
               f"{getattr(now.network, name)} ({getattr(now.network, f'{name}_sha256')[:12]})",
               getattr(there.network, f"{name}_sha256") != getattr(now.network, f"{name}_sha256"))
              for name in ("cfg", "weights")),
            ("class names", shown(there.network.classes), shown(now.network.classes),
             there.network.classes != now.network.classes),
            *((name, shown(there.options.get(name)), shown(now.options.get(name)),
               there.options.get(name) != now.options.get(name))
              for name in dict.fromkeys([*there.options, *now.options])),
            ("images of a shard", there.shard_size, size, size not in (None, there.shard_size)),
        ] if differ]
        if wrong:
            raise UsageError(f"{self.folder}: the parts in this folder are of other work. {'; '.join(wrong)}. Choose "
                             "another folder")


def part_name(number: int) -> str:
    return f"part-{number:05d}.jsonl"


def missing_parts(folder: Path, total: int) -> list[int]:
    """The shards of `total` that have no part in the folder."""
    there = set(os.listdir(folder))
    return [number for number in range(total) if part_name(number) not in there]


def named(numbers: Sequence[int]) -> str:
    """Parts, for messages: the first ones by name."""
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    return ", ".join(map(part_name, numbers[:SHOWN])) + more


def line_of(index: int, record: Mapping[str, Any]) -> str:
    """A record as a line; `error` comes first, so that it is found without parsing."""
    keys = sorted(record, key=lambda key: key != "error")
    value = {"schema_version": SCHEMA_VERSION, "index": index, **{key: record[key] for key in keys}}
    return json_utf8(value) + "\n"


def is_error(line: bytes) -> bool:
    """Whether a line of a part is the record of an image that could not be read."""
    return line.split(b", ", 2)[2].startswith(b'"error": ')


def lines_of_part(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from file


Results = Callable[[Iterator[str], int], Iterator[Mapping[str, Any]]]


def compute(shards: Shards, images: Callable[[int, int], Iterator[str]], results: Results,
            done: Callable[[int, int, int], None] = lambda number, images, errors: None) -> None:
    """Compute and write the shards that are left.

    images   start, stop -> paths
    results  paths, and the number of the first -> their records
    done     called after each part: its number, images, images with an error
    """
    with closing(shards.take()) as numbers:
        for number in numbers:
            start, stop = shards.range(number)
            done(number, *shards.write(number, results(images(start, stop), start)))


def summary(images: int, errors: int) -> str:
    return f"{counted(images, 'image')}, {errors:,} of them could not be read" if errors else counted(images, "image")
