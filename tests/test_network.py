"""The network graph: branches, heads, frozen layers, shapes, and when outputs are freed."""
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.errors import CfgError, ShapeError, UsageError
from runner.network import Network

NET = "[net]\nwidth=6\nheight=5\nchannels=2\n"
BRANCHES = NET + """[convolutional]
filters=3
size=3
pad=1
activation=tanh
[convolutional]
filters=3
activation=linear
[shortcut]
from=-2
[route]
layers=-1,0
[connected]
output=2
activation=linear
"""


def make(tmp_path: Path, text: str, **options: Any) -> Network:
    (tmp_path / "a.cfg").write_text(text)
    return runner.load(tmp_path / "a.cfg", **options)


def test_the_gradients_of_an_output_with_three_consumers_are_summed(tmp_path: Path) -> None:
    net, rng = make(tmp_path, BRANCHES, dtype="float64"), np.random.default_rng(0)
    x = rng.normal(size=(3, 2, 5, 6))
    y, tape = net.forward(x, train=True)
    dy = rng.normal(size=y.shape)
    _, dx = net.backward(tape, dy=dy, input_gradient=True)
    assert tape == [] and dx is not None
    d, eps = rng.normal(size=x.shape), 1e-6
    up, down = (float((net.predict(x + s * d) * dy).sum()) for s in (eps, -eps))
    np.testing.assert_allclose((dx * d).sum(), (up - down) / (2 * eps), rtol=1e-7)
    w = net.layers[0].params["weights"]
    d, kept = rng.normal(size=w.shape), w.copy()
    values = []
    for s in (eps, -eps):
        w[...] = kept + s * d
        values.append(float((net.predict(x) * dy).sum()))
    analytic = (net.layers[0].grads["weights"] * d).sum()
    np.testing.assert_allclose(analytic, (values[0] - values[1]) / (2 * eps), rtol=1e-7)


def test_the_loss_is_the_mean_of_the_heads(tmp_path: Path) -> None:
    net = make(tmp_path, "[net]\ninputs=4\n[connected]\noutput=3\nactivation=linear\n[softmax]\n[cost]\nscale=.5\n")
    x, truth = np.ones((2, 4), "f4"), np.eye(3, dtype="f4")[:2]
    p, tape = net.forward(x, train=True)
    loss, _ = net.backward(tape, truth)
    cross, squares = -np.log((p * truth).sum(1)).sum(), ((p - truth) ** 2).sum()
    np.testing.assert_allclose([net.losses[1], net.losses[2], loss], [cross, squares, (cross + squares) / 2], rtol=1e-5)
    # the gradient of the cross-entropy, plus scale times the same again: cfgs with this ending were trained this way
    np.testing.assert_allclose(net.layers[0].grads["biases"], 1.5 * (p - truth).sum(0), rtol=1e-5)


def test_predict_returns_the_last_layer_that_is_not_a_cost(tmp_path: Path) -> None:
    net = make(tmp_path, "[net]\ninputs=4\n[connected]\noutput=3\n[softmax]\n[cost]\n")
    np.testing.assert_allclose(net.predict(np.ones((2, 4))).sum(1), 1, rtol=1e-6)
    assert len(net.outputs(np.ones((2, 4)))) == 3


def test_outputs_are_freed_after_their_last_consumer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = make(tmp_path, BRANCHES)
    net.predict(np.ones((1, 2, 5, 6)))      # a kernel that is compiled now may keep its arguments alive
    alive: list[weakref.ref] = []
    counts: list[int] = []
    for layer in net.layers:
        def forward(*xs: np.ndarray, train: bool = False, inner: Any = layer.forward) -> tuple[np.ndarray, None]:
            y, _ = inner(*xs, train=train)
            held = np.array(y)      # a copy: a view could be kept alive by its base
            alive.append(weakref.ref(held))
            counts.append(sum(ref() is not None for ref in alive))
            return held, None
        monkeypatch.setattr(layer, "forward", forward)
    net.predict(np.ones((1, 2, 5, 6)))
    assert counts == [1, 2, 3, 3, 2], "at most the outputs with a remaining consumer, and the new one"


CLASSIFIER = """[net]
width=24
height=20
channels=3
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
filters=16
size=3
pad=1
groups=16
activation=mish
[convolutional]
filters=20
activation=leaky
[connected]
output=50
activation=tanh
[dropout]
probability=.5
[connected]
output=7
activation=linear
[softmax]
"""


