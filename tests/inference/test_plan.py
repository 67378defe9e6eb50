"""The inference plan computes what forward computes, and does not share its memory with the caller."""
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.inference import Plan
from runner.model import Model
from runner.network import LayerTimer
from runner.ops import memory, parallel

HEAD = "[net]\nwidth=12\nheight=10\nchannels=4\n"


def make(tmp_path: Path, text: str, **more: Any) -> Model:
    (tmp_path / "a.cfg").write_text(text)
    net, rng = runner.load(tmp_path / "a.cfg", **more), np.random.default_rng(1)
    for layer in net.layers:
        for name, array in (*layer.params.items(), *layer.buffers.items()):
            if name != "weights":
                array[...] = rng.uniform(.5, 1.5, array.shape)
    return net


def assert_same(net: Model, x: np.ndarray) -> None:
    """Each output on its own, some together, and all of them."""
    plan, want = net.optimized(), net.outputs(x)
    several = range(0, len(want), 2)
    answers = [*({i: plan.wanted(x, [i])[i]} for i in range(len(want))), plan.wanted(x, several),
               dict(enumerate(plan.outputs(x))), {net.last: plan.predict(x)}, plan.head_outputs(x)]
    assert sum(map(len, answers)) >= 2 * len(want) + 1
    for answer in answers:
        for i, got in answer.items():
            assert got.shape == want[i].shape and got.dtype == want[i].dtype and got.flags.c_contiguous
            np.testing.assert_allclose(got, want[i], rtol=2e-4, atol=2e-5, err_msg=f"layer {i} of {sorted(answer)}")


EVERYTHING = HEAD + """[convolutional]
filters=6
size=3
pad=1
batch_normalize=1
activation=leaky
[dropout]
probability=.5
[route]
layers=-1
groups=2
group_id=1
[convolutional]
filters=3
activation=mish
[route]
layers=-1,-2
[shortcut]
from=-5
activation=relu
[route]
layers=-1,0,-1
[convolutional]
filters=6
size=3
pad=1
groups=3
activation=normalize_channels
[maxpool]
size=2
stride=2
[upsample]
stride=2
[route]
layers=-1,-3
[shortcut]
from=-1
[sam]
from=-2
[avgpool]
[connected]
output=5
activation=logistic
[route]
layers=-1,3
[connected]
output=4
batch_normalize=1
activation=linear
[softmax]
[cost]
"""


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_call(tmp_path: Path, batch: int, dtype: str) -> None:
    net = make(tmp_path, EVERYTHING, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(batch, 4, 10, 12)).astype(dtype)
    before = x.copy()
    assert_same(net, x)
    assert np.array_equal(x, before)


def random_graph(rng: np.random.Generator) -> str:
    """Sections that read any earlier ones; every output has 4 channels of 12 x 10, or 8 that are halved at once."""
    text = HEAD
    for index in range(int(rng.integers(3, 14))):
        def earlier(index: int = index) -> int:
            return int(rng.integers(index))
        kind = rng.integers(8) if index else 0
        text += ("[convolutional]\nfilters=4\nsize=1\nbatch_normalize=1\nactivation=leaky\n",
                 "[dropout]\n",
                 f"[shortcut]\nfrom={earlier()}\nactivation=leaky\n" if index else "",
                 f"[route]\nlayers={earlier()},{earlier()}\n[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
                 if index else "",
                 f"[route]\nlayers={earlier()}\n" if index else "",
                 f"[sam]\nfrom={earlier()}\n" if index else "",
                 f"[route]\nlayers={earlier()},-1,{earlier()}\n[convolutional]\nfilters=4\nactivation=tanh\n"
                 if index else "",
                 "[maxpool]\nsize=3\n")[kind]
    return text


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(tmp_path: Path, seed: int) -> None:
    """There are more sections than iterations of the loop, so `earlier` names any of them, concatenated ones too."""
    rng = np.random.default_rng(seed)
    text = random_graph(rng)
    while True:
        try:
            net = make(tmp_path, text)
            break
        except runner.errors.CfgError:      # channels that do not fit: another graph
            text = random_graph(rng)
    assert_same(net, rng.normal(size=(int(rng.integers(1, 4)), 4, 10, 12)).astype("f4"))


def test_a_plan_of_recurrent_layers_carries_the_networks_state(tmp_path: Path) -> None:
    text = "[net]\ninputs=5\ntime_steps=3\n[lstm]\noutput=6\n[rnn]\noutput=4\nhidden=3\n[connected]\noutput=2\n"
    net = make(tmp_path, text)
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("f4")
    plan = net.optimized()
    first, second = net.predict(x), net.predict(x)
    assert not np.allclose(first, second)
    net.reset_state()
    np.testing.assert_allclose(plan.predict(x), first, rtol=1e-5)
    state = plan.state
    np.testing.assert_allclose(plan.predict(x), second, rtol=1e-5)
    plan.state = state
    np.testing.assert_allclose(net.predict(x), second, rtol=1e-5)
    plan.reset_state()
    np.testing.assert_allclose(net.predict(x), first, rtol=1e-5)


