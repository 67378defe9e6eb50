"""The exit statuses: one test per row of the table in docs/reliability.md, and interruptions of every verb."""
import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner import cli
from runner.cli import detect, process
from runner.cli import train as train_verb
from runner.training import run as run_module
from tests.paths import ROOT
from tests.verbs import BEST, main, run_facts, train

NEEDS = {"train": ["a.cfg"], "report": ["a"], "compare": ["a"], "rates": ["a.cfg"], "test": ["a.cfg"],
         "predict": ["a.cfg", "a.png"], "detect": ["a.cfg", "a.png"], "generate": ["a.cfg"], "check": ["a.cfg"],
         "summary": ["a.cfg"], "profile": ["a.cfg"], "data": ["a"], "picture": ["dropout", "a.png", "--save", "b.png"],
         "augment": ["a.cfg", "--save", "b.png"],
         "export": ["a.cfg", "--to", "a.onnx"], "verify": ["a.cfg", "a.onnx", "a.png"],
         "import": ["a.onnx", "--to", "a.cfg", "a.weights"],
         "merge": ["a", "--to", "b.json"],
         "weights": ["info", "a.cfg"], "init": ["a"],
         "completion": ["bash"]}


def test_the_table_has_a_row_for_each() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == [
        process.DONE, process.NO, process.CANNOT, process.INTERRUPTED] == [0, 1, 2, 130]


@pytest.mark.usefixtures("toy_dir")
def test_0_done() -> None:
    train("--patience", "1", "--validate-every", "1", expect=0)
    train("--time-limit", "1s", "--set", "net.max_batches=3", expect=0)
    main("check", "cfg/toy.cfg", expect=0)


@pytest.mark.usefixtures("toy_dir")
def test_1_the_answer_is_no() -> None:
    Path("bad.cfg").write_text("[net]\nwidth=-1\n[softmax]\n")
    main("check", "bad.cfg", expect=1)
    main("data", "data/toy", expect=0)
    image = Path("data/toy/test/dark/0.png")
    image.write_bytes(Path("data/toy/train/dark/0.png").read_bytes())
    main("data", "data/toy", expect=1)
    main("rates", "cfg/toy.cfg", "--quiet", "--from", "1e-12", "--to", "1e-11", "--updates", "5", expect=1)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning",      # of NumPy, on the way to the error
                            "ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.usefixtures("toy_dir")
def test_2_it_could_not_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["nonsense"], [], ["train"], ["check", "missing.cfg"], ["train", "cfg/toy.cfg", "--data", "missing"],
                  ["test", "cfg/toy.cfg", "--weights", "cfg/toy.cfg"], ["report", "missing"]):
        main(*words, expect=2)
    train("--set", "net.learning_rate=1e20", expect=2)
    assert run_facts()["status"] == "diverged"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", cli.VERBS)
def test_130_interrupted(
        verb: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(importlib.import_module(cli.module_of(verb)), "run", lambda args: signal.raise_signal(number))
    main(verb, *NEEDS.get(verb, []), expect=130)
    assert capsys.readouterr().err == "run.py: interrupted\n" and signal.getsignal(signal.SIGTERM) is before


def test_130_after_an_interrupted_video_whose_results_are_written(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*given: object) -> object:
        raise KeyboardInterrupt
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "detect_all", stopped)
    Path("a.cfg").write_text("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=6\n[region]\nclasses=1\nnum=1\n"
                             "anchors=1,1\n")
    import runner
    runner.weights.save(runner.load("a.cfg"), "a.weights")
    main("detect", "a.cfg", "camera", "--weights", "a.weights", "--json", "a.json", expect=130)
    assert Path("a.json").read_text() == "[]\n" and "the results so far are written" in capsys.readouterr().err


@pytest.mark.usefixtures("toy_dir")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_130_after_an_interruption_of_the_last_evaluation(
        number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_module.Run.finish

    def pressed(run: run_module.Run) -> None:
        signal.raise_signal(number)
        real(run)
    monkeypatch.setattr(run_module.Run, "finish", pressed)
    train("--set", "net.max_batches=3", expect=130)
    assert BEST.exists()


@pytest.mark.usefixtures("toy_dir")
def test_the_second_interruption_ends_at_once(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def pressed(args: object, run: run_module.Run, monitors: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
    monkeypatch.setattr(train_verb, "_train", pressed)
    train(expect=130)
    assert not BEST.exists() and not Path("weights/.toy.lock").exists()
    assert capsys.readouterr().err.endswith("run.py: interrupted\n")


def run(*words: str, cwd: Path = ROOT, redirect: str = "", head: str = "") -> subprocess.CompletedProcess[str]:
    """A command with its streams redirected by a shell -> its status, stdout and stderr."""
    line = " ".join([sys.executable, str(ROOT / "run.py"), *words, redirect])
    if head:
        line = f"set -o pipefail; {line} | {head}"
    return subprocess.run(["bash", "-c", line], cwd=cwd, text=True, capture_output=True, check=False)


def test_closed_streams() -> None:
    """Files that are opened next must not get the numbers of stdout and stderr."""
    for redirect in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = run("explain", "net", redirect=redirect)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout() -> None:
    done = run("explain", "net", redirect="> /dev/full")
    assert (done.returncode, done.stderr) == (2, "run.py: [Errno 28] No space left on device\n")


def test_the_output_is_cut_by_head(toy_dir: Path) -> None:
    done = run("train", "cfg/toy.cfg", "--quiet", "--no-report", "--backend", "numpy", "--log-json", "-", "--set",
               "net.max_batches=3000", cwd=toy_dir, head="head -n 3")
    assert (done.returncode, done.stdout.count("\n")) == (130, 3) and run_facts()["status"] == "interrupted"
    assert 0 < run_facts()["updates"] < 3000 and not Path("weights/.toy.lock").exists()


def test_diverged_training_is_one_sentence(toy_dir: Path) -> None:
    """NumPy's warnings about the values on the way to it are not shown."""
    done = run("train", "cfg/toy.cfg", "--quiet", "--backend", "numpy", "--set", "net.learning_rate=1e20", cwd=toy_dir)
    assert done.returncode == 2 and done.stderr.startswith("run.py: the loss of update 2 is NaN or infinite")
    assert "Warning" not in done.stderr
