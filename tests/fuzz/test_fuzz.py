"""A small budget of what tools/fuzz.py does, and every input that once broke a reader."""
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner import ops
from tools.fuzzing import mutate, reduce
from tools.fuzzing.hunt import Findings, Reader, attempt, filled_folder, hunt, hunt_here
from tools.fuzzing.readers import readers

READERS = readers()
CORPUS = Path(__file__).parent / "corpus"
# in this suite; network-fast takes the time of its kernels, and a report that of its charts
INPUTS = {**dict.fromkeys(READERS.keys() - {"keras-lists"}, 60), "set": 150, "tree": 150, "network": 150,
          "network-fast": 8, "weights": 150, "names": 150, "text": 150, "report": 12, "report-log": 12}


def described(found: Findings) -> str:
    return "\n".join(f"{failure.where}: {failure.data[:200]!r}\n{failure.detail}"
                     for failure in found.failures.values())


@pytest.fixture(autouse=True)
def plain_backend() -> Iterator[None]:
    """No kernels are compiled while time is limited."""
    before = ops.backend()
    ops.use("numpy")
    yield
    ops.use(before)


@pytest.mark.parametrize("name", INPUTS)
def test_changed_inputs_are_read_or_refused(name: str) -> None:
    reader = replace(READERS[name], seconds=600) if READERS[name].warm else READERS[name]
    found = hunt_here(reader, seed=0, inputs=INPUTS[name])
    assert not found.failures, described(found)
    assert found.inputs == INPUTS[name] and found.read + found.refused == found.inputs


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_reader(path: Path) -> None:
    reader = READERS[path.parent.name]
    with filled_folder(reader) as folder:
        outcome = attempt(reader, path.read_bytes(), folder)
    assert outcome.kind != "failed", outcome


def breaks_on_seven(folder: Path) -> None:
    if b"7" in (folder / "a.txt").read_bytes():
        raise KeyError("a seven")


TOY = Reader("toy", lambda folder: (folder / "a.txt").write_text("1 2 3\n4 5 6\n"), "a.txt", breaks_on_seven)


def test_a_failure_is_found_grouped_and_reduced() -> None:
    found = hunt(TOY, 0, 400, 60, lambda _: None)
    assert found.inputs == 400 and len(found.failures) == 1
    failure, = found.failures.values()
    assert failure.where.startswith("KeyError @") and failure.count > 1
    assert reduce.reduce(TOY, failure, 5) == b"7"


def test_too_much_time_and_too_long_a_message_are_failures() -> None:
    from runner.errors import RunnerError

    def read(folder: Path) -> None:
        if (folder / "a.txt").read_bytes() == b"long":
            raise RunnerError("x" * 10**6)
        while True:
            pass
    reader = Reader("toy", TOY.make, "a.txt", read, seconds=.1)
    with filled_folder(reader) as folder:
        assert attempt(reader, b"long", folder).where.startswith("MESSAGE")
        assert attempt(reader, b"loop", folder).where.startswith("TIME")


@pytest.mark.parametrize("kind", mutate.MUTATIONS)
def test_changes_are_the_same_for_the_same_seed(kind: str) -> None:
    seeds = [b'{"a": [1, 2], "b": "x"}', b"k: 1\nl: [2, 3]\n"]
    first, again = ([mutate.mutate(random.Random(k), seeds, kind) for k in range(40)] for _ in range(2))
    assert first == again and len(set(first)) > 20