@pytest.mark.parametrize("light", [False, True], ids=["in parallel", "light"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_image_gets_the_same_bits_at_any_batch_size_and_with_any_threads(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, light: bool) -> None:
    """Whether the work is worth distributing over threads or not."""
    monkeypatch.setattr("runner.inference.plan.PARALLEL_FLOPS", 1 << 40 if light else 0)
    net, before = make(tmp_path, EVERYTHING), parallel.threads()
    x = np.random.default_rng(0).normal(size=(11, 4, 10, 12)).astype("f4")
    single = [net.optimized().predict(x[i:i + 1])[0] for i in range(len(x))]
    parallel.set_threads(threads)
    try:
        plan = net.optimized()
        for batch in (1, 2, 3, 7, 11):
            assert np.array_equal(plan.predict(x[:batch]), single[:batch])
    finally:
        parallel.set_threads(before)
    assert plan.predict(x[:0]).shape == (0, 4)


def test_what_a_plan_returned_is_never_written_over(tmp_path: Path) -> None:
    net = make(tmp_path, EVERYTHING)
    plan, rng = net.optimized(), np.random.default_rng(0)
    inputs = [rng.normal(size=(2, 4, 10, 12)).astype("f4") for _ in range(4)]
    held = [plan.outputs(x) for x in inputs]
    for x, outputs in zip(inputs, held, strict=True):
        for got, want in zip(outputs, net.outputs(x), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_threads_share_a_plan(tmp_path: Path) -> None:
    net = make(tmp_path, EVERYTHING)
    plan, rng = net.optimized(), np.random.default_rng(0)
    inputs = [rng.normal(size=(1, 4, 10, 12)).astype("f4") for _ in range(4)]
    want, wrong = [plan.predict(x) for x in inputs], []

    def work(k: int) -> None:
        for _ in range(50):
            if not np.array_equal(plan.predict(inputs[k]), want[k]):
                wrong.append(k)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


LONG = "[net]\nwidth=128\nheight=128\nchannels=16\n" + "[convolutional]\nfilters=16\nactivation=leaky\n" * 10


def test_memory_is_reused_and_released(tmp_path: Path) -> None:
    """Ten layers of a megabyte each need the memory of two."""
    net = make(tmp_path, LONG)
    before = memory.usage()[1]
    plan = net.optimized()
    plan.predict(np.zeros((1, 16, 128, 128), "f4"))
    assert 0 < memory.usage()[1] - before <= 2.1 * 4 * 256 * 256 * 4
    del plan
    assert memory.usage()[1] == before


CONCATENATED = (HEAD + "[convolutional]\nfilters=16\nactivation=leaky\n" * 2 + "[route]\nlayers=0,1\n[dropout]\n"
                "[convolutional]\nfilters=16\nactivation=leaky\n")


def test_concatenated_outputs_are_written_in_place(tmp_path: Path, backend: str) -> None:
    """A route of two convolutions is not a call, nor is a dropout.  A program is one call; it has another instruction
    at either end, where images are converted between layouts."""
    net = make(tmp_path, CONCATENATED)
    execution = Plan(net).execution_plan([net.last], rows=1)
    assert len(execution.calls) == (3 if backend == "numpy" else 1)
    assert [len(program) for program in execution.programs] == ([] if backend == "numpy" else [5])


def timed(layers: list[int]) -> LayerTimer:
    """A timer that appends the layers that are computed to a list."""
    def timer(layer: int, part: str) -> nullcontext[None]:
        assert part == "forward"
        layers.append(layer)
        return nullcontext()
    return timer


@pytest.mark.usefixtures("backend")
def test_a_timer_sees_every_layer_that_is_computed(tmp_path: Path) -> None:
    """Once each and in order; timed layers are not fused, and compute the same."""
    net, layers = make(tmp_path, CONCATENATED), list[int]()
    x = np.random.default_rng(0).normal(size=(1, 4, 10, 12)).astype("f4")
    assert np.array_equal(Plan(net, timer=timed(layers)).predict(x), Plan(net).predict(x))
    assert layers == [0, 1, 4]


@pytest.mark.usefixtures("backend")
def test_only_what_is_asked_for_is_computed(tmp_path: Path) -> None:
    net, layers = make(tmp_path, EVERYTHING), list[int]()
    plan = Plan(net, timer=timed(layers))
    plan.wanted(np.zeros((1, 4, 10, 12), "f4"), [0])
    assert layers == [0]
    layers.clear()
    plan.wanted(np.zeros((1, 4, 10, 12), "f4"), [3])
    assert layers == [0, 3], "1 is a dropout, 2 a part of it"
