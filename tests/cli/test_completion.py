"""`completion`: scripts that shells can read, and what bash completes with one."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import VERBS, completion
from tests.verbs import main

SHELLS = [name for name in completion.SHELLS if shutil.which(name)]


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("shtab")
    main("completion", shell)
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_has_every_verb_and_is_for_the_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    assert not [verb for verb in VERBS if verb not in text]
    line = {"bash": " -F _shtab_cfgrunner cfgrunner", "zsh": "#compdef cfgrunner", "tcsh": "complete cfgrunner"}
    assert line[shell] in text


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_can_read_its_script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script").write_text(script(shell, capsys))
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=60)


@pytest.mark.skipif("bash" not in SHELLS, reason="needs bash")
@pytest.mark.parametrize("line, found, absent", [
    ("cfgrunner tra", {"train"}, {"test"}),
    ("cfgrunner test --cr", {"--crops"}, {"--sizes"}),
    ("cfgrunner train my.cfg --backend ", {"auto", "numpy", "fast"}, {"my.cfg"}),
    ("cfgrunner train my", {"my.cfg"}, {"train"}),
    ("cfgrunner test my.cfg --weights ", {"my.cfg", "photos"}, {"numpy"}),
    ("cfgrunner detect my.cfg a.png --save ", {"photos"}, {"my.cfg"}),
    ("cfgrunner weights inf", {"info"}, {"diff"}),
    ("cfgrunner explain maxp", {"maxpool"}, {"dropout"}),
    ("cfgrunner train my.cfg --kern", set(), {"--kernels"}),
])
def test_bash_completes(line: str, found: set[str], absent: set[str], tmp_path: Path,
                        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script").write_text(script("bash", capsys))
    (tmp_path / "my.cfg").touch()
    (tmp_path / "photos").mkdir()
    words = line.split(" ")
    ask = (f"source ./script; COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; "
           f"_shtab_cfgrunner cfgrunner {words[-1]!r} {words[-2]!r}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    shown = set(done.stdout.split())
    assert found <= shown and not absent & shown, (shown, done.stderr)


def test_without_shtab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    main("completion", "bash", expect=2)
    assert capsys.readouterr().err == ("run.py: the completion of shells needs the package 'shtab', which is not "
                                       "installed: pip install -r requirements-completion.txt\n")
    main("completion", "fish", expect=2)
    assert "invalid choice: 'fish'" in capsys.readouterr().err
