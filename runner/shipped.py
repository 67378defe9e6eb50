"""Files that come with the program: the networks of cfg/, the data of data/, trained weights in weights/shipped/, and
a photo in docs/images/.

In a checkout they are in its root; an installed package carries them in runner/share/.
"""
import glob
import os
from pathlib import Path

from runner.program import CHECKOUT, PACKAGE, ROOT

SHARE = ROOT if CHECKOUT else PACKAGE / "share"
# what a path can name wherever the program is started
FOLDERS = (("cfg",), ("data",), ("weights", "shipped"), ("docs", "images"))


def find(path: str | os.PathLike[str]) -> str:
    """The path; where there is nothing, that of the file of this name that comes with the program, if there is one:
    cfg/net.cfg, data/digits."""
    text = os.fspath(path)
    parts = Path(text).parts
    if os.path.lexists(text) or ".." in parts or not any(parts[:len(folder)] == folder for folder in FOLDERS):
        return text
    own = SHARE.joinpath(*parts)
    return _as_typed(own) if own.exists() else text


def matches(pattern: str | os.PathLike[str]) -> list[str]:
    """The files that match a glob; where there are none, those that come with the program, as `find`."""
    text = os.fspath(pattern)
    found = [name for name in glob.glob(text, recursive=True) if os.path.isfile(name)]
    parts = Path(text).parts
    if not found and ".." not in parts and any(parts[:len(folder)] == folder for folder in FOLDERS):
        names = glob.glob(text, root_dir=SHARE, recursive=True)
        found = [_as_typed(SHARE / name) for name in names if (SHARE / name).is_file()]
    return sorted(found)


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
