"""The choice of the compiled backend, and what its first run says."""
import subprocess
import sys
from pathlib import Path

import pytest

from runner import ops
from runner.errors import MissingExtra, UsageError
from runner.ops import fast
from tests.paths import ROOT


def test_choosing_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ops.backend()
    try:
        ops.use("fast")
        assert ops.backend() == ops.kernels() == "fast" and ops.activate is fast.activate
        ops.use("numpy")
        assert ops.backend() == "numpy" and ops.activate is ops.REFERENCE["activate"]
        with pytest.raises(UsageError, match="auto, numpy, fast"):
            ops.use("fats")
        assert ops.backend() == "numpy", "an error changes nothing"
        monkeypatch.setitem(sys.modules, "numba", None)
        with pytest.raises(MissingExtra, match="pip install -r requirements-fast"):
            ops.use("fast")
        ops.use("auto")
        assert ops.backend() == "numpy"
    finally:
        monkeypatch.undo()
        ops.use(before)


def test_the_first_network_chooses_the_default_backend() -> None:
    code = ("import runner; from runner import ops; assert ops.backend() == 'numpy'; runner.check('cfg/net.cfg'); "
            "assert ops.backend() == 'numpy'; runner.load('cfg/net.cfg'); assert ops.backend() == 'fast'")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_the_first_run_says_that_it_compiles(tmp_path: Path) -> None:
    """... and a second one, with the kernels on disk, says nothing."""
    code = ("import sys; import numpy as np; from runner import ops; from runner.cli import common; "
            "common.choose_backend('fast'); ops.activate(np.ones(3, 'float32'), 'leaky')")
    messages = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                            env={"NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""}).stderr for _ in range(2)]
    assert messages[0].startswith("compiling kernels, once") and messages[0].count("\n") == 1
    assert messages[1] == ""
