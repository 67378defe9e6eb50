"""Published networks as ONNX models, on real images, at batch 1 and 3.  Needs ../shared."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.detection import detection_heads
from runner.export import FORMS, OnnxOptions
from runner.export.files import save_onnx
from runner.export.onnx_model import is_recurrent
from runner.export.verify import pattern
from runner.images import prepare, read_image
from runner.network import Network
from tests.paths import SHARED

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
WEIGHTS = [path for path in sorted((SHARED / "data" / "weights").glob("*/*.weights"))
           if path.with_suffix(".cfg").exists()]
IMAGES = sorted((SHARED / "data" / "weights" / "images").glob("*.jpg"))
pytestmark = pytest.mark.skipif(not WEIGHTS, reason="needs the published models in ../shared")


def photos(net: Network, rows: int) -> np.ndarray:
    if len(net.in_shape) != 3:
        return pattern(net, rows * (net.env.time_steps if is_recurrent(net) else 1))
    c, h, w = net.in_shape
    return np.stack([prepare(read_image(path, c), w, h, "stretch") for path in IMAGES[:rows]]).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_a_published_network_computes_the_same(tmp_path: Path, path: Path) -> None:
    if path.parent.name == "bad-short-file":
        pytest.skip("does not fit its cfg on purpose")
    net = runner.load(path.with_suffix(".cfg"), path)
    forms = FORMS if detection_heads(net.layers) else FORMS[:1]
    for form in forms:
        for rows in (1, 3):
            found = save_onnx(net, tmp_path / "a.onnx", OnnxOptions(form, batch=rows), photos(net, rows))
            assert found and all(one.fits for one in found), (form, rows, found)
