"""Arrays of other programs by name, order and shape; every one is accounted for."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.errors import WeightsError
from runner.export.files import named_arrays, save_arrays
from runner.importing.arrays import fill, read_arrays
from runner.model import Model

BLOCK = """[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
activation=relu

[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
activation=linear
"""
CFG = "[net]\nwidth=8\nheight=8\nchannels=3\n\n" + BLOCK + BLOCK + """[convolutional]
filters=5
size=1
activation=linear

[connected]
output=6
activation=linear
"""


@pytest.fixture
def net(tmp_path: Path) -> Model:
    (tmp_path / "a.cfg").write_text(CFG)
    return runner.load(tmp_path / "a.cfg")


def like_pytorch(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The state of a small network in PyTorch's words, in the order in which safetensors stores names."""
    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)
    state, channels = {}, 3
    for name in ("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1"):
        bn = name.replace("conv", "bn")
        state[f"{name}.weight"] = random(4, channels, 3, 3)
        state |= {f"{bn}.weight": random(4), f"{bn}.bias": random(4), f"{bn}.running_mean": random(4),
                  f"{bn}.running_var": random(4) ** 2 + .5, f"{bn}.num_batches_tracked": np.array(3)}
        channels = 4
    state |= {"layer10.conv.weight": random(5, 4, 1, 1), "layer10.conv.bias": random(5),
              "fc.weight": random(6, 320), "fc.bias": random(6)}
    return dict(sorted(state.items()))


def test_a_pytorch_state_is_matched_by_name_order_and_shape(net: Model) -> None:
    state = like_pytorch(np.random.default_rng(0))
    table = fill(net, state, "a.safetensors")
    assert table["0.convolutional"].startswith("conv1.weight, bn1.")
    for index, name in enumerate(("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer10.conv")):
        assert np.array_equal(net.layers[index].params["weights"], state[f"{name}.weight"])
    for index, name in enumerate(("bn1", "layer1.0.bn1", "layer1.0.bn2", "layer1.1.bn1")):
        assert np.array_equal(net.layers[index].params["scales"], state[f"{name}.weight"])
        assert np.array_equal(net.layers[index].buffers["rolling_variance"], state[f"{name}.running_var"])
    assert np.array_equal(net.layers[4].params["biases"], state["layer10.conv.bias"])
    assert np.array_equal(net.layers[5].params["weights"], state["fc.weight"])


def test_a_bias_before_batch_norm_goes_into_the_mean(net: Model) -> None:
    state = like_pytorch(np.random.default_rng(0))
    state["conv1.bias"] = np.array([1, 2, 3, 4], np.float32)
    fill(net, state, "a.npz")
    mean = state["bn1.running_mean"] - state["conv1.bias"]
    np.testing.assert_array_equal(net.layers[0].buffers["rolling_mean"], mean)


@pytest.mark.parametrize(("change", "reported"), [
    (lambda state: state.pop("fc.weight"), r"layer 5 \[connected\] finds no array of the shape \[6, 320\]"),
    (lambda state: state.update({"aux.weight": np.zeros((2, 2), "f4")}), "aux.weight is left over"),
    (lambda state: [state.pop(name) for name in list(state) if name.startswith("layer1.1.bn1.")],
     "layer 3 has batch_normalize=1, and layer1.1.conv1 is followed by no batch norm"),
    (lambda state: state.update({"layer10.bn.running_mean": np.zeros(5, "f4")}),
     "layer10.conv is followed by layer10.bn: set batch_normalize=1 in layer 4"),
])
def test_what_does_not_fit_is_listed_and_nothing_changes(net: Model, change: object, reported: str) -> None:
    state, before = like_pytorch(np.random.default_rng(0)), [array.copy() for _, array in named_arrays(net)]
    change(state)       # type: ignore[operator]
    with pytest.raises(WeightsError, match=reported):
        fill(net, state, "a.npz")
    assert all(np.array_equal(old, new) for old, (_, new) in zip(before, named_arrays(net), strict=True))


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_what_export_writes_comes_back(net: Model, tmp_path: Path, ending: str) -> None:
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"a.{ending}"
    save_arrays(net, path)
    other = runner.load(tmp_path / "a.cfg", seed=9)
    fill(other, read_arrays(path), str(path))
    for (_, one), (_, two) in zip(named_arrays(net), named_arrays(other), strict=True):
        assert np.array_equal(one, two)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content in (("a.npz", b"PK\x03\x04 broken"), ("b.npz", b""), ("a.safetensors", b"\xff" * 40),
                          ("c.safetensors", b"\x08\0\0\0\0\0\0\0{}      ")):
        if name.endswith("safetensors"):
            pytest.importorskip("safetensors")
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name):
            read_arrays(tmp_path / name)
    np.savez(tmp_path / "nan.npz", weight=np.array([1, np.nan], "f4"))
    with pytest.raises(WeightsError, match="weight has NaN or infinity"):
        read_arrays(tmp_path / "nan.npz")


