"""How this program was started: a hint must be right as it is printed, in a checkout and when installed.

In a checkout it is `python run.py`, with a requirements file for each extra; installed it is `cfgrunner`, with extras
such as `cfgrunner[plots]`; both can be started as `python -m runner`.
"""
import re
import shlex
import subprocess
import sys
from os import PathLike
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent                   # of a checkout
CHECKOUT = (ROOT / "run.py").is_file() and (ROOT / "requirements.txt").is_file()
INSTALLED = "cfgrunner"                 # the command, and the distribution


def program() -> str:
    """Its name in usage lines and errors: run.py, cfgrunner or python -m runner."""
    start = Path(sys.argv[0] if sys.argv else "")
    if start.stem == INSTALLED and start.suffix != ".py":
        return INSTALLED
    if start.name == "__main__.py" and start.resolve().parent == PACKAGE:
        return "python -m runner"
    return "run.py" if CHECKOUT else INSTALLED


def command(*words: str | PathLike[str]) -> str:
    """A command of this program, to be typed as it is: words are quoted where a shell needs it."""
    name = program()
    start = ["python", _checkout_file("run.py")] if name == "run.py" else name.split()
    return _shell_line([*start, *map(str, words)])


def install_command(extra: str = "") -> str:
    """What installs the packages of an extra ("plots"), or without one those that are always needed."""
    if program() == INSTALLED or not CHECKOUT:
        return f'pip install "{INSTALLED}[{extra}]"' if extra else f"pip install {INSTALLED}"
    return _shell_line(["pip", "install", "-r", _checkout_file(f"requirements{extra and '-'}{extra}.txt")])


def adapted(text: str) -> str:
    """A text that was written for a checkout, such as the help of a verb, as it is for this start of the program."""
    text = text.replace("python run.py", command())
    if CHECKOUT and program() != INSTALLED:
        return text
    return re.sub(r"requirements-(\w+)\.txt", rf"{INSTALLED}[\1]", text)


def _checkout_file(name: str) -> str:
    """A file of the checkout as the user would type it: relative to how run.py was typed."""
    start = Path(sys.argv[0] if sys.argv else "")
    return str(start.with_name(name)) if start.name == "run.py" and start.resolve().parent == ROOT else name


def _shell_line(words: list[str]) -> str:
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
