"""Shards of a list: which one a process takes, and who else may take it."""
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import DataError, UsageError
from runner.inference import shards as module
from runner.inference.image_list import ImageList
from runner.inference.shards import Complete, Shards, Work, compute, default_size, is_error, line_of, read_manifest
from runner.lock import Lock, Owner
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text("cfg")
    Path("a.weights").write_text("weights")


WORK = Work("predict", ["a.txt"], 10, "digest", "a.cfg", "a.weights", ["x"], {"top": 1})


def images(start: int, stop: int) -> Iterator[str]:
    return map(str, range(start, stop))


def results(paths: Iterator[str], first: int) -> Iterator[dict[str, Any]]:
    return ({"image": path, "predictions": []} for path in paths)


def indices() -> list[int]:
    return [json.loads(line)["index"] for path in sorted(Path("out").glob("part-*"))
            for line in path.read_text().splitlines()]


def test_sizes() -> None:
    assert [default_size(count) for count in (1, 100, 10_000, 1_000_000)] == [16, 16, 39, 1000]
    shards = Shards("out", WORK, 4)
    assert [shards.range(number) for number in range(shards.total)] == [(0, 4), (4, 8), (8, 10)]
    assert Shards("out", WORK).size == 4        # that of the folder


def test_processes_take_different_shards() -> None:
    """Two at the same time, here in one process: each sees the claims of the other by their files."""
    one, other = Shards("out", WORK, 3), Shards("out", WORK, 3)
    first, second = one.take(), other.take()
    assert [next(first), next(second), next(first), next(second)] == [0, 1, 2, 3]
    del first, second
    assert sorted(os.listdir("out")) == ["manifest.json"]       # nothing was written, and no claim is left
    compute(Shards("out", WORK, 3), images, results)
    assert indices() == list(range(10))


def test_a_claim_that_a_process_left_behind() -> None:
    """It is taken over by a process that starts later, and not by one that was already running."""
    running = Shards("out", WORK, 3)
    code = (f"import sys, os; sys.path.insert(0, {str(ROOT)!r}); from runner.lock import Lock; "
            "Lock('out/part-00001'); os._exit(0)")
    subprocess.run([sys.executable, "-c", code], check=True)
    assert Path("out/.part-00001.lock").exists()
    compute(running, images, results)
    assert running.missing() == [1] and running.under_way() == ([], {}, [1]) and running.complete() is None
    later = Shards("out", WORK, 3)
    done: list[int] = []
    compute(later, images, results, lambda number, images, errors: done.append(number))
    found = later.complete()
    assert done == [1] and indices() == list(range(10)) and found is not None and found.now and found.errors == 0


def test_a_claim_of_another_machine_is_respected() -> None:
    Shards("out", WORK, 3)
    far = replace(Owner.current(), host="elsewhere", boot="other")
    Path("out/.part-00002.lock").write_text(json.dumps(vars(far)))
    shards = Shards("out", WORK, 3)
    compute(shards, images, results)
    assert shards.under_way() == ([], {2: far}, [])


def test_a_claim_of_a_running_process_is_respected() -> None:
    shards = Shards("out", WORK, 3)
    with Lock("out/part-00000"):
        compute(shards, images, results)
        assert shards.under_way() == ([0], {}, [])


def test_a_result_that_fails_leaves_no_part_and_no_claim() -> None:
    def failing(paths: Iterator[str], first: int) -> Iterator[dict[str, Any]]:
        yield from itertools.islice(results(paths, first), 2)
        raise DataError("a damaged image")
    with pytest.raises(DataError, match="a damaged image"):
        compute(Shards("out", WORK, 3), images, failing)
    assert os.listdir("out") == ["manifest.json"]


def test_too_few_results_are_an_error_of_the_program() -> None:
    with pytest.raises(AssertionError, match=r"shard 0 has 3 images\. Got 2 records"):
        compute(Shards("out", WORK, 3), images, lambda paths, first: itertools.islice(results(paths, first), 2))


def test_complete_is_announced_once() -> None:
    one, other = Shards("out", WORK, 3), Shards("out", WORK, 3)
    compute(one, images, results)
    found = [one.complete(), other.complete()]
    assert found == [Complete(0, now=True), Complete(0, now=False)]
    Path("out/part-00000.jsonl").unlink()
    assert not Shards("out", WORK).was_complete and read_manifest("out").state == "running"


@pytest.mark.parametrize("change, words", [
    ({"verb": "detect"}, "verb: there predict, here detect"),
    ({"list_digest": "x", "arguments": ["b.txt"]}, r"images: there 10 \(a.txt\), here 10 \(b.txt\)"),
    ({"options": {"top": 2, "how": "crop"}}, "top: there 1, here 2; how: there None, here 'crop'"),
    ({"classes": ["y"]}, r"class names: there \['x'\], here \['y'\]")])
def test_other_work_is_refused(change: dict[str, Any], words: str) -> None:
    Shards("out", WORK)
    with pytest.raises(UsageError, match=words):
        Shards("out", replace(WORK, **change))


def test_the_content_of_the_files_counts_and_not_their_names() -> None:
    Shards("out", WORK)
    Path("a.weights").rename("b.weights")
    Shards("out", replace(WORK, weights="b.weights"))
    Path("b.weights").write_text("others")
    with pytest.raises(UsageError, match=r"weights: there a.weights \(\w{12}\), here b.weights \(\w{12}\)"):
        Shards("out", replace(WORK, weights="b.weights"))


@pytest.mark.parametrize("change, words", [({"shards": 7}, "another version of the program, or was edited"),
                                           ({"shard_size": 0}, "shard_size must be a whole number, at least 1"),
                                           ({"schema_version": 2}, "another version of the program")])
def test_a_damaged_manifest(change: dict[str, Any], words: str) -> None:
    Shards("out", WORK)
    path = Path("out/manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=words):
        Shards("out", WORK)


def test_lines() -> None:
    good = {"image": 'a, "error": b', "predictions": []}
    bad = {"image": "a", "error": "why"}
    assert not is_error(line_of(0, good).encode()) and is_error(line_of(12, bad).encode())
    assert json.loads(line_of(3, bad)) == {"schema_version": 1, "index": 3, **bad}
    name = os.fsdecode(b"\xff.png")
    assert json.loads(line_of(0, {"image": name, "predictions": []}).encode())["image"] == name
    assert module.named(list(range(10))).endswith("part-00007.jsonl and 2 more")


def test_a_list_of_files_folders_and_lists() -> None:
    Path("photos").mkdir()
    for name in ("1.png", "2.png", "10.png"):
        Path("photos", name).touch()
    Path("photos/list.txt").write_text("2.png\nmissing.png\n\n10.png\n")
    listed = ImageList(["photos/1.png", "photos/list.txt", "photos"])
    expected = ["photos/1.png", "photos/2.png", "missing.png", "photos/10.png", "photos/1.png", "photos/2.png",
                "photos/10.png"]
    assert listed.count == 7 and list(listed.images(0, 7)) == expected
    for start in range(8):
        for stop in range(start, 8):
            assert list(listed.images(start, stop)) == expected[start:stop]
    same = ImageList(["photos/1.png", "photos/list.txt", "photos"])
    assert same.digest == listed.digest
    Path("list.txt").write_text(Path("photos/list.txt").read_text())
    assert ImageList(["list.txt"]).digest != ImageList(["photos/list.txt"]).digest, "the folder is another"
    with pytest.raises(UsageError, match="standard input"):
        ImageList(["-"])
    Path("empty.txt").touch()
    with pytest.raises(DataError, match="there are no images"):
        ImageList(["empty.txt"])
