"""The suite computes with the kernels a user would get: compiled where numba is installed.

RUNNER_KERNELS=numpy or fast asks for one set.  Tests that use the fixture `kernels` run with each set there is.
"""
import importlib.util
import os
from collections.abc import Iterator

import pytest

from runner import ops

CHOICE = os.environ.get("RUNNER_KERNELS", "auto")
THERE = ["numpy", "fast"] if importlib.util.find_spec("numba") else ["numpy"]

ops.use(CHOICE)


@pytest.fixture(params=THERE if CHOICE == "auto" else [CHOICE])
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the kernels in use."""
    ops.use(request.param)
    yield request.param
    ops.use(CHOICE)
