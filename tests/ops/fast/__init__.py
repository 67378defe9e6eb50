"""Tests of the compiled backend; without numba, or hypothesis for random shapes, they are skipped."""
import importlib.util

import pytest

if importlib.util.find_spec("numba") is None:
    pytest.skip("the compiled kernels need numba: pip install -r requirements-fast.txt", allow_module_level=True)
pytest.importorskip("hypothesis", reason="random shapes need hypothesis: pip install -r requirements-dev.txt")
