"""Recurrent layers beyond the common checks: time steps, state, streams, the formulas of the forks."""
from typing import Any

import numpy as np
import pytest

from runner import ops
from runner.compat import ALEXEYAB, PJREDDIE
from runner.errors import ShapeError
from runner.layers import ConvLstm, Crnn, Env, Gru, History, Layer, Lstm, Rnn, SimpleRnn

pytestmark = pytest.mark.usefixtures("backend")

STREAMS = 3
CASES = [
    (Rnn, (5,), {"output": 3, "hidden": 4, "activation": "tanh", "shortcut": True}),
    (Rnn, (5,), {"output": 3, "activation": "leaky", "batch_normalize": True}),
    (Gru, (5,), {"output": 3, "tanh": True}),
    (Lstm, (5,), {"output": 3}),
    (Lstm, (5,), {"output": 3, "batch_normalize": True}),
    (Crnn, (2, 3, 4), {"output": 3, "hidden": 2, "pad": True, "activation": "tanh"}),
    (ConvLstm, (2, 3, 4), {"output": 3, "pad": True, "peephole": True}),
    (ConvLstm, (3, 3, 4), {"output": 3, "pad": True, "bottleneck": True, "shortcut": True}),
    (History, (2, 3, 4), {"history_size": 3}),
]
NAMED = pytest.mark.parametrize("cls, shape, options", CASES, ids=lambda v: getattr(v, "__name__", ""))


def layer_of(cls: type[Layer], shape: tuple, options: dict, steps: int, **env: Any) -> Layer:
    return cls(shape, env=Env(dtype=np.dtype("float64"), time_steps=steps, **env), **options)


def rows(shape: tuple, steps: int, streams: int = STREAMS) -> np.ndarray:
    return np.random.default_rng(4).normal(size=(steps * streams, *shape))


@NAMED
def test_one_call_of_six_steps_is_six_calls_of_one(cls: type[Layer], shape: tuple, options: dict) -> None:
    x = rows(shape, 6)
    whole = layer_of(cls, shape, options, 6).forward(x)[0]
    single = layer_of(cls, shape, options, 1)
    np.testing.assert_allclose(whole, np.concatenate([single.forward(part)[0] for part in np.split(x, 6)]))
    threes = layer_of(cls, shape, options, 3)
    np.testing.assert_allclose(whole, np.concatenate([threes.forward(part)[0] for part in np.split(x, 2)]))


@NAMED
def test_the_state_reaches_the_output_until_it_is_reset(cls: type[Layer], shape: tuple, options: dict) -> None:
    layer, x = layer_of(cls, shape, options, 2), rows(shape, 2)
    first = layer.forward(x)[0]
    assert not np.allclose(layer.forward(x)[0], first)
    layer.reset_state()
    np.testing.assert_array_equal(layer.forward(x)[0], first)
    layer.reset_state(np.array([False, True, False]))
    after = layer.forward(x)[0]
    same = [np.allclose(after[i::STREAMS], first[i::STREAMS]) for i in range(STREAMS)]
    assert same == [False, True, False]


@NAMED
def test_another_number_of_streams_starts_without_state(cls: type[Layer], shape: tuple, options: dict) -> None:
    layer = layer_of(cls, shape, options, 2)
    layer.forward(rows(shape, 2))
    x = rows(shape, 2, streams=4)
    np.testing.assert_array_equal(layer.forward(x)[0], layer_of(cls, shape, options, 2).forward(x)[0])
    odd = rows(shape, 1, streams=5)     # not whole sequences: one time step of five streams
    np.testing.assert_array_equal(layer.forward(odd)[0], layer_of(cls, shape, options, 1).forward(odd)[0])
    with pytest.raises(ShapeError, match=r"a multiple of time_steps=2 rows\. Got 5"):
        layer.forward(odd, train=True)


@NAMED
def test_training_continues_from_the_previous_batch(cls: type[Layer], shape: tuple, options: dict) -> None:
    """By default; both forks start [rnn] and [crnn] with a state of zeros."""
    for compat in (None, ALEXEYAB, PJREDDIE):
        layer = layer_of(cls, shape, options, 2, **({"compat": compat} if compat else {}))
        x = rows(shape, 2)
        first, again = (layer.forward(x, train=True)[0] for _ in range(2))
        assert np.allclose(first, again) == (compat is not None and cls in (Rnn, Crnn))


def test_frozen_parts_keep_their_statistics() -> None:
    layer = layer_of(Lstm, (5,), {"output": 3, "batch_normalize": True}, 2)
    layer.frozen = True
    layer.forward(rows((5,), 2), train=True)
    assert not layer.buffers["uf/rolling_mean"].any()
    layer.frozen = False
    layer.forward(rows((5,), 2), train=True)
    assert layer.buffers["uf/rolling_mean"].any()


