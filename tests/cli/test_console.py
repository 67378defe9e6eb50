"""What reaches the terminal, and errors that no message was written for."""
import io
import json
import sys
from pathlib import Path

import pytest

import runner.cli
from runner.cli import console, main, process

EVIL = "a\x1b[31m\x07\x9b2J\r\u202eb"


def test_control_characters_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    console.say(f"{EVIL}\n\tcaf\xe9")
    console.warn([EVIL])
    console.write_json("-", {"name": EVIL})
    out, err = capsys.readouterr()
    shown = r"a\u001b[31m\u0007\u009b2J\u000d\u202eb"
    assert out.startswith(f"{shown}\n\tcaf\xe9\n") and shown in err
    assert json.loads(out.partition("caf\xe9\n")[2])["name"] == EVIL
    assert not set("\x1b\x07\x9b\r\u202e") & set(out + err)


def test_names_stay_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "c\n1,000 errors\tt\u2028\u0085d"
    shown = r"c\u000a1,000 errors\u0009t\u2028\u0085d"
    assert console.one_line(name) == shown
    assert console.table([("class", "n"), (name, "1")]).split("\n") == [f"{'class':{len(shown)}}  n", f"{shown}  1"]
    main(["data", str(classes(tmp_path, name))])
    assert shown in capsys.readouterr().out


def test_a_long_cell_is_cut() -> None:
    assert console.table([("a", "b"), ("x" * 5000, "1")]).split("\n")[1] == f"{'x' * console.CELL}...  1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_our_own_colours_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    console.say(f"{console.paint(EVIL, 'red')} {EVIL}")
    text = sys.stdout.getvalue()        # type: ignore[union-attr]
    assert text.startswith("\033[31ma\\u001b[31m") and text.count("\033") == 2 and "b\033[0m a" in text


@pytest.mark.parametrize("make", [
    lambda folder: ["check", str(cfg(folder, "[\x1b[31mnet]\nwidth=1\n"))],
    lambda folder: ["check", str(cfg(folder, "[net]\nwid\x1b[31mth=\x07\n"))],
    lambda folder: ["data", str(folder / "no\x1b[31mwhere")], lambda folder: ["check", "a", "--\x1b[31mx"],
    lambda folder: ["\x1b[31m"], lambda folder: ["data", str(classes(folder, "c\x1b[31mt"))],
    lambda folder: ["check", str(cfg(folder, "[net]\nwidth=1\n")), "--set", "\x1b[31m=1"]])
def test_names_of_every_kind_are_escaped(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(make(tmp_path))
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and "\x07" not in out + err
    assert r"\u001b" in out + err or r"\x1b" in out + err


def cfg(folder: Path, text: str) -> Path:
    (folder / "a.cfg").write_text(text)
    return folder / "a.cfg"


def classes(folder: Path, name: str) -> Path:
    from PIL import Image
    (folder / "train" / name).mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "train" / name / "1.png")
    return folder


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every verb fails in an unexpected way."""
    monkeypatch.delenv("RUNNER_DEBUG", raising=False)

    def run(argv: list[str]) -> int:
        raise ERRORS[argv[0]]
    monkeypatch.setattr(runner.cli, "_run", run)


ERRORS = {"key": KeyError("a\nb"), "memory": MemoryError(), "depth": RecursionError("too deep")}


@pytest.mark.parametrize("kind, message", [
    ("key", "an error of this program: KeyError ('a\\nb') at test_console.py:"),
    ("memory", "there is not enough memory. --debug shows where"),
    ("depth", "an error of this program: RecursionError (too deep)")])
def test_an_unexpected_error_is_one_line(broken: None, kind: str, message: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert main([kind]) == process.CANNOT
    err = capsys.readouterr().err
    assert err.startswith(f"run.py: {message}") and err.count("\n") == 1


@pytest.mark.parametrize("kind", ERRORS)
def test_debug_shows_the_traceback(broken: None, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(ERRORS[kind])):
        main(["--debug", kind])
    with pytest.raises(type(ERRORS[kind])):
        main([kind, "--debug"])
    monkeypatch.setenv("RUNNER_DEBUG", "1")
    with pytest.raises(type(ERRORS[kind])):
        main([kind])


def test_a_mistake_of_the_user_has_no_traceback_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "none.cfg", "--debug"]) == process.CANNOT
    assert "Traceback" not in capsys.readouterr().err
