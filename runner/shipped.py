"""Files that come with the program: the networks of cfg/, the data of data/, trained weights in weights/shipped/.

In a checkout they are in its root; an installed package carries them in runner/share/.
"""
import os
from pathlib import Path

from runner.program import CHECKOUT, PACKAGE, ROOT

SHARE = ROOT if CHECKOUT else PACKAGE / "share"
FOLDERS = (("cfg",), ("data",), ("weights", "shipped"))      # what a path can name wherever the program is started


def find(path: str | os.PathLike[str]) -> str:
    """The path; where there is nothing, that of the file of this name that comes with the program, if there is one:
    cfg/net.cfg, data/digits."""
    text = os.fspath(path)
    parts = Path(text).parts
    if os.path.lexists(text) or ".." in parts or not any(parts[:len(folder)] == folder for folder in FOLDERS):
        return text
    own = SHARE.joinpath(*parts)
    return _as_typed(own) if own.exists() else text


def trained(name: str) -> Path | None:
    """The folder of the shipped weights of a cfg with this name, without suffix; None where there are none."""
    folder = SHARE / "weights" / "shipped" / name
    return Path(_as_typed(folder)) if (folder / "run.yaml").is_file() else None


def holds(path: str | os.PathLike[str]) -> bool:
    """Is this one of the shipped weights, or a folder of them?"""
    shipped = (SHARE / "weights" / "shipped").resolve()
    return shipped in (Path(path).resolve(), *Path(path).resolve().parents)


def _as_typed(path: Path) -> str:
    """Relative to the current folder where the file is below it."""
    return os.path.relpath(path) if Path.cwd() in path.parents else str(path)