@pytest.mark.parametrize("batch", [1, 2, 7, 33])
@pytest.mark.parametrize("text, shape", [(BRANCHES, (2, 5, 6)), (CLASSIFIER, (3, 20, 24))])
def test_outputs_do_not_depend_on_the_batch_size(tmp_path: Path, text: str, shape: tuple, batch: int) -> None:
    net = make(tmp_path, text)
    x = np.random.default_rng(0).normal(size=(batch, *shape)).astype("f4")
    single = np.concatenate([net.predict(x[i:i + 1]) for i in range(batch)])
    assert np.array_equal(net.predict(x), single)


def test_an_input_of_the_wrong_shape_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShapeError) as caught:
        make(tmp_path, BRANCHES).predict(np.ones((1, 3, 5, 6)))
    assert str(caught.value) == "the network takes (images, 2, 5, 6). Got an array of shape (1, 3, 5, 6)"


FROZEN = NET + """[convolutional]
filters=3
batch_normalize=1
activation=leaky
[convolutional]
filters=3
{option}
activation=leaky
[convolutional]
filters=1
activation=leaky
[cost]
"""


@pytest.mark.parametrize("option, moved", [("", [True, True, True]), ("stopbackward=1", [False, False, True]),
                                           ("onlyforward=1", [False, False, True]),
                                           ("learning_rate=0", [True, False, True])])
def test_frozen_layers_keep_their_weights(tmp_path: Path, option: str, moved: list[bool]) -> None:
    net = make(tmp_path, FROZEN.format(option=option))
    before = [layer.params["weights"].copy() for layer in net.layers[:3]]
    rolled = net.layers[0].buffers["rolling_mean"].copy()
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6)))] * 2
    list(runner.train(net, pairs))
    now = [not np.array_equal(a, layer.params["weights"]) for a, layer in zip(before, net.layers, strict=False)]
    assert now == moved
    frozen = option == "stopbackward=1"
    assert np.array_equal(rolled, net.layers[0].buffers["rolling_mean"]) == frozen


def test_stopbackward_for_the_first_updates_only(tmp_path: Path) -> None:
    net = make(tmp_path, FROZEN.format(option="stopbackward=2"))
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6))
    w = net.layers[0].params["weights"]
    kept, moved = w.copy(), []
    for _ in runner.train(net, [pair] * 4):
        moved.append(not np.array_equal(kept, w))
    assert moved == [False, False, True, True]


def after(tmp_path: Path, option: str, updates: int) -> Network:
    """The network FROZEN with an option in its second layer, after some updates on one batch."""
    made = make(tmp_path, FROZEN.format(option=option))
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6))
    list(runner.train(made, [pair] * updates))
    return made


def test_train_only_bn_changes_nothing_but_the_statistics(tmp_path: Path) -> None:
    start, plain, held = after(tmp_path, "", 0), after(tmp_path, "", 1), after(tmp_path, "train_only_bn=1", 1)
    for index in (0, 1):
        for name, array in start.layers[index].params.items():
            assert np.array_equal(array, held.layers[index].params[name]), (index, name)
            assert not np.array_equal(array, plain.layers[index].params[name]), (index, name)
    for name, array in plain.layers[0].buffers.items():
        assert np.array_equal(array, held.layers[0].buffers[name]), "normalized by the batch, as in training"
        assert not np.array_equal(array, start.layers[0].buffers[name])
    for name, array in plain.layers[2].params.items():
        assert np.array_equal(array, held.layers[2].params[name])
    frozen = after(tmp_path, "stopbackward=1", 1).layers[2].params["weights"]
    assert not np.array_equal(plain.layers[2].params["weights"], frozen), "normalized by the rolling statistics"


def test_train_only_bn_in_the_last_layer(tmp_path: Path) -> None:
    text = FROZEN.format(option="").replace("[cost]", "[cost]\ntrain_only_bn=1")
    net, plain = make(tmp_path, text), make(tmp_path, FROZEN.format(option=""))
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6))
    rolled = net.layers[0].buffers["rolling_mean"].copy()
    losses = [step.loss for step in runner.train(net, [(x, truth)] * 2)]
    assert losses == [next(iter(runner.train(plain, [(x, truth)]))).loss] * 2, "the loss is reported"
    fresh = make(tmp_path, text)
    assert all(np.array_equal(array, fresh.layers[index].params[name])
               for index in range(3) for name, array in net.layers[index].params.items())
    assert not np.array_equal(rolled, net.layers[0].buffers["rolling_mean"])


