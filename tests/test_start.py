"""The start of the program: what keeps it from starting is said in one sentence, and paths never end it."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cfgrunner
import runner
from tests import toy
from tests.paths import ROOT

RUN = str(ROOT / "run.py")


def start(*words: str | bytes, first: Path | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command; `first` comes first in sys.path."""
    code = f"import sys; sys.path[:0] = [{str(first or ROOT)!r}, {str(ROOT)!r}]; sys.argv[0] = {RUN!r}; " \
           "import cfgrunner; sys.exit(cfgrunner.main())"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, env=os.environ | environment)


def test_an_old_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert cfgrunner.main() == 2
    assert capsys.readouterr().err.startswith("cfgrunner: Python 3.11 or newer is needed; this is Python ")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">={}.{}"'.format(*cfgrunner.OLDEST_PYTHON) in project


@pytest.mark.parametrize("argument, error", [("-m", "SystemExit 2"), ("-c", "ImportError runner (cfgrunner): Python ")])
def test_an_old_python_that_imports_the_package(argument: str, error: str) -> None:
    """The sentence comes before syntax and types that an old Python does not have."""
    code = f"""
import sys
sys.version_info, sys.argv = (3, 8, 18), [{argument!r}]
try:
    import runner
except (SystemExit, ImportError) as stop:
    print(type(stop).__name__, stop)
"""
    done = subprocess.run([sys.executable, "-c", code],
                          capture_output=True, cwd=ROOT, text=True)
    assert done.stdout.startswith(error), done.stderr
    assert done.stderr.startswith("cfgrunner: Python 3.11 or newer is needed") == (argument == "-m")


def test_the_oldest_python_is_the_same_everywhere() -> None:
    assert runner.OLDEST_PYTHON == cfgrunner.OLDEST_PYTHON


def test_doctor_without_any_package() -> None:
    done = subprocess.run([sys.executable, "-S", RUN, "doctor"], capture_output=True)    # -S: no installed packages
    assert done.returncode == 1 and not done.stderr
    assert b"\nproblem: not installed: numpy, pillow, pyyaml, tqdm. pip install -r " in done.stdout


@pytest.mark.parametrize("module, package", [("numpy", "numpy"), ("PIL", "pillow"), ("yaml", "pyyaml")])
def test_without_a_required_package(module: str, package: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('no', name={module!r})")
    done = start("train", "cfg/net.cfg", first=tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        f"run.py: the package {package!r} is not installed: pip install -r {ROOT / 'requirements.txt'}"]


@pytest.mark.parametrize("files", [("runner.py",), ("runner/__init__.py",), ("runner/__init__.py", "runner/cli.py")])
def test_another_program_has_the_import_name(files: tuple[str, ...], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("def main(): pass\n")
    done = start("--version", first=tmp_path)
    line, = done.stderr.decode().splitlines()
    assert done.returncode == 2 and line.startswith("cfgrunner: the import package `runner` ")
    assert str(tmp_path) in line and "uninstall it" in line


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes")
@pytest.mark.parametrize("encoding", ["ascii:strict", "utf-8:strict"])
def test_paths_that_the_terminal_cannot_show(encoding: str, tmp_path: Path) -> None:
    for name in (b"a\xff.cfg", "é.cfg".encode()):
        with open(os.fsencode(tmp_path) + b"/" + name, "w") as file:
            file.write("[net]\nwidth=0\nheight=4\n[softmax]\n")
        path = os.fsencode(tmp_path) + b"/" + name
        for words in ((b"check", path), (b"check", path, b"--json", b"-"),
                      (b"check", path, b"--json", os.fsencode(tmp_path) + b"/o.json")):
            done = start(*words, PYTHONIOENCODING=encoding)
            assert done.returncode == 1 and b"Traceback" not in done.stderr
        assert (tmp_path / "o.json").read_text(encoding="utf-8")
    assert b"a\xff.cfg" in start(b"check", os.fsencode(tmp_path) + b"/a\xff.cfg", PYTHONIOENCODING=encoding).stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes")
def test_a_run_with_class_names_that_are_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run.yaml is read again by every verb, in a terminal of ASCII and in one of UTF-8."""
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)
    for split in ("train", "test"):
        folder = os.fsencode(tmp_path / "data/toy" / split)
        os.rename(folder + b"/dark", folder + b"/d\xff")
        os.rename(folder + b"/bright", folder + "/é".encode())
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    short = ("--quiet", "--no-report", "--set", "net.max_batches=2", "--backend", "numpy")
    for words, environment in ((("train", "cfg/toy.cfg", *short), ascii_only),
                               (("predict", "toy", "data/toy/test"), ascii_only),
                               (("test", "toy", "--wrong", "wrong.csv"), {"LC_ALL": "C.UTF-8"}),
                               (("train", "toy", "--resume", "--quiet", "--no-report"), {"LC_ALL": "C.UTF-8"})):
        done = start(*words, first=None, **environment)
        assert done.returncode == 0, done.stderr
    assert b"\xff" in (tmp_path / "wrong.csv").read_bytes()
