"""Describe the installation: versions, BLAS, processor, backend and its cache, and what the extras lack.

It ends with the problems found, each with what solves it; then the exit status is 1.

  python run.py doctor
  python run.py doctor --json -
"""
import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import __version__
from runner.cli import common, console, process
from runner.errors import counted
from runner.machine import available_memory, blas, bytes_text
from runner.program import CHECKOUT, INSTALLED, PACKAGE, install_command

# import name -> distribution and lowest version, as in requirements.txt; pytest is only for the tests
REQUIRED = {"numpy": ("numpy", "2.0"), "PIL": ("pillow", "10.3"), "yaml": ("pyyaml", "6.0"), "tqdm": ("tqdm", "4.66")}
# vector extensions, as NumPy names them
FEATURES = ("AVX", "AVX2", "FMA3", "AVX512F", "AVX512VNNI", "NEON", "ASIMD", "SVE", "VSX", "VX")


@dataclass(frozen=True)
class Extra:
    """An extra: what it is for, and its packages: import name -> distribution."""
    purpose: str
    packages: dict[str, str]


EXTRAS = {
    "fast": Extra("compiled kernels", {"numba": "numba", "threadpoolctl": "threadpoolctl"}),
    "plots": Extra("curves in reports, --save of charts", {"matplotlib": "matplotlib"}),
    "tensorboard": Extra("train --tensorboard", {"tensorboardX": "tensorboardX"}),
    "video": Extra("videos and cameras in detect", {"cv2": "opencv-python-headless"}),
    "track": Extra("the best assignment in detect --track", {"scipy": "scipy"}),
    "onnx": Extra("export to ONNX and .safetensors",
                  {"onnx": "onnx", "onnxruntime": "onnxruntime", "safetensors": "safetensors"}),
    "tiff": Extra("TIFF images with more channels than Pillow reads", {"tifffile": "tifffile",
                                                                       "imagecodecs": "imagecodecs"}),
    "completion": Extra("completion scripts of shells", {"shtab": "shtab"}),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    facts, problems = diagnosis()
    if args.json:
        console.write_json(args.json, facts | {"problems": problems})
    if args.json != "-":
        print_facts(facts, problems)
    return process.NO if problems else process.DONE


def diagnosis() -> tuple[dict[str, Any], list[str]]:
    """What is installed, as JSON, and the problems."""
    packages = {name: version_of(module, name) for module, (name, _) in REQUIRED.items()}
    lacking = [name for name, version in packages.items() if version is None]
    problems = [f"not installed: {', '.join(lacking)}. {install_command()}"] if lacking else []
    problems += [f"{name} {packages[name]} is installed, {lowest} or newer is needed: pip install --upgrade {name}"
                 for name, lowest in REQUIRED.values() if older(packages[name], lowest)]
    backend, found = backend_facts()
    facts = {"version": __version__, "program": "checkout" if CHECKOUT else "installed", "folder": str(PACKAGE),
             "python": platform.python_version(), "executable": sys.executable, "packages": packages,
             "blas": None if "numpy" in lacking else blas(),
             "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(),
                         "features": cpu_features(), "free_memory": available_memory()},
             **backend,
             "extras": {name: {"for": extra.purpose, "packages": {
                 package: version_of(module, package) for module, package in extra.packages.items()}}
                 for name, extra in EXTRAS.items()}}
    return facts, problems + found + other_runners()


def version_of(module: str, distribution: str) -> str | None:
    """The version of a package; "unknown" where it has none, None where it is not installed."""
    try:
        if importlib.util.find_spec(module) is None:
            return None
    except (ImportError, ValueError):
        return None
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:     # cv2 comes with several distributions
        names = importlib.metadata.packages_distributions().get(module)
        return importlib.metadata.version(names[0]) if names else "unknown"


def older(version: str | None, lowest: str) -> bool:
    """Is the version below the lowest one?  Only the first two numbers count."""
    numbers = [[int(part) for part in text.split(".")[:2] if part.isdecimal()] for text in (version or "", lowest)]
    return len(numbers[0]) == 2 and numbers[0] < numbers[1]


def cpu_features() -> list[str]:
    """Vector extensions of the processor that NumPy sees; [] where it does not say."""
    try:
        found = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return []
    return [name for name in FEATURES if found.get(name)]


