"""A resized network keeps its weights, and equals a network built at that size."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.errors import ShapeError

HEAD = "[net]\nwidth={}\nheight={}\nchannels=3\nbatch=2\n"
CONV = "[convolutional]\nfilters={}\nsize=3\nstride={}\npad=1\nbatch_normalize=1\nactivation=leaky\n"
BODY = (CONV.format(4, 2) + CONV.format(6, 2) + CONV.format(6, 1) + "[shortcut]\nfrom=-2\nactivation=linear\n"
        "[dropout]\nprobability=.2\n[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n[route]\nlayers=-1,-6\n"
        "[convolutional]\nfilters=14\nactivation=linear\n[yolo]\nclasses=2\nnum=2\nanchors=6,6,12,12\n")
RECURRENT = "[crnn]\nhidden=4\noutput=6\nsize=3\npad=1\n[conv_lstm]\noutput=5\nsize=3\npad=1\n"


def network(folder: Path, width: int, height: int, body: str = BODY) -> runner.Network:
    (folder / "a.cfg").write_text(HEAD.format(width, height) + body)
    return runner.load(folder / "a.cfg", seed=3)


@pytest.mark.parametrize("body", [BODY, RECURRENT + BODY], ids=["convolutional", "recurrent"])
def test_a_resized_network_equals_one_built_at_that_size(body: str, tmp_path: Path) -> None:
    net, rng = network(tmp_path, 32, 24, body), np.random.default_rng(0)
    other = network(tmp_path, 48, 32, body)
    x, truth = rng.random((2, 3, 32, 48), np.float32), np.array([[[.4, .5, .3, .2, 1]]] * 2, np.float32)
    before = net.predict(x[:, :, :24, :32])
    net.resize(48, 32)
    assert net.in_shape == (3, 32, 48) and net.out_shape == other.out_shape
    assert [layer.out_shape for layer in net.layers] == [layer.out_shape for layer in other.layers]
    net.reset_state()
    np.testing.assert_array_equal(net.predict(x), other.predict(x))
    for one in (net, other):
        one.reset_state()
        one.zero_grads()
        one.env.rng = np.random.default_rng(1)
        _, tape = one.forward(x, train=True)
        one.backward(tape, truth)
    for ours, theirs in zip(net.layers, other.layers, strict=True):
        assert ours.grads.keys() == theirs.grads.keys()
        for name, grad in ours.grads.items():
            np.testing.assert_array_equal(grad, theirs.grads[name])
    assert net.losses == other.losses
    net.resize(32, 24)
    again = network(tmp_path, 32, 24, body)
    again.reset_state()
    np.testing.assert_array_equal(before, again.predict(x[:, :, :24, :32]))


def test_the_parameter_arrays_stay_the_same_objects(tmp_path: Path) -> None:
    net = network(tmp_path, 32, 32)
    arrays = [array for layer in net.layers for array in layer.params.values()]
    net.resize(64, 64)
    now = [array for layer in net.layers for array in layer.params.values()]
    assert all(a is b for a, b in zip(arrays, now, strict=True))


@pytest.mark.parametrize("body, size, message", [
    ("[connected]\noutput=3\n[softmax]\n", (16, 16), r"layer 0 \[connected\]: the weights of \[connected\] depend on"),
    ("[crop]\ncrop_height=20\ncrop_width=20\n", (16, 32), r"layer 0 \[crop\]: a crop of 20 x 20 does not fit"),
    (BODY, (36, 36), r"layer 8 \[convolutional\]: expects an image .* inputs differ in width and height"),
])
def test_an_impossible_size_is_an_error_and_changes_nothing(body: str, size: tuple[int, int], message: str,
                                                            tmp_path: Path) -> None:
    net = network(tmp_path, 32, 32, body)
    shapes = [layer.out_shape for layer in net.layers]
    x = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    before = net.predict(x)
    with pytest.raises(ShapeError, match=message):
        net.resize(*size)
    assert [layer.out_shape for layer in net.layers] == shapes and net.in_shape == (3, 32, 32)
    np.testing.assert_array_equal(net.predict(x), before)


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    net = network(tmp_path, 16, 16, CONV.format(3, 1) + CONV.format(3, 1) + CONV.format(3, 1).rstrip()
                  + "\nshare_index=-1\n")
    net.resize(24, 16)
    assert net.layers[2].params["weights"] is net.layers[1].params["weights"] and net.layers[2].stored == ()


def test_a_network_without_image_input_cannot_be_resized(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\ninputs=5\n[connected]\noutput=2\n")
    with pytest.raises(ShapeError, match="takes 5 values, not images"):
        runner.load(tmp_path / "a.cfg").resize(8, 8)
