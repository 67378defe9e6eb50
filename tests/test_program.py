"""Hints are right as they are printed, however the program was started."""
import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner import cli, program
from runner.errors import MissingExtra
from tests.paths import ROOT

MODULE = str(ROOT / "runner" / "__main__.py")


def started(monkeypatch: pytest.MonkeyPatch, start: str, checkout: bool = True) -> None:
    """As if the program had been started by this file, from a checkout or from site-packages."""
    monkeypatch.setattr(sys, "argv", [start])
    monkeypatch.setattr(program, "CHECKOUT", checkout)


@pytest.mark.parametrize("start, checkout, name, line", [
    ("run.py", True, "run.py", "python run.py test 'my net.cfg'"),
    ("/usr/bin/cfgrunner", False, "cfgrunner", "cfgrunner test 'my net.cfg'"),
    ("/usr/bin/cfgrunner", True, "cfgrunner", "cfgrunner test 'my net.cfg'"),        # pip install --editable
    ("C:/Scripts/cfgrunner.exe", False, "cfgrunner", "cfgrunner test 'my net.cfg'"),
    (MODULE, True, "python -m runner", "python -m runner test 'my net.cfg'"),
    ("/usr/lib/python3/site-packages/pytest/__main__.py", True, "run.py", "python run.py test 'my net.cfg'"),
    ("a_notebook.py", False, "cfgrunner", "cfgrunner test 'my net.cfg'"),
])
@pytest.mark.skipif(sys.platform == "win32", reason="quoted for another shell")
def test_a_command_is_written_as_the_program_was_started(start: str, checkout: bool, name: str, line: str,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, start, checkout)
    assert program.program() == name
    assert program.command("test", Path("my net.cfg")) == line


@pytest.mark.parametrize("start, checkout, line, all_of_them", [
    ("run.py", True, "pip install -r requirements-plots.txt", "pip install -r requirements.txt"),
    (MODULE, True, "pip install -r requirements-plots.txt", "pip install -r requirements.txt"),
    ("/usr/bin/cfgrunner", True, 'pip install "cfgrunner[plots]"', "pip install cfgrunner"),
    (MODULE, False, 'pip install "cfgrunner[plots]"', "pip install cfgrunner"),
])
def test_what_installs_an_extra(start: str, checkout: bool, line: str, all_of_them: str,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, start, checkout)
    assert program.install_command("plots") == line and program.install_command() == all_of_them
    assert str(MissingExtra("matplotlib", "drawing a chart", "plots")).endswith(f"which is not installed: {line}")


def test_every_missing_extra_names_a_requirements_file() -> None:
    names = {str(node.args[2].value) for path in (ROOT / "runner").rglob("*.py") for node in ast.walk(
        ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "MissingExtra" and isinstance(node.args[2], ast.Constant)}
    assert {"fast", "plots", "video", "tensorboard"} <= names
    assert not [name for name in names if not (ROOT / f"requirements-{name}.txt").exists()]


def test_only_the_one_function_writes_a_command() -> None:
    """`python run.py` elsewhere is documentation, which `adapted` rewrites."""
    wrong = []
    for path in sorted((ROOT / "runner").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}       # docstrings
        wrong += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in ast.walk(tree)
                  if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
                  and "run.py" in node.value and path.name != "program.py" and not node.value.startswith("examples:")]
    assert not wrong


def test_the_help_of_an_installed_program_names_it(monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    started(monkeypatch, "/usr/bin/cfgrunner", False)
    for words in ([], *([verb] for verb in cli.VERBS)):
        cli.main([*words, "--help"])
        text = capsys.readouterr().out
        assert "run.py" not in text and "requirements-" not in text and "cfgrunner" in text
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("cfgrunner: unknown verb")
    assert cli.main(["detector", "demo", "x.data", "x.cfg", "x.weights"]) == 2
    output = capsys.readouterr()
    assert output.out == "cfgrunner detect x.cfg camera --weights x.weights\n"
    assert "videos need cfgrunner[video]" in output.err


def test_python_dash_m(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "runner", "explain", "convlutional"], cwd=tmp_path, text=True,
                          capture_output=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stderr == "python -m runner: unknown section [convlutional] (did you mean 'convolutional'?)\n"
    done = subprocess.run([sys.executable, "-m", "runner", "explain"], cwd=tmp_path, text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines()[-1] == "python -m runner explain SECTION lists its options"


def test_the_line_of_a_checkout_in_another_folder_can_be_typed(tmp_path: Path) -> None:
    link = tmp_path / "a checkout"
    link.symlink_to(ROOT, target_is_directory=True)
    done = subprocess.run([sys.executable, "a checkout/run.py", "explain"], cwd=tmp_path, text=True,
                          capture_output=True)
    line = done.stdout.splitlines()[-1]
    assert line == "python 'a checkout/run.py' explain SECTION lists its options"
    words = shlex.split(line)[:3]
    assert subprocess.run([sys.executable, *words[1:], "net"], cwd=tmp_path, capture_output=True).returncode == 0