RESIDUAL = """[net]
width=8
height=8
channels=3

[convolutional]
filters=4
size=3
pad=1
batch_normalize=1
activation=relu

[convolutional]
filters=6
size=3
stride=2
pad=1
batch_normalize=1
activation=relu

[convolutional]
filters=6
size=3
pad=1
batch_normalize=1
activation=linear

[route]
layers=-3

[convolutional]
filters=6
size=1
stride=2
batch_normalize=1
activation=linear

[shortcut]
from=-3
activation=relu
"""
PLACES = {"torchvision's ResNet": (("conv1", "bn1"), ("layer2.0.conv1", "layer2.0.bn1"),
                                   ("layer2.0.conv2", "layer2.0.bn2"),
                                   ("layer2.0.downsample.0", "layer2.0.downsample.1")),
          "a port of darknet": tuple((f"module_list.{i}.conv_{i}", f"module_list.{i}.batch_norm_{i}")
                                     for i in (0, 1, 2, 10))}


@pytest.mark.parametrize("names", PLACES.values(), ids=list(PLACES))
def test_names_of_known_architectures(tmp_path: Path, names: tuple[tuple[str, str], ...]) -> None:
    (tmp_path / "a.cfg").write_text(RESIDUAL)
    net, rng, state = runner.load(tmp_path / "a.cfg"), np.random.default_rng(0), {}
    indices = (0, 1, 2, 4)
    for index, (conv, norm) in zip(indices, names, strict=True):
        shape = net.layers[index].specs["weights"].shape
        state[f"{conv}.weight"] = rng.normal(size=shape).astype(np.float32)
        for key in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{key}"] = rng.uniform(.5, 2, shape[0]).astype(np.float32)
    fill(net, dict(sorted(state.items())), "a.safetensors")
    for index, (conv, norm) in zip(indices, names, strict=True):
        assert np.array_equal(net.layers[index].params["weights"], state[f"{conv}.weight"])
        assert np.array_equal(net.layers[index].params["scales"], state[f"{norm}.weight"])
        assert np.array_equal(net.layers[index].buffers["rolling_mean"], state[f"{norm}.running_mean"])


def test_names_of_vgg(tmp_path: Path) -> None:
    """The layers without weights have numbers too, and features stand before the classifier."""
    (tmp_path / "a.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=3\n" + "".join(
        f"[convolutional]\nfilters={n}\nsize=3\npad=1\nactivation=relu\n" for n in (3, 3, 3))
        + "[connected]\noutput=48\nactivation=relu\n[connected]\noutput=48\nactivation=linear\n")
    net, rng = runner.load(tmp_path / "a.cfg"), np.random.default_rng(0)
    names = ("features.0", "features.2", "features.10", "classifier.0", "classifier.3")
    state = {f"{name}.weight": rng.normal(size=layer.specs["weights"].shape).astype(np.float32)
             for name, layer in zip(names, net.layers, strict=True)}
    state |= {f"{name}.bias": rng.normal(size=len(state[f"{name}.weight"])).astype(np.float32) for name in names}
    fill(net, dict(sorted(state.items())), "a.safetensors")
    for name, layer in zip(names, net.layers, strict=True):
        assert np.array_equal(layer.params["weights"], state[f"{name}.weight"]), name
        assert np.array_equal(layer.params["biases"], state[f"{name}.bias"]), name
