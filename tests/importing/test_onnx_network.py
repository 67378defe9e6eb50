"""ONNX graphs become cfgs whose networks compute the same."""
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner import weights
from runner.errors import UsageError
from tests.paths import ROOT

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from runner.export import OnnxOptions, onnx_model  # noqa: E402
from runner.importing.onnx_network import Imported, import_onnx  # noqa: E402
from tests.importing.graphs import NETWORKS, Build  # noqa: E402


def imported(tmp_path: Path, model: Any, **options: Any) -> Imported:
    """Of a model, which must compute the same; and its cfg must be one that `check` accepts."""
    onnx.save(model, tmp_path / "model.onnx")
    found = import_onnx(tmp_path / "model.onnx", **options)
    assert found.found and found.same, found.found
    (tmp_path / "net.cfg").write_text(found.text)
    net, report = runner.check(tmp_path / "net.cfg")
    assert net is not None and not report.errors
    return found


def sections(found: Imported) -> list[str]:
    return [section.name for section in found.net.sections[1:]]


def refused(tmp_path: Path, model: Any, **options: Any) -> str:
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(UsageError) as caught:
        import_onnx(tmp_path / "model.onnx", **options)
    return str(caught.value)


SECTIONS = {
    "residual": "convolutional maxpool convolutional convolutional shortcut convolutional convolutional route "
                "convolutional shortcut avgpool connected",
    "inverted_residual": "convolutional convolutional convolutional convolutional shortcut convolutional avgpool "
                         "dropout connected",
    "fire": "convolutional maxpool convolutional convolutional route convolutional route convolutional avgpool",
    "vgg": "convolutional maxpool convolutional maxpool local_avgpool connected connected connected softmax",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_in_the_style_of_torchvision(name: str, tmp_path: Path) -> None:
    found = imported(tmp_path, NETWORKS[name]())
    assert sections(found) == SECTIONS[name].split()
    assert ("batch_normalize=1" in found.text) == (name != "fire")
    assert "[activation]" not in found.text and "[batchnorm]" not in found.text
    assert re.search(r"^# /layer0/Conv(, /layer1/BatchNormalization)?, /layer\d/(Relu|Clip)\n\[convolutional\]\n",
                     found.text, re.M)


def test_the_files_are_those_of_the_network(tmp_path: Path) -> None:
    found = imported(tmp_path, NETWORKS["residual"]())
    weights.save(found.net, tmp_path / "net.weights")
    net = runner.load(tmp_path / "net.cfg", tmp_path / "net.weights")
    x = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    assert np.array_equal(net.predict(x), found.net.predict(x))


def test_another_epsilon_goes_into_the_variance(tmp_path: Path) -> None:
    b = Build()
    model = b.model(b.norm(b.conv("x", 3, 4, bias=True), 4, 1e-3), rank=4)
    layer = imported(tmp_path, model).net.layers[0]
    mean, variance = (onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer[-2:])
    bias = onnx.numpy_helper.to_array(model.graph.initializer[1])
    assert np.allclose(layer.buffers["rolling_variance"], variance + .00099, rtol=1e-6)
    assert np.allclose(layer.buffers["rolling_mean"], mean - bias, rtol=1e-5, atol=1e-7)


def test_a_batch_norm_of_an_output_with_two_readers_is_a_section(tmp_path: Path) -> None:
    b = Build()
    x = b.conv("x", 3, 4)
    y = b.node("Relu", b.norm(x, 4))
    assert sections(imported(tmp_path, b.model(b.node("Add", x, y), rank=4))) == [
        "convolutional", "batchnorm", "activation", "shortcut"]


ACTIVATIONS: dict[str, Callable[[Build, str], str]] = {
    "relu": lambda b, x: b.node("Relu", x), "relu6": lambda b, x: b.relu6(x),
    "leaky": lambda b, x: b.node("LeakyRelu", x, alpha=.1), "relie": lambda b, x: b.node("LeakyRelu", x),
    "logistic": lambda b, x: b.node("Sigmoid", x), "tanh": lambda b, x: b.node("Tanh", x),
    "swish": lambda b, x: b.node("Mul", x, b.node("Sigmoid", x)), "softplus": lambda b, x: b.node("Softplus", x),
    "elu": lambda b, x: b.node("Elu", x, alpha=1.), "selu": lambda b, x: b.node("Selu", x),
    "mish": lambda b, x: b.node("Mul", x, b.node("Tanh", b.node("Softplus", x))),
    "hardtan": lambda b, x: b.node("Clip", x, b.array(-1.), b.array(1.)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, tmp_path: Path) -> None:
    b = Build()
    found = imported(tmp_path, b.model(ACTIVATIONS[name](b, b.conv("x", 3, 4, bias=True)), rank=4))
    assert sections(found) == ["convolutional"] and f"activation={name}\n" in found.text


OPERATORS: dict[str, tuple[str, Callable[[Build, str], str]]] = {
    "squeeze and excitation": ("avgpool convolutional scale_channels", lambda b, x: b.node("Mul", x, b.node(
        "Sigmoid", b.conv(b.node("GlobalAveragePool", x), 4, 4, 1)))),
    "attention": ("convolutional scale_channels", lambda b, x: b.node("Mul", x, b.node("Sigmoid", b.conv(x, 4, 1)))),
    "product": ("convolutional sam", lambda b, x: b.node("Mul", x, b.conv(x, 4, 4))),
    "parts": ("route route route", lambda b, x: b.node("Concat", *b.node(
        "Split", x, b.integers(2, 2), axis=1, count=2)[::-1], axis=1)),
    "slice": ("channel_slice", lambda b, x: b.node("Slice", x, b.integers(1), b.integers(9), b.integers(1))),
    "upsample": ("upsample", lambda b, x: b.node("Resize", x, "", b.array([1, 1, 2, 2]), mode="nearest",
                                                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    "pixel shuffle": ("shuffler", lambda b, x: b.node("DepthToSpace", x, blocksize=2)),
    "space to depth": ("reorg3d", lambda b, x: b.node("SpaceToDepth", x, blocksize=2)),
    "channel shuffle": ("channel_shuffle", lambda b, x: b.node("Reshape", b.node("Transpose", b.node(
        "Reshape", x, b.integers(0, 2, 2, 32, 32)), perm=[0, 2, 1, 3, 4]), b.integers(0, 4, 32, 32))),
    "transposed convolution": ("deconvolutional", lambda b, x: b.node("ConvTranspose", x, b.array(
        b.rng.normal(size=(4, 3, 4, 4))), kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])),
    "pad": ("convolutional", lambda b, x: b.conv(b.node("Pad", x, b.integers(0, 0, 1, 1, 0, 0, 1, 1)), 4, 5, pad=0)),
    "zeros that no window reaches": ("convolutional", lambda b, x: b.conv(x, 4, 5, 2, stride=2, pad=(0, 0, 1, 1))),
    "strides": ("convolutional", lambda b, x: b.node("Conv", x, b.array(b.rng.normal(size=(2, 4, 3, 3))),
                                                     strides=[2, 1], pads=[1, 1, 1, 1])),
    "dilation": ("convolutional", lambda b, x: b.conv(x, 4, 3, pad=2, dilations=[2, 2])),
    "mean": ("local_avgpool", lambda b, x: b.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2],
                                                  pads=[1, 1, 1, 1])),
    "softmax of pixels": ("softmax", lambda b, x: b.node("Softmax", x, axis=1)),
    "scale": ("depthwise_convolutional", lambda b, x: b.node("Div", b.node("Sub", x, b.array(
        [[[.4]], [[.5]], [[.6]], [[.3]]])), b.array([[[.2]], [[.3]], [[.2]], [[.1]]]))),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str, tmp_path: Path) -> None:
    wanted, add = OPERATORS[name]
    b = Build(("batch", 4, 32, 32))
    x = b.node("MaxPool", "x", kernel_shape=[1, 1])
    found = imported(tmp_path, b.model(add(b, x), rank=4))
    assert [one for one in sections(found)[1:] if one != "route" or "route" in wanted] == wanted.split()


def test_shapes_that_are_computed_are_constants(tmp_path: Path) -> None:
    """x.view(x.size(0), -1), as older exporters write it."""
    b = Build(("batch", 3, 8, 8))
    x = b.conv("x", 3, 2)
    rows = b.node("Gather", b.node("Shape", x), b.array(0, np.int64), axis=0)
    shape = b.node("Concat", b.node("Unsqueeze", rows, b.integers(0)), b.integers(-1), axis=0)
    found = imported(tmp_path, b.model(b.linear(b.node("Reshape", x, shape), 128, 3)))
    assert sections(found) == ["convolutional", "connected"]


def test_the_size_may_be_open(tmp_path: Path) -> None:
    b = Build(("batch", 3, "height", "width"))
    model = b.model(b.conv("x", 3, 4), rank=4)
    assert "--size WxH" in refused(tmp_path, model)
    assert imported(tmp_path, model, size=(24, 16)).net.in_shape == (3, 16, 24)


def test_several_outputs_and_an_input_with_two_readers(tmp_path: Path) -> None:
    b = Build()
    one, two = b.conv("x", 3, 4), b.conv("x", 3, 2)
    found = imported(tmp_path, b.model(one, two, rank=4))
    assert sections(found) == ["empty", "convolutional", "route", "convolutional"] and len(found.found) == 2
    assert f"# output {one!r} of the model" in found.text


def test_everything_that_has_no_section_is_named_at_once(tmp_path: Path) -> None:
    b = Build()
    x = b.node("HardSwish", b.conv("x", 3, 4), name="/features/0/act")
    x = b.conv(x, 4, 4, pad=(0, 0, 1, 1), stride=2)
    x = b.node("LeakyRelu", x, alpha=.3)
    x = b.node("HardSwish", b.conv(x, 4, 4), name="/features/3/act")
    ones = b.array(np.ones(4))
    text = refused(tmp_path, b.model(b.node("InstanceNormalization", x, ones, ones), rank=4))
    assert text.splitlines()[0].endswith("5 nodes cannot be written as sections:") and len(text.splitlines()) == 5
    assert "HardSwish: no section computes it: /features/0/act, /features/3/act" in text
    assert "1 below, 0 left, 1 right" in text and "slope below zero is 0.3" in text and "InstanceNorm" in text


def test_names_of_nodes_cannot_add_lines(tmp_path: Path) -> None:
    b = Build()
    found = imported(tmp_path, b.model(b.node("Tanh", b.conv("x", 3, 4), name="evil\n[dropout]"), rank=4))
    assert sections(found) == ["convolutional"] and "evil?[dropout]" in found.text


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    b = Build()
    model = b.model(b.node("Conv", "x", b.array(np.full((1, 3, 1, 1), np.nan))), rank=4)
    assert re.search(r"layer 0 \[convolutional\]: of its 3 weights, .* is nan", refused(tmp_path, model))


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"[net]\nwidth=3\n", b"\x08\x07\x3a\x03\x0a\x01\x00" * 9,
                                     b"\xff" * 999])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"model.onnx: not an? (valid )?ONNX model"):
        import_onnx(path)
    with pytest.raises(UsageError, match="no such file"):
        import_onnx(tmp_path / "missing.onnx")


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(NETWORKS["residual"](), path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert import_onnx(path).same
    (tmp_path / "model.data").unlink()
    with pytest.raises(UsageError, match=r"its weights, which are in model\.data, cannot be read"):
        import_onnx(path)


SHIPPED: dict[str, tuple[str, ...]] = {"net": (), "resnet18": ("net.width=64", "net.height=64")}


@pytest.mark.parametrize("keep_batchnorm", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
def test_what_export_wrote_comes_back(name: str, keep_batchnorm: bool, tmp_path: Path) -> None:
    net = runner.load(ROOT / f"cfg/{name}.cfg", settings=SHIPPED[name])
    found = imported(tmp_path, onnx_model(net, OnnxOptions(batch=None, keep_batchnorm=keep_batchnorm)))
    wanted = [layer.names[0] for layer in net.layers if layer.names[0] not in ("dropout", "cost")]
    assert sections(found) == wanted
    normed = any("scales" in layer.params for layer in net.layers)
    assert ("batch_normalize" in found.text) == (keep_batchnorm and normed)


def test_a_pad_of_channels_is_read_by_a_shortcut_only(tmp_path: Path) -> None:
    b = Build()
    x = b.conv("x", 3, 4)
    padded = b.node("Pad", x, b.integers(0, 0, 0, 0, 0, 2, 0, 0))
    assert sections(imported(tmp_path, b.model(b.node("Add", padded, b.conv(x, 4, 6)), rank=4))) == [
        "convolutional", "convolutional", "shortcut"]
    text = refused(tmp_path, b.model(b.conv(padded, 6, 2), rank=4))
    assert "read by [shortcut] only: /layer3/Conv" in text or "read by [shortcut] only: /layer4/Conv" in text
    both = b.node("Pad", x, b.integers(0, 0, 1, 1, 0, 2, 1, 1))
    assert "sections add zeros around images only" in refused(tmp_path, b.model(b.conv(both, 6, 2), rank=4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")       # of the exporter's older form
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vgg11_bn", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_torchvision(name: str, tmp_path: Path) -> None:
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = getattr(models, name)(weights=None, num_classes=7).eval()
    torch.onnx.export(net, torch.zeros(1, 3, 224, 224), str(tmp_path / "model.onnx"), dynamo=False)
    found = import_onnx(tmp_path / "model.onnx")
    assert found.same, found.found
