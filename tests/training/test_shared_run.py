"""Training with several processes: the same result as with one, bit-identical when repeated.

The toy networks have inputs and activations of order 1 and some hundred values in each sum.  Another order of a
float32 sum changes it by about 1e-7 of its terms; a few updates with rates of 0.1 pass that on, not more than a hundred
times.  TOLERANCE is 1e-5, and what the tests look for, another mask, image or statistic, changes weights by 1e-3.
"""
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runner
from tests import toy
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


def run(processes: int, *words: str, expect: int = 0) -> str:
    """Train with this many processes -> what they print."""
    command = [sys.executable, str(ROOT / "run.py"), "train", *words, "--backend", "numpy", "--no-report"]
    if processes > 1:
        command = [str(MPIEXEC), "-n", str(processes), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
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
