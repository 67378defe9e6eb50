"""The inference plan gives what forward gives, and keeps its memory to itself."""
import threading
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import ops
from runner.errors import MissingExtra
from runner.model import Model
from runner.ops import memory, parallel

HEAD = "[net]\nwidth=12\nheight=10\nchannels=4\n"


def make(tmp_path: Path, text: str, **more) -> Model:
    (tmp_path / "a.cfg").write_text(text)
    net, rng = runner.load(tmp_path / "a.cfg", **more), np.random.default_rng(1)
    for layer in net.layers:
        for name, array in (*layer.params.items(), *layer.buffers.items()):
            if name != "weights":
                array[...] = rng.uniform(.5, 1.5, array.shape)
    return net


def assert_same(net: Model, x: np.ndarray) -> None:
    """Each output asked for alone, some together, and all at once."""
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
def test_every_kind_of_step(tmp_path: Path, batch: int, dtype: str) -> None:
    net = make(tmp_path, EVERYTHING, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(batch, 4, 10, 12)).astype(dtype)
    before = x.copy()
    assert_same(net, x)
    assert np.array_equal(x, before)


def random_graph(rng: np.random.Generator) -> str:
    """Sections that read each other crosswise; every output has 4 channels of 12 x 10, or 8 that are halved at once."""
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
    """Sections count further than the loop does, so that `earlier` names any of them, joined ones too."""
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
    kept = plan.state
    np.testing.assert_allclose(plan.predict(x), second, rtol=1e-5)
    plan.state = kept
    np.testing.assert_allclose(net.predict(x), second, rtol=1e-5)
    plan.reset_state()
    np.testing.assert_allclose(net.predict(x), first, rtol=1e-5)


@pytest.mark.parametrize("light", [False, True], ids=["shared", "light"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_image_gets_the_same_bits_at_any_batch_size_and_with_any_threads(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, light: bool) -> None:
    """Whether images are worth being shared among threads or not."""
    monkeypatch.setattr("runner.inference.plan.LIGHT", 1 << 40 if light else 0)
    net, before = make(tmp_path, EVERYTHING), parallel.threads()
    x = np.random.default_rng(0).normal(size=(11, 4, 10, 12)).astype("f4")
    alone = [net.optimized().predict(x[i:i + 1])[0] for i in range(len(x))]
    parallel.set_threads(threads)
    try:
        plan = net.optimized()
        for batch in (1, 2, 3, 7, 11):
            assert np.array_equal(plan.predict(x[:batch]), alone[:batch])
    finally:
        parallel.set_threads(before)
    assert plan.predict(x[:0]).shape == (0, 4)


def test_what_a_plan_returned_is_the_callers(tmp_path: Path) -> None:
    net = make(tmp_path, EVERYTHING)
    plan, rng = net.optimized(), np.random.default_rng(0)
    inputs = [rng.normal(size=(2, 4, 10, 12)).astype("f4") for _ in range(4)]
    held = [plan.outputs(x) for x in inputs]
    for x, outputs in zip(inputs, held, strict=True):
        for got, want in zip(outputs, net.outputs(x), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_two_threads_infer_at_once(tmp_path: Path) -> None:
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


def test_memory_is_used_again_and_given_back(tmp_path: Path) -> None:
    """Ten layers of a megabyte each need the place of two."""
    net = make(tmp_path, LONG)
    before = memory.usage()[1]
    plan = net.optimized()
    plan.predict(np.zeros((1, 16, 128, 128), "f4"))
    assert 0 < memory.usage()[1] - before <= 2.1 * 4 * 256 * 256 * 4
    del plan
    assert memory.usage()[1] == before


@pytest.mark.parametrize("backend", ["numpy", "fast"])
def test_joined_outputs_are_written_in_place(tmp_path: Path, backend: str) -> None:
    """A route of two convolutions is no step, nor is a dropout.  A program has one more at either end, where images
    are brought into another layout."""
    conv = "[convolutional]\nfilters=16\nactivation=leaky\n"
    before = ops.backend()
    try:
        ops.use(backend)
        net = make(tmp_path, HEAD + conv + conv + "[route]\nlayers=0,1\n[dropout]\n" + conv)
        plan = net.optimized()
        plan.predict(np.zeros((1, 4, 10, 12), "f4"))
    except MissingExtra as missing:
        pytest.skip(str(missing))
    finally:
        ops.use(before)
    [recipe] = plan._recipes.values()
    if backend == "numpy":
        assert len(recipe.calls) == 3
    else:
        assert len(recipe.calls) == 1 and len(recipe.programs[0]._steps) == 5


def test_what_nobody_asked_for_is_not_computed(tmp_path: Path) -> None:
    net = make(tmp_path, EVERYTHING)
    plan = net.optimized()
    plan.wanted(np.zeros((1, 4, 10, 12), "f4"), [0])
    assert [len(recipe.calls) for recipe in plan._recipes.values()] == [1]