def test_train_only_bn_leaves_the_gradient_of_the_input(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6))
    found = []
    for option in ("", "train_only_bn=1"):
        net = make(tmp_path, FROZEN.format(option=option))
        _, dx = net.backward(net.forward(x, train=True)[1], truth, input_gradient=True)
        assert dx is not None and dx.any()
        found.append(dx)
    assert np.array_equal(found[0], found[1])


@pytest.mark.parametrize("option, net, moved", [
    ("dont_update=2", "", [False, False, True, True]), ("dont_update=1", "", [False, True, True, True]),
    ("dont_update=99", "", [False] * 4), ("burnin_update=1", "burn_in=3", [False, False, True, True]),
    ("burnin_update=2", "burn_in=2", [False, False, False, True]), ("burnin_update=5", "", [True] * 4)])
def test_a_layer_that_is_not_updated_at_first(tmp_path: Path, option: str, net: str, moved: list[bool]) -> None:
    made = make(tmp_path, FROZEN.format(option=option).replace("[net]\n", f"[net]\n{net}\n", 1))
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6))
    weights = [layer.params["weights"] for layer in made.layers[:3]]
    kept, found = [w.copy() for w in weights], []
    for _ in runner.train(made, [pair] * 4):
        found.append([not np.array_equal(a, b) for a, b in zip(kept, weights, strict=True)])
    assert [one[1] for one in found] == moved
    assert all(one[0] and one[2] for one in found), "the gradient passes through, and the others learn"


def test_a_layer_that_is_not_updated_gathers_no_momentum(tmp_path: Path) -> None:
    text = NET.replace("[net]\n", "[net]\nmomentum=.9\ndecay=.1\n", 1) + \
        "[convolutional]\nfilters=1\nactivation=leaky\n{}\n[cost]\n"
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 1, 5, 6))
    late, plain = make(tmp_path, text.format("dont_update=3")), make(tmp_path, text.format(""))
    list(runner.train(late, [pair] * 4))
    list(runner.train(plain, [pair]))
    for name, array in plain.layers[0].params.items():
        assert np.array_equal(array, late.layers[0].params[name])


def test_shared_weights_are_one_array_with_one_gradient(tmp_path: Path) -> None:
    text = NET + "[convolutional]\nfilters=2\nactivation=linear\n[convolutional]\nfilters=2\nshare_index=0\n" \
        "activation=linear\n[cost]\n"
    net = make(tmp_path, text, dtype="float64")
    assert net.layers[0].params["weights"] is net.layers[1].params["weights"]
    rng = np.random.default_rng(0)
    x, truth, w = rng.normal(size=(2, 2, 5, 6)), rng.normal(size=(2, 2, 5, 6)), net.layers[0].params["weights"]
    _, tape = net.forward(x, train=True)
    net.backward(tape, truth)
    d, kept, values = rng.normal(size=w.shape), w.copy(), []
    for s in (1e-6, -1e-6):
        w[...] = kept + s * d
        values.append(((net.predict(x) - truth) ** 2).sum() / 2)
    np.testing.assert_allclose((net.layers[0].grads["weights"] * d).sum(), (values[0] - values[1]) / 2e-6, rtol=1e-6)
    with pytest.raises(CfgError, match="share_index must name an earlier"):
        make(tmp_path, text.replace("share_index=0", "share_index=5"))


def test_a_huge_network_is_checked_without_its_weights(tmp_path: Path) -> None:
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n" + "[convolutional]\nfilters=200000\nsize=3\npad=1\n" * 3
    (tmp_path / "a.cfg").write_text(text)
    net, report = runner.check(tmp_path / "a.cfg")
    assert net is not None and not report.errors and net.param_count > 10**11


def test_an_unknown_fork_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        make(tmp_path, BRANCHES, compat="alexey")
    assert str(caught.value) == ("compat must be one of exact, alexeyab, pjreddie, yolor. Got 'alexey' "
                                 "(did you mean 'alexeyab'?)")
