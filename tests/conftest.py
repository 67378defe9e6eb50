"""The suite runs on the backend a user would get: the compiled one where numba is installed.

RUNNER_BACKEND=numpy or fast restricts it to one backend.  Tests that use the fixture `backend` run on each.
"""
import importlib.util
import os
from collections.abc import Iterator

import pytest

from runner import ops

CHOICE = os.environ.get("RUNNER_BACKEND") or os.environ.get("RUNNER_KERNELS", "auto")      # the latter: its former name
AVAILABLE = ["numpy", "fast"] if importlib.util.find_spec("numba") else ["numpy"]

ops.use(CHOICE)


@pytest.fixture(params=AVAILABLE if CHOICE == "auto" else [CHOICE])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend in use."""
    ops.use(request.param)
    yield request.param
    ops.use(CHOICE)