def backend_facts() -> tuple[dict[str, Any], list[str]]:
    """The backends that work, and where compiled kernels are kept."""
    facts: dict[str, Any] = {"backends": [], "cache": None}
    if any(importlib.util.find_spec(module) is None for module in REQUIRED):
        return facts, []
    facts["backends"] = ["numpy"]
    if importlib.util.find_spec("numba") is None:
        return facts, []
    from runner import ops
    from runner.errors import MissingExtra
    try:
        ops.use("fast")
    except (ImportError, MissingExtra) as error:
        return facts, [f"numba is installed but does not work: {error}"]
    facts["backends"].append("fast")
    facts["cache"] = importlib.import_module("runner.ops.fast.jit").cache_folder()
    if facts["cache"]:
        return facts, []
    return facts, ["no folder for compiled kernels is writable, so every start compiles them again: set "
                   "NUMBA_CACHE_DIR to a folder that is"]


def other_runners() -> list[str]:
    """Other distributions and folders with the import name `runner`, which could be imported instead of this one."""
    try:
        names = set(importlib.metadata.packages_distributions().get("runner", ())) - {INSTALLED}
    except OSError:
        names = set()
    problems = [f"the distribution {name!r} has a package `runner` too, and both are in one folder or hide each other: "
                f"pip uninstall {name}, or use a virtual environment" for name in sorted(names)]
    for folder in map(Path, sys.path):
        other = folder / "runner"
        if (other / "cli" / "doctor.py").is_file():
            continue        # this package, or an installed copy of it beside a checkout
        if (other / "__init__.py").is_file() or other.with_suffix(".py").is_file():
            place = other if other.is_dir() else other.with_suffix(".py")
            problems.append(f"{place} has the import name `runner` too: Python imports whichever comes first in "
                            "sys.path; rename it, or remove its folder from PYTHONPATH")
    return problems


def print_facts(facts: dict[str, Any], problems: list[str]) -> None:
    """The facts as two tables, then the problems."""
    machine, packages = facts["machine"], facts["packages"]
    memory = machine["free_memory"]
    backends = ", ".join(facts["backends"]) or "none"
    lines = {INSTALLED: f"{facts['version']}, {facts['program']}: {facts['folder']}",
             "Python": f"{facts['python']}, {facts['executable']}",
             "NumPy": f"{packages['numpy'] or 'not installed'}" + (f", BLAS {facts['blas']}" if facts["blas"] else ""),
             "others": ", ".join(f"{name} {version or 'not installed'}" for name, version in packages.items()
                                 if name != "numpy"),
             "machine": f"{machine['system']} {machine['processor']}, {counted(machine['cores'], 'core')}"
                        + (f", {bytes_text(memory)} free" if memory else ""),
             "vectors": ", ".join(machine["features"]) or "unknown",
             "backends": backends + ("" if "fast" in facts["backends"] else f"; fast: {install_command('fast')}")}
    if facts["cache"]:
        lines["kernels"] = f"compiled ones are kept in {facts['cache']} (writable)"
    for name, text in lines.items():
        console.say(f"{name:9}  {text}")
    rows = [("extra", "for", "packages", "")]
    for name, extra in facts["extras"].items():
        versions = extra["packages"]
        rows.append((name, extra["for"], ", ".join(f"{package} {versions[package] or '-'}" for package in versions),
                     install_command(name) if None in versions.values() else ""))
    console.say("\n" + console.table(rows, left=(0, 1, 2, 3)) + "\n")
    for problem in problems:
        console.say(f"{console.paint('problem', 'red')}: {problem}")
    if not problems:
        console.say("no problems")


def version_text() -> str:
    """What --version prints."""
    numpy = version_of("numpy", "numpy")
    numba = version_of("numba", "numba")
    lines = [f"{INSTALLED} {__version__}",
             f"Python {platform.python_version()}, NumPy {numpy} (BLAS {blas()})" if numpy else
             f"Python {platform.python_version()}, NumPy not installed",
             "backends: numpy" + (f", fast (numba {numba})" if numba else f"; fast: {install_command('fast')}")]
    return "\n".join(lines)
