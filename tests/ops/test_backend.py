"""Every backend gives bit-identical results for any number of threads; a module can be a backend of its own."""
from pathlib import Path

import numpy as np
import pytest

from runner import ops
from runner.ops import parallel

pytestmark = pytest.mark.usefixtures("backend")


def test_any_number_of_threads_gives_the_same_bits(restore_threads: None) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6, 8, 24, 24)).astype("float32")
    w = rng.normal(size=(12, 8, 3, 3)).astype("float32")
    scales = np.ones(12, "float32")
    results = []
    for count in (1, 2, 4):
        parallel.set_threads(count)
        y = ops.conv2d(x, w, padding=(1, 1))
        normed, saved = ops.batchnorm_train(y, scales, scales, 1e-5)
        dy, dscales, _ = ops.batchnorm_backward(normed, saved, scales, rule="exact")
        dx, dw = ops.conv2d_backward(dy, x, w, padding=(1, 1))
        assert dx is not None
        results.append([y, normed, dscales, dx, dw, ops.maxpool2d(y, 2, (2, 2), 1)[0]])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_module_as_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_backend.py").write_text(
        "def dense(x, weights, batch_independent=False):\n    return x @ weights.T + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match="has another signature"):
        ops.use("wrong_backend")      # its arguments are not annotated as the reference's are
    ops.use()
    (tmp_path / "right_backend.py").write_text(
        "import numpy as np\n"
        "def dense(x: np.ndarray, weights: np.ndarray, batch_independent: bool = False) -> np.ndarray:\n"
        "    return x @ weights.T + 1\n")
    x, w = np.ones((1, 2)), np.ones((1, 2))
    ops.use("right_backend")
    try:
        assert ops.dense(x, w)[0, 0] == 3
    finally:
        ops.use()
    assert ops.dense(x, w)[0, 0] == 2
