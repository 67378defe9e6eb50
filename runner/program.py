"""How this program is called, for the commands that messages suggest."""
import shlex
from os import PathLike

PROGRAM = "python run.py"


def command(*words: str | PathLike[str]) -> str:
    """A command to type in a shell: the program and these words, quoted where a shell would change them."""
    return f"{PROGRAM} {shlex.join(map(str, words))}"
