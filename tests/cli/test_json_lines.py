"""--json-lines and `merge`: parts for very many images, restarts, killed processes, and what is refused."""
import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import runner
from runner.lock import Owner
from tests import schemas
from tests.cli.test_detect import CFG as DETECTOR
from tests.paths import ROOT
from tests.test_distributed import MPIEXEC
from tests.verbs import main

PREDICT = ("predict", "cfg/toy.cfg", "data/toy/test", "--weights", "toy.weights", "--backend", "numpy")
LINES = (*PREDICT, "--json-lines", "out", "--shard-size", "3")


@pytest.fixture(autouse=True)
def weights(toy_dir: Path) -> None:
    runner.weights.save(runner.load("cfg/toy.cfg"), "toy.weights")


def records(folder: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(Path(folder).glob("part-*.jsonl"))
            for line in path.read_text().splitlines()]


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/manifest.json").read_text())
    return found


def command(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *words]


def test_parts_have_every_image_once_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    main(*LINES)
    assert capsys.readouterr().out.startswith("out: 10 images, in 4 parts; ")
    assert sorted(os.listdir("out")) == ["manifest.json", *(f"part-0000{k}.jsonl" for k in range(4))]
    assert [record["index"] for record in records()] == list(range(10))
    assert [len(path.read_text().splitlines()) for path in sorted(Path("out").glob("part*"))] == [3, 3, 3, 1]
    assert manifest()["state"] == "complete" and manifest()["errors"] == 0


