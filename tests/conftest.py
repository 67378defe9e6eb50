"""The suite runs on the backend a user would get: the compiled one where numba is installed.

RUNNER_BACKEND=numpy or fast restricts it to one backend.  Tests that use the fixture `backend` run on each.
"""
import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import ops
from tests import toy, toy_boxes
from tests.schemas import json_is_checked as json_is_checked

CHOICE = os.environ.get("RUNNER_BACKEND") or os.environ.get("RUNNER_KERNELS", "auto")      # the latter: its former name
AVAILABLE = ["numpy", "fast"] if importlib.util.find_spec("numba") else ["numpy"]

ops.use(CHOICE)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:       # as in the background of a shell; tests interrupt verbs
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("RUNNER_DEBUG", "1")      # an unexpected error of a verb fails the test with its traceback


@pytest.fixture(params=AVAILABLE if CHOICE == "auto" else [CHOICE])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend in use."""
    ops.use(request.param)
    yield request.param
    ops.use(CHOICE)


@pytest.fixture
def toy_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with cfg/toy.cfg and data/toy."""
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)
    return tmp_path


@pytest.fixture
def squares_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with cfg/squares.cfg and data/squares, a detection dataset."""
    monkeypatch.chdir(tmp_path)
    toy_boxes.make(tmp_path)
    return tmp_path
