"""Memory estimated from shapes only, against what is really kept and used."""
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.analysis import footprint
from runner.errors import RunnerError
from runner.net_options import OPTIMIZERS, NetOptions
from runner.optim.optimizers import make_optimizer, state_arrays
from tests.layers.checks import build, inputs
from tests.layers.samples import SAMPLES, Sample
from tests.paths import ROOT


def arrays_in(saved: Any) -> list[np.ndarray]:
    if isinstance(saved, np.ndarray):
        return [saved]
    parts = saved.values() if isinstance(saved, dict) else saved if isinstance(saved, tuple | list) else ()
    return [array for part in parts for array in arrays_in(part)]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_layer_keeps_no_more_than_it_says(sample: Sample) -> None:
    layer, xs = build(sample), inputs(sample)
    y, saved = layer.forward(*xs, train=True)
    kept, more = layer.keeps(), 0
    for array in {(array.ctypes.data, array.nbytes): array for array in arrays_in(saved)}.values():
        if any(np.shares_memory(array, x) for x in xs):
            assert kept.inputs, "it keeps an input and does not say so"
        elif np.shares_memory(array, y):
            assert kept.output, "it keeps its output and does not say so"
        elif not any(np.shares_memory(array, p) for p in (*layer.params.values(), *layer.buffers.values())):
            more += array.nbytes
    # of each time step, batch norm keeps three vectors per channel; its buffers are two
    statistics = 3 * sample.steps * sum(array.nbytes for array in layer.buffers.values()) // 2
    assert more <= len(xs[0]) * kept.more + statistics + 64


def test_a_convolution_keeps_no_more_than_it_must() -> None:
    """This decides how large a batch can be: with batch norm the raw product is kept, else only the output."""
    def kept(text: str) -> Any:
        return build(Sample("convolutional", f"filters=4 size=3 pad=1 {text}")).keeps()
    assert kept("batch_normalize=1 activation=leaky") == (True, False, 4 * 4 * 7 * 6)
    assert kept("activation=leaky") == (True, True, 0)
    assert kept("activation=linear") == (True, False, 0)


@pytest.mark.parametrize("text", ["adam=1", *(f"optimizer={name}" for name in OPTIMIZERS)])
def test_the_arrays_of_every_optimizer_are_counted(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.cfg").write_text(f"[net]\ninputs=4\n{text}\n[connected]\noutput=3\n[cost]\n")
    net = runner.load(tmp_path / "a.cfg")
    optimizer = make_optimizer(net)
    _, tape = net.forward(np.ones((2, 4), "f4"), train=True)
    net.backward(tape, np.ones((2, 3), "f4"))
    optimizer.step(0.1, 2)
    assert isinstance(net.options, NetOptions) and len(optimizer.state) == state_arrays(net.options)


CFG = """[net]
width=128
height=128
channels=3
batch=64
subdivisions=2
[convolutional]
filters=16
size=3
pad=1
batch_normalize=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=32
size=3
pad=1
activation=leaky
[avgpool]
[softmax]
"""


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(CFG)
    net = runner.load(tmp_path / "a.cfg", allocate=False)
    need = footprint.training(net).total
    footprint.check_fits(net, need)
    with pytest.raises(RunnerError) as caught:
        footprint.check_fits(net, need // 2)
    text = str(caught.value)
    assert "training on 32 images at a time (batch=64, subdivisions=2) takes about" in text
    subdivisions = int(text.rsplit("subdivisions=", 1)[1])
    assert 64 % subdivisions == 0
    for count, fits in ((subdivisions, True), (subdivisions // 2, False)):
        other = runner.load(tmp_path / "a.cfg", settings=[f"net.subdivisions={count}"], allocate=False)
        assert (footprint.training(other).total <= need // 2) is fits
    with pytest.raises(RunnerError, match=r"A single image takes .*: reduce width and height"):
        footprint.check_fits(net, 1 << 20)


def test_train_refuses_before_it_allocates(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(CFG.replace("batch=64", "batch=1000000"))
    done = subprocess.run([sys.executable, "run.py", "train", str(tmp_path / "a.cfg"), "--data", "data/digits",
                           "--set", "net.subdivisions=1"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "training on 1000000 images at a time" in done.stderr and "would fit" in done.stderr


# What NumPy allocates is counted, not the pages the system maps: those depend on its allocator and on the machine
MEASURE = """
import gc
import sys
import tracemalloc
import numpy as np
import runner
from runner.analysis import footprint
from runner.inference import Plan
from runner.ops import memory, parallel
from runner.optim.optimizers import make_optimizer

parallel.set_threads(1)     # with several threads it is random how much scratch memory is in use at a time

def infer(net):
    Plan(net).predict(np.zeros((1, *net.in_shape), "f4"))

def train(net):
    optimizer, n = make_optimizer(net), net.options.batch
    for _ in range(2):
        _, tape = net.forward(np.random.default_rng(0).random((n, *net.in_shape), np.float32), train=True)
        net.backward(tape, np.eye(int(np.prod(net.out_shape)), dtype="f4")[np.zeros(n, int)])
        optimizer.step(1e-6, n)

run, need = (train, footprint.training) if sys.argv[1] == "train" else (infer, footprint.inference)
small = runner.load(sys.argv[2], settings=["net.width=32", "net.height=32", "net.batch=2", "net.subdivisions=1"])
run(small)
del small
gc.collect()
memory.release()
tracemalloc.start()
net = runner.load(sys.argv[2], settings=sys.argv[3:])
need = need(net)
run(net)
unused = memory.reserved() - memory.usage()[0]      # never lent, so never written to
print((need.total - need.inputs) / (tracemalloc.get_traced_memory()[1] - unused))
"""


@pytest.mark.slow
@pytest.mark.parametrize("cfg, batch", [("cifar", 64), ("tiny", 8), ("resnet18", 8)])
def test_the_estimate_of_training_is_near_the_measured_peak(cfg: str, batch: int) -> None:
    assert 0.85 < measure("train", f"cfg/{cfg}.cfg", f"net.batch={batch}", "net.subdivisions=1") < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("cfg", ["cifar", "tiny", "resnet18"])
def test_the_estimate_of_inference_is_near_the_measured_peak(cfg: str) -> None:
    assert 0.85 < measure("infer", f"cfg/{cfg}.cfg") < 1.2


def measure(*arguments: str) -> float:
    """Estimated divided by measured peak memory."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=300, check=True)
    return float(done.stdout)


def test_the_backend_is_chosen_before_memory_is_estimated() -> None:
    """`summary` allocates nothing, yet estimates what `predict` needs with the backend it will use."""
    code = ("import runner; from runner.analysis.footprint import inference\n"
            "print(*(inference(runner.load('cfg/cifar.cfg', allocate=how)).total for how in (False, True)))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          check=True)
    shapes_only, allocated = done.stdout.split()
    assert shapes_only == allocated