@pytest.mark.parametrize("more", [[], ["--samples", "3", "--top", "1"]], ids=["plain", "samples"])
def test_merged_parts_are_the_json_of_one_call(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if more:
        from tests import toy
        Path("cfg/toy.cfg").write_text(toy.CFG.replace("[connected]", "[dropout]\nprobability=.5\n\n[connected]"))
    main(*PREDICT, *more, "--json", "one.json")
    main(*LINES, *more)
    main("merge", "out", "--to", "merged.json")
    assert Path("merged.json").read_bytes() == Path("one.json").read_bytes()
    assert not schemas.INSTALLED or not schemas.problems("predict", json.loads(Path("merged.json").read_text()))
    assert capsys.readouterr().err.endswith("merged.json: 10 images as json\n")
    main("merge", "out", "--to", "merged.json")     # ours, so written again
    main("merge", "out", "--to", "-")
    assert capsys.readouterr().out.endswith(Path("one.json").read_text())


def test_a_restart_computes_only_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    main(*LINES)
    kept = {path: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    lost = Path("out/part-00001.jsonl")
    before = lost.read_bytes()
    lost.unlink()
    Path("out/.part-00001.jsonl.abc.tmp").write_text("of a process that was killed")
    main("merge", "out", "--to", "a.json", expect=2)
    assert "1 of 4 parts is missing: part-00001.jsonl" in capsys.readouterr().err and not Path("a.json").exists()
    main(*LINES)
    assert lost.read_bytes() == before and not list(Path("out").glob(".part*"))
    del kept[lost]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    capsys.readouterr()
    main(*LINES)
    assert capsys.readouterr().out == "out: 10 images, in 4 parts; nothing is left to do\n"
    Path("out/part-00004.jsonl").write_bytes(before)
    main("merge", "out", "--to", "a.json", expect=2)
    assert "out/part-00004.jsonl: this is not one of the 4 parts of out/manifest.json. Move it away" in \
        capsys.readouterr().err and not Path("a.json").exists()


def test_an_interrupted_call_writes_no_half_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.inference import shards
    written = 0

    def line(index: int, record: Any) -> str:
        nonlocal written
        written += 1
        if written == 5:
            signal.raise_signal(signal.SIGINT)
        return real(index, record)
    real = shards.line_of
    monkeypatch.setattr(shards, "line_of", line)
    main(*LINES, expect=130)
    assert sorted(os.listdir("out")) == ["manifest.json", "part-00000.jsonl"] and manifest()["state"] == "running"
    main(*LINES)
    assert len(records()) == 10 and written == 5 + 7


def test_bad_images_are_records(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/toy/test/dark/2.png").write_text("not an image")
    Path("list.txt").write_text("data/toy/test/bright/0.png\n\nmissing.png\ndata/toy/test/dark/2.png\n")
    words = [*PREDICT[:2], "list.txt", *PREDICT[3:], "--json-lines", "out"]
    main(*words)
    assert capsys.readouterr().out.startswith("out: 3 images, 2 of them could not be read, in 1 part; ")
    good, missing, damaged = records()
    assert "predictions" in good and missing["image"] == "missing.png" and "no such file" in missing["error"]
    assert "2.png" in damaged["error"] and manifest()["errors"] == 2
    main("merge", "out", "--to", "a.json")
    assert capsys.readouterr().err.endswith("a.json: 1 image as json; 2 could not be read and are left out\n")
    Path("list.txt").write_text("missing.png\n")
    main(*words[:-1], "bad", expect=2)          # as without --json-lines, where none could be read
    main(*words[:-1], "strict", "--on-bad", "error", expect=2)
    assert not records("strict")


def test_other_work_is_refused_with_everything_that_differs(capsys: pytest.CaptureFixture[str]) -> None:
    main(*LINES)
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    net = runner.load("cfg/toy.cfg", seed=1)
    runner.weights.save(net, "toy.weights")
    main(*PREDICT[:2], "data/toy/train", *PREDICT[3:], "--json-lines", "out", "--shard-size", "4", "--top", "1",
         expect=2)
    text = capsys.readouterr().err
    for part in ("images: there 10 (data/toy/test), here 12 (data/toy/train)", "weights: there toy.weights (",
                 "top: there 0, here 1", "images of a shard: there 3, here 4"):
        assert part in text
    assert "cfg:" not in text and {path: path.read_bytes() for path in Path("out").iterdir()} == before


@pytest.mark.parametrize("words, text", [
    (["--json-lines", "out", "--json", "a.json"], "--json-lines FOLDER does not go together with --json: its parts"),
    (["--json-lines", "out", "--np", "99999"], "--np 99999: more than "),
    (["--np", "2"], "--np is an option of --json-lines FOLDER"),
    (["--shard-size", "2"], "--shard-size is an option of --json-lines FOLDER")])
def test_options_that_do_not_go_together(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(*PREDICT, *words, expect=2)
    assert text in capsys.readouterr().err


def test_folders_that_are_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/part-00000.jsonl").write_text("{}\n")
    main(*LINES, expect=2)
    assert "part-00000.jsonl is there, but no manifest.json" in capsys.readouterr().err
    Path("out/manifest.json").write_text('{"name": "an app"}')
    main(*LINES, expect=2)
    assert "out/manifest.json: schema_version is missing" in capsys.readouterr().err
    main("merge", "data", "--to", "a.json", expect=2)
    assert "data: this is not a folder of parts" in capsys.readouterr().err
    main("predict", "cfg/toy.cfg", "-", "--weights", "toy.weights", "--json-lines", "new", expect=2)
    assert "shards cannot be read from standard input" in capsys.readouterr().err
    main("detect", "cfg/toy.cfg", "a.mp4", "--json-lines", "new", expect=2)
    assert "a.mp4: --json-lines is for images" in capsys.readouterr().err
    main("detect", "cfg/toy.cfg", "a.png", "--json-lines", "new", "--every", "2", "--txt", "labels", expect=2)
    assert "does not go together with --txt, --every: " in capsys.readouterr().err


@pytest.mark.parametrize("change, text", [
    (lambda lines: lines[:2], "this part has 2 lines, and not 3"),
    (lambda lines: [lines[0], lines[0], lines[2]], "00001.jsonl:2: this line does not belong to the others: index"),
    (lambda lines: [*lines[:2], lines[2][:40] + "\n"], "part-00001.jsonl:3:1: this is not JSON"),
    (lambda lines: [lines[0].replace('"predictions"', '"others"'), *lines[1:]], "predictions is missing")])
def test_damaged_parts(change: Any, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(*LINES)
    part = Path("out/part-00001.jsonl")
    part.write_text("".join(change(part.read_text().splitlines(keepends=True))))
    main("merge", "out", "--to", "a.json", expect=2)
    assert text in capsys.readouterr().err and not Path("a.json").exists()


def test_predict_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(*LINES, "--top", "2")
    main("merge", "out", "--to", "a.csv")
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert len(rows) == 20 and rows[1]["rank"] == "2" and rows[0]["image"] == "data/toy/test/bright/0.png"
    assert float(rows[0]["probability"]) == pytest.approx(records()[0]["predictions"][0]["probability"], abs=1e-5)
    main("merge", "out", "--to", "a.csv")
    main("merge", "out", "--to", "coco.json", expect=2)
    assert "the parts of `predict`, and COCO results are boxes" in capsys.readouterr().err
    main("merge", "out", "--to", "out/a.csv", expect=2)
    assert "this folder is that of the parts" in capsys.readouterr().err
    main("merge", "out", "--to", "a.csv", "--annotations", "b.json", expect=2)
    assert "--annotations is for COCO results" in capsys.readouterr().err


def detector() -> list[str]:
    Path("a.cfg").write_text(DETECTOR)
    net = runner.load("a.cfg")
    net.layers[0].params["weights"][...] = 0
    net.layers[0].params["biases"][...] = [0, 0, 0, 0, 9, -9, 9]
    runner.weights.save(net, "a.weights")
    return ["detect", "a.cfg", "data/toy/test", "--weights", "a.weights"]


def test_detections_as_json_csv_and_coco(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/toy/test/dark/1.png").write_text("not an image")
    words = detector()
    main(*words, "--json", "one.json", "--csv", "one.csv")
    main(*words, "--json-lines", "out")
    for name in ("json", "csv"):
        main("merge", "out", "--to", f"merged.{name}")
        assert Path(f"merged.{name}").read_bytes() == Path(f"one.{name}").read_bytes()
    main("merge", "out", "--to", "coco.json", expect=2)
    assert "two images have the same id, 0: the number at the end of their names" in capsys.readouterr().err
    main(*words[:2], "data/toy/test/bright", *words[3:], "--json-lines", "bright")
    main("merge", "bright", "--to", "coco.json")
    results = json.loads(Path("coco.json").read_text())
    assert results[1] == {"image_id": 1, "category_id": 2, "bbox": pytest.approx([1.75, 2.625, 3.5, 1.75]),
                          "score": pytest.approx(1, abs=1e-3)} and len(results) == 5
    images = [{"id": 100 + k, "file_name": f"{name}/{k}.png"} for name in ("bright", "dark") for k in range(5)]
    content = {"images": images, "annotations": [],
               "categories": [{"id": 90, "name": "b"}, {"id": 18, "name": "a"}]}
    Path("instances.json").write_text(json.dumps(content))
    main("merge", "out", "--to", "coco.json", "--annotations", "instances.json")
    assert [(one["image_id"], one["category_id"]) for one in json.loads(Path("coco.json").read_text())] == [
        (100, 90), (101, 90), (102, 90), (103, 90), (104, 90), (100, 90), (102, 90), (103, 90), (104, 90)]
    Path("instances.json").write_text(json.dumps(content | {"images": images[:3]}))
    main("merge", "out", "--to", "coco.json", "--annotations", "instances.json", expect=2)
    assert "none of its images may be 'data/toy/test/bright/3.png'" in capsys.readouterr().err


def test_remarks_of_several_processes_are_said_once() -> None:
    """The weights and the threshold that are used; the network has come with the program."""
    done = subprocess.run(command("detect", str(ROOT / "cfg/scenes.cfg"), str(ROOT / "data/scenes/images/test"),
                                  "--json-lines", "out", "--np", "2"), capture_output=True, text=True, check=True)
    assert done.stderr.count("which came with the program") == done.stderr.count("threshold 0.6987") == 1


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(.02)


def slow(words: list[str], after: int) -> list[str]:
    """A command that stops, with SIGSTOP as a hanging disk would, while it reads its image number `after`; only the
    first process that reads it."""
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from runner.inference import shards
real = shards.line_of
def line(index, record):
    if index == {after}:
        try:
            os.close(os.open("stopped", os.O_CREAT | os.O_EXCL))
            open("pid", "w").write(str(os.getpid()))
            os.rename("pid", "pid.txt")
            os.kill(os.getpid(), signal.SIGSTOP)
        except FileExistsError:
            pass
    return real(index, record)
shards.line_of = line
"""
    Path("sitecustomize.py").write_text(code)
    return [*command(), *words]


NEEDS_MPIEXEC = pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["--np", "2"], pytest.param([str(MPIEXEC), "-n", "2"], marks=NEEDS_MPIEXEC)],
                         ids=["two calls", "np", "mpiexec"])
def test_a_killed_process_loses_only_its_shard(launcher: list[str]) -> None:
    """The others finish, whatever has started them; the same command then does the one that is missing."""
    own = launcher[:1] == ["--np"]
    words = [*(() if own else launcher), *slow([*LINES, *(launcher if own else ())], 4)]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    calls = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
             for _ in range(1 if launcher else 2)]
    wait_for(Path("pid.txt").exists)
    wait_for(lambda: len(list(Path("out").glob("part-*.jsonl"))) == 3)
    os.kill(int(Path("pid.txt").read_text()), signal.SIGKILL)
    errors = "".join(call.communicate(timeout=60)[1] for call in calls)
    assert {2} <= {call.returncode for call in calls} | ({2} if not launcher else set())
    assert not Path("out/part-00001.jsonl").exists() and manifest()["state"] == "running"
    assert not launcher or "a process was ended by signal 9: the shard that it was computing is missing" in errors
    kept = {path: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    subprocess.run(command(*LINES), check=True, capture_output=True)
    assert [record["index"] for record in records()] == list(range(10)) and manifest()["state"] == "complete"
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert sorted(os.listdir("out")) == ["manifest.json", *(f"part-0000{k}.jsonl" for k in range(4))]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_processes_end_with_the_one_that_started_them() -> None:
    """Also when that is killed, and cannot end them; they leave no part that is not complete."""
    Path("list.txt").write_text("data/toy/test/dark/0.png\n" * 200_000)
    words = [*PREDICT[:2], "list.txt", *PREDICT[3:], "--json-lines", "out", "--shard-size", "200", "--np", "2"]
    call = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    owners: set[Owner] = set()

    def seen() -> int:
        for path in Path("out").glob(".part*.lock"):
            with contextlib.suppress(FileNotFoundError):
                owners.update(filter(None, [Owner.read(path.read_text())]))
        return len({owner.pid for owner in owners})
    wait_for(lambda: seen() == 2)
    call.kill()
    call.communicate(timeout=60)        # when both have closed the streams
    wait_for(lambda: not any(owner.is_running for owner in owners))
    assert not list(Path("out").glob(".part*.tmp"))
    assert all(len(path.read_text().splitlines()) == 200 for path in Path("out").glob("part-*.jsonl"))


def test_an_error_of_several_processes_is_printed_once() -> None:
    done = subprocess.run(command(*LINES, "--np", "2", "--set", "net.width=x"), capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("net.width") == 1 and not Path("out").exists()


@pytest.mark.slow       # writes and counts 30 MB of lines
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_million_lines_take_no_more_memory_than_two_thousand() -> None:
    """The highest memory of a process, KB, after two parts of 500 images."""
    def peak(count: int) -> int:
        Path("list.txt").write_text("".join(f"data/toy/test/dark/{k % 5}.png\n" for k in range(count)))
        words = [*PREDICT[:2], "list.txt", *PREDICT[3:], "--json-lines", f"out{count}", "--shard-size", "500"]
        call = subprocess.Popen(command(*words, "--threads", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(lambda: (Path(f"out{count}") / "part-00001.jsonl").exists() or call.poll() is not None)
        status = Path(f"/proc/{call.pid}/status").read_text() if call.poll() is None else ""
        call.terminate()
        call.communicate(timeout=60)
        assert len(list(Path(f"out{count}").glob("part-*"))) >= 2
        line, = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1])
    few, many = peak(2000), peak(1_000_000)
    assert many < few + (4 << 10), (few, many)
