"""Files that come with the program: the networks of cfg/, the data of data/, trained weights in weights/shipped/.

In a checkout they are in its root; an installed package carries them in runner/share/.
"""
import os
from pathlib import Path

from runner.program import CHECKOUT, PACKAGE, ROOT

SHARE = ROOT if CHECKOUT else PACKAGE / "share"
FOLDERS = ("cfg", "data")       # what a path can name wherever the program is started
WEIGHTS = SHARE / "weights" / "shipped"


def find(path: str | os.PathLike[str]) -> str:
    """The path; where there is nothing, that of the file of this name that comes with the program, if there is one:
    cfg/net.cfg, data/digits."""
    text = os.fspath(path)
    parts = Path(text).parts
    if os.path.lexists(text) or not parts or parts[0] not in FOLDERS or ".." in parts:
        return text
    own = SHARE.joinpath(*parts)
    return os.path.relpath(own) if own.exists() and _below_here(own) else str(own) if own.exists() else text


def _below_here(path: Path) -> bool:
    return Path.cwd() in path.parents
