"""OpenCV and OpenVINO read the models and compute the same."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.export import OnnxOptions, onnx_model
from runner.export.verify import OnnxSession, pattern
from runner.network import Network
from tests.export.test_onnx_model import HEADS, detector
from tests.paths import ROOT

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def in_opencv(path: Path, x: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    cv2 = pytest.importorskip("cv2")
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(x)
    return dict(zip(names, net.forward(list(names)), strict=True))


def in_openvino(path: Path, x: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(x)
    return {name: results[name] for name in names}


@pytest.mark.parametrize("library", [in_opencv, in_openvino])
@pytest.mark.parametrize("form", ["raw", "decoded", "nms"])
@pytest.mark.parametrize("head", HEADS)
def test_heads(tmp_path: Path, head: str, form: Any, library: Any) -> None:
    agree(detector(tmp_path, head), form, library, tmp_path)


@pytest.mark.parametrize("library", [in_opencv, in_openvino])
@pytest.mark.parametrize(("name", "settings"), [
    ("net", ()), ("resnet18", ("net.width=64", "net.height=64")),
    ("yolov4-tiny", ("net.width=64", "net.height=96")), ("yolov2-tiny", ("net.width=64", "net.height=96"))])
def test_networks(tmp_path: Path, name: str, settings: tuple[str, ...], library: Any) -> None:
    agree(runner.load(ROOT / "cfg" / f"{name}.cfg", settings=settings), "raw", library, tmp_path)


def agree(net: Network, form: Any, library: Any, folder: Path) -> None:
    path, x = folder / "model.onnx", pattern(net, 1)
    path.write_bytes(onnx_model(net, OnnxOptions(form, thresh=.3)).SerializeToString())
    session = OnnxSession(path)
    wanted = session.run({"images": x})
    for name, array in library(path, x, session.outputs).items():
        np.testing.assert_allclose(array.reshape(wanted[name].shape), wanted[name], rtol=1e-4, atol=1e-4)
