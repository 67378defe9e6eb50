"""Commands that messages suggest."""
import shlex
from pathlib import Path

from runner.program import PROGRAM, command


def test_a_shell_reads_the_words_of_a_command() -> None:
    words = ("predict", Path("my cfg/a.cfg"), "it's", "*.jpg", "$HOME", "x#0")
    assert shlex.split(command(*words)) == [*PROGRAM.split(), *map(str, words)]
    assert command("test", "cfg/net.cfg") == f"{PROGRAM} test cfg/net.cfg"
