"""`doctor`: what it finds, and the problems it names."""
import importlib.metadata
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runner.cli import doctor
from runner.program import PACKAGE
from tests.paths import ROOT
from tests.verbs import main


def lowest(file: str) -> dict[str, str]:
    """Distribution -> lower bound, of a requirements file."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := re.match(r"([\w-]+)[>=]=([\d.]+)", line))}


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if these modules were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in modules else find(name, *rest))


def test_it_knows_the_requirements_files() -> None:
    required = lowest("requirements.txt")
    assert dict(doctor.REQUIRED.values()) == {name: required[name] for name in required if name != "pytest"}
    for name, extra in doctor.EXTRAS.items():
        assert set(extra.packages.values()) == set(lowest(f"requirements-{name}.txt")), name


def test_what_it_says_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    main("doctor", "--json", "-")
    facts = json.loads(capsys.readouterr().out)
    assert facts["packages"]["numpy"] == np.__version__ and facts["blas"] and facts["problems"] == []
    assert facts["backends"] == ["numpy", "fast"] if importlib.util.find_spec("numba") else ["numpy"]
    assert facts["machine"]["cores"] and Path(facts["folder"]) == PACKAGE
    main("doctor")
    text = capsys.readouterr().out
    assert f"\nNumPy      {np.__version__}, BLAS {facts['blas']}\n" in text and text.endswith("\nno problems\n")
    if importlib.util.find_spec("numba"):
        assert Path(facts["cache"]).is_dir() and f"kept in {facts['cache']} (writable)" in text


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hide(monkeypatch, "numpy", "matplotlib", "numba")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cfgrunner"])
    main("doctor", expect=1)
    text = capsys.readouterr().out
    assert "NumPy      not installed" in text and "problem: not installed: numpy. pip install cfgrunner" in text
    assert re.search(r'plots .* matplotlib - +pip install "cfgrunner\[plots\]"', text)
    assert "backends   none" in text


def test_packages_that_are_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.26.4" if name == "numpy" else "99.0")
    assert "numpy 1.26.4 is installed, 2.0 or newer is needed: pip install --upgrade numpy" in doctor.diagnosis()[1]
    assert not doctor.older("10.3.0", "10.3") and doctor.older("9.5", "10.3") and not doctor.older(None, "10.3")


def test_another_package_of_that_name_is_in_the_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert doctor.other_runners() == []
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"runner": ["runner", "cfgrunner"]})
    (tmp_path / "runner").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    problem, = doctor.other_runners()       # a folder without __init__.py hides nothing
    assert problem.startswith("the distribution 'runner' has a package `runner` too") and "uninstall runner" in problem
    (tmp_path / "runner" / "__init__.py").touch()
    assert doctor.other_runners()[1].startswith(f"{tmp_path / 'runner'} has the import name `runner` too")
    (tmp_path / "runner" / "cli").mkdir()
    (tmp_path / "runner" / "cli" / "doctor.py").touch()     # a copy of this program, as a checkout has beside it
    assert doctor.other_runners() == [problem]


def test_no_folder_for_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    from runner.ops.fast import jit

    def fails(*_: Any, **settings: Any) -> Any:
        if settings.get("cache"):
            raise RuntimeError("cannot cache function")
        return lambda function: SimpleNamespace()
    monkeypatch.setattr(jit.numba, "njit", fails)
    facts, problems = doctor.backend_facts()
    assert facts["cache"] is None and "set NUMBA_CACHE_DIR" in problems[0]
