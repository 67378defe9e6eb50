"""Training with several processes: the same result as with one, bit-identical when repeated.

The toy networks have inputs and activations of order 1 and some hundred values in each sum.  Another order of a
float32 sum changes it by about 1e-7 of its terms; a few updates with rates of 0.1 pass that on, not more than a hundred
times.  TOLERANCE is 1e-5, and what the tests look for, another mask, image or statistic, changes weights by 1e-3.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import runner
from runner import cli
from runner.training.log import curves
from tests import toy, toy_boxes
from tests.paths import ROOT

pytest.importorskip("mpi4py")
MPIEXEC = Path(sys.executable).with_name("mpiexec") if Path(sys.executable).with_name("mpiexec").exists() else \
    shutil.which("mpiexec")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec")
TOLERANCE = 1e-5
CLASSIFIER = """[net]
batch=8
subdivisions=2
width=6
height=6
channels=1
learning_rate=0.1
momentum=0.9
decay=0.0005
max_crop=7
angle=10
exposure=1.5
max_grad_norm=2
ema_alpha=0.5
max_batches=4

[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky

[dropout]
probability=0.3

[connected]
output=2
activation=linear

[softmax]
"""


# loaded by every Python that is started with it: after update 2, process 1 does something, once
FAULT = """
import os, signal
import runner.training.shared_run as shared_run

original = shared_run.train


def faulty(net, batches, **more):
    for step in original(net, batches, **more):
        yield step
        if step.number == 2 and more["group"].rank == 1 and not os.path.exists("fault"):
            open("fault", "x").close()
            {fault}


shared_run.train = faulty
"""


def command(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), "train", *words, "--backend", "numpy", "--no-report"]


def run(processes: int, *words: str, expect: int = 0, fault: str = "", patch: str = "") -> str:
    """Train with this many processes -> what they print.

    fault  what happens in process 1 after update 2, once.  patch: what each process executes first
    """
    patch = patch or (FAULT.format(fault=fault) if fault else "")
    typed = tuple(command(*words))
    if processes > 1:
        typed = (str(MPIEXEC), "-n", str(processes), *typed)
    variables = {name: value for name, value in os.environ.items() if name != "RUNNER_DEBUG"}
    more = {"PYTHONPATH": f"{Path.cwd()}{os.pathsep}{ROOT}"} if patch else {}
    if patch:
        Path("sitecustomize.py").write_text(patch)
    done = subprocess.run(typed, capture_output=True, text=True, timeout=100, env=variables | more)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def arrays(name: str, file: str = "last.weights") -> list[np.ndarray]:
    net = runner.load(f"weights/{name}", f"weights/{name}/{file}")
    return [array for layer in net.layers for array in (*layer.params.values(), *layer.buffers.values())]


def distance(one: str, other: str) -> float:
    """The largest difference of any weight or rolling statistic of two runs."""
    return max(float(np.abs(a - b).max()) for a, b in zip(arrays(one), arrays(other), strict=True))


@pytest.fixture
def classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy.make(tmp_path)
    (tmp_path / "cfg" / "toy.cfg").write_text(CLASSIFIER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_classifier_gets_the_weights_of_one_process(classifier: Path) -> None:
    run(1, "cfg/toy.cfg", "--name", "one")
    shown = run(2, "cfg/toy.cfg", "--name", "two")
    assert "2 processes" in shown and "the batch stays 8 images an update, 2 at a time in each process" in shown
    assert 0 < distance("one", "two") < TOLERANCE
    run(2, "cfg/toy.cfg", "--name", "again")
    assert Path("weights/two/last.weights").read_bytes() == Path("weights/again/last.weights").read_bytes()
    run(4, "cfg/toy.cfg", "--name", "four")
    assert distance("one", "four") < TOLERANCE


def test_a_detector_gets_the_weights_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four images in one, moved, mirrored and coloured, and a new input size after ten updates."""
    toy_boxes.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["cfg/squares.cfg", "--set", "net.mosaic=1", "--set", "net.max_batches=3", "--set", "5.random=1", "--set",
             "net.hue=.1"]
    run(1, *words, "--name", "one")
    run(2, *words, "--name", "two")
    assert 0 < distance("one", "two") < TOLERANCE
    one, two = (curves(Path(f"weights/{name}/log.csv")) for name in ("one", "two"))
    for column in ("seen", "loss", "score"):
        assert one[column][1] == pytest.approx(two[column][1], rel=1e-4)
    # one bucket for each array, sent while the backward pass goes on: every sum has the same order
    run(2, *words, "--name", "small", patch="import runner.training.gradient_sum as it\nit.BUCKET_BYTES = 1\n")
    assert Path("weights/small/last.weights").read_bytes() == Path("weights/two/last.weights").read_bytes()


def test_a_character_model_continues_with_another_number_of_processes(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of each stream goes into the checkpoint, and back to the process that has the stream."""
    monkeypatch.chdir(tmp_path)
    text = bytes(np.random.default_rng(1).integers(8, 12, 4000, np.uint8))
    Path("text.txt").write_bytes(text)
    Path("m.cfg").write_text("[net]\ninputs=16\nbatch=4\ntime_steps=5\nlearning_rate=.1\nmax_batches=6\n"
                             "reposition=.1\n[lstm]\noutput=16\n[dropout]\nprobability=.2\n"
                             "[connected]\noutput=16\nactivation=linear\n[softmax]\n")
    words = ["m.cfg", "--data", "text.txt", "--validate-every", "2"]
    run(1, *words, "--name", "one")
    run(2, *words, "--name", "two", "--set", "net.max_batches=3")
    run(4, *words, "--name", "two", "--set", "net.max_batches=5", "--resume")
    run(1, *words, "--name", "two", "--set", "net.max_batches=6", "--resume")
    assert 0 < distance("one", "two") < TOLERANCE
    scores = [yaml.safe_load(Path(f"weights/{name}/run.yaml").read_text())["best"]["score"] for name in ("one", "two")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.parametrize(("fault", "message", "status"), [
    ("raise ValueError('broken')", "an error of this program: ValueError (broken)", 2),
    ("net.layers[0].params['weights'][...] = float('nan')", "(in process 1)", 2),
    ("os.kill(os.getpid(), signal.SIGTERM)", "stopped after update 3", 130),
], ids=["exception", "NaN", "SIGTERM"])
def test_what_ends_one_process_ends_all(classifier: Path, fault: str, message: str, status: int) -> None:
    shown = run(2, "cfg/toy.cfg", "--quiet", "--set", "net.max_batches=100000", fault=fault, expect=status)
    assert shown.count(message) == 1 and "Traceback" not in shown
    if status == 2:
        assert len(shown.splitlines()) == 1
    run(2, "cfg/toy.cfg", "--quiet", "--set", "net.max_batches=4", "--resume")
    assert yaml.safe_load(Path("weights/toy/run.yaml").read_text())["updates"] == 4


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_and_they_are_started_again(classifier: Path) -> None:
    words = ["cfg/toy.cfg", "--quiet", "--save-every", "1", "--set", "net.max_batches=5", "--np", "2"]
    fault = "os.kill(os.getpid(), signal.SIGKILL)"
    shown = run(1, *words, fault=fault, expect=2)
    assert shown.splitlines() == ["a process was ended by signal 9, and the others with it",
                                  "the same command with --resume continues after the last checkpoint"]
    Path("fault").unlink()
    shown = run(1, *words, "--max-restarts", "1", "--name", "again", fault=fault)
    assert "starting again after the last checkpoint (1 restart left)" in shown and "5 updates" in shown
    run(1, *words[:-2], "--name", "one")
    assert distance("again", "one") < TOLERANCE


def test_a_process_with_something_else_is_refused(classifier: Path) -> None:
    """The error names the process and what is different; nothing is written."""
    shutil.copytree("data/toy", "data/other")
    Path("data/other/train/dark/0.png").unlink()
    first = command("cfg/toy.cfg", "--data", "data/toy")
    second = command("cfg/toy.cfg", "--data", "data/other", "--set", "net.decay=0.1")
    done = subprocess.run([str(MPIEXEC), "-n", "1", *first, ":", "-n", "1", *second], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2 and not Path("weights/toy").exists()
    for what in ("cfg", "option --data", "training data"):
        assert done.stderr.count(f"has another {what} than process 0") == 1


def test_batches_that_cannot_be_shared_are_refused(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(3, "cfg/toy.cfg", expect=2)
    assert shown.splitlines() == ["run.py: batch=8 and subdivisions=2 make 4 images at a time, which 3 processes "
                                  "cannot share equally: set net.batch=12, or use 2 processes"]
    assert cli.main(["train", "cfg/toy.cfg", "--max-restarts", "1"]) == 2
    assert "--max-restarts needs --np" in capsys.readouterr().err


def test_statistics_per_process(classifier: Path) -> None:
    """Another result than that of the whole batch; weights and rolling statistics are equal in all processes."""
    run(2, "cfg/toy.cfg", "--name", "whole")
    run(2, "cfg/toy.cfg", "--name", "part", "--bn-per-process")
    assert distance("whole", "part") > 100 * TOLERANCE