def test_lstm_is_the_textbook_one() -> None:
    layer, x = layer_of(Lstm, (5,), {"output": 2}, 4), rows((5,), 4)
    for p in layer.params.values():
        p += np.random.default_rng(1).normal(size=p.shape)
    params, h, c = layer.params, np.zeros((STREAMS, 2)), np.zeros((STREAMS, 2))
    for t in range(4):
        z = {g: x[t * STREAMS:(t + 1) * STREAMS] @ params[f"u{g}/weights"].T + params[f"u{g}/biases"]
             + h @ params[f"w{g}/weights"].T + params[f"w{g}/biases"] for g in "figo"}
        f, i, o = (ops.logistic(z[g]) for g in "fio")
        c = f * c + i * np.tanh(z["g"])
        h = o * np.tanh(c)
    np.testing.assert_allclose(layer.forward(x)[0][-STREAMS:], h)


def test_stored_orders_are_the_forks() -> None:
    order = {compat.name: "".join(name.split("/")[0] for name in
                                  layer_of(Gru, (5,), {"output": 2}, 1, compat=compat).stored[::2])
             for compat in (ALEXEYAB, PJREDDIE)}
    assert order == {"alexeyab": "uzuruhwzwrwh", "pjreddie": "wzwrwhuzuruh"}


def test_hidden_is_ignored_where_the_fork_ignores_it() -> None:
    def hidden(**more: Any) -> int:
        options = {"output": 3} | ({"hidden": 7} if more.pop("given", False) else {})
        return layer_of(Rnn, (5,), options, 1, **more).specs["self_layer/biases"].size
    assert (hidden(), hidden(given=True)) == (3, 7)
    assert (hidden(compat=ALEXEYAB), hidden(compat=ALEXEYAB, given=True)) == (1, 7)
    assert (hidden(compat=PJREDDIE), hidden(compat=PJREDDIE, given=True)) == (3, 3)


def test_history_shows_the_newest_frame_first() -> None:
    layer = layer_of(History, (1, 1, 1), {"history_size": 3}, 4)
    y, saved = layer.forward(np.arange(1, 9).reshape(8, 1, 1, 1), train=True)       # streams 1 3 5 7 and 2 4 6 8
    assert y[0::2, :, 0, 0].tolist() == [[1, 0, 0], [3, 1, 0], [5, 3, 1], [7, 5, 3]]
    dx, = layer.backward(np.ones_like(y), saved)
    assert dx is not None
    assert dx[:, 0, 0, 0].tolist() == [3, 3, 3, 3, 2, 2, 1, 1]
    assert layer.forward(np.full((2, 1, 1, 1), 9))[0][:, :, 0, 0].tolist() == [[9, 7, 5], [9, 8, 6]]


def test_simplernn_can_return_only_the_last_time_step() -> None:
    x = rows((4,), 3)
    last = layer_of(SimpleRnn, (4,), {"outputs": 2, "steps": 3, "return_sequence": False}, 1)
    every = layer_of(SimpleRnn, (4,), {"outputs": 2, "steps": 3}, 1)
    y, saved = last.forward(x, train=True)
    full, saved_full = every.forward(x, train=True)
    assert y.shape == (STREAMS, 2)
    np.testing.assert_array_equal(y, full[-STREAMS:])
    dy = np.zeros_like(full)
    dy[-STREAMS:] = 1
    (dx_last,), (dx_every,) = last.backward(np.ones_like(y), saved), every.backward(dy, saved_full)
    assert dx_last is not None and dx_every is not None
    np.testing.assert_allclose(dx_last, dx_every)
    np.testing.assert_allclose(last.grads["recurrent_weights"], every.grads["recurrent_weights"])


@pytest.mark.parametrize("cls, options, words", [
    (Crnn, {"output": 2, "hidden": 2}, "use stride=1 and pad=1"),
    (ConvLstm, {"output": 2, "pad": True, "stride": 2}, "must keep the size of the image"),
    (ConvLstm, {"output": 5, "pad": True, "bottleneck": True}, "as many input channels as output=5. Got 2"),
])
def test_errors(cls: type[Layer], options: dict, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        cls((2, 6, 6), **options)


def test_time_normalizer_scales_the_gradient_through_h() -> None:
    """0 cuts it: from the second time step, gradient then reaches the first only through the cell state."""
    grads = {}
    for factor in (0.0, 1.0):
        options = {"output": 1, "size": 1, "bottleneck": True, "time_normalizer": factor}
        layer = layer_of(ConvLstm, (1, 2, 2), options, 2)
        for p in layer.params.values():
            p[...] = 0.5
        _, saved = layer.forward(np.ones((2, 1, 2, 2)), train=True)
        layer.backward(np.stack([np.zeros((1, 2, 2)), np.ones((1, 2, 2))]), saved)
        grads[factor] = layer.grads["uo/biases"].copy()
    assert not np.allclose(grads[0.0], grads[1.0])
