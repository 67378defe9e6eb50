"""Where data is: opening a data set by its path, finding the one of a cfg, expanding arguments to images."""
import glob
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from runner.datasets.classification.darknet_data import open_data_file
from runner.datasets.classification.dataset import Dataset, hold_out
from runner.datasets.classification.folders import ARCHIVES, images_in, open_folder
from runner.datasets.containers.arrays import (
    FORMATS,
    is_array_file,
    is_stored,
    names_in,
    open_arrays,
    read_part,
    split_of,
)
from runner.datasets.description import open_description
from runner.datasets.lists import locate, read_lines
from runner.datasets.public_datasets import PUBLIC_DATASETS
from runner.errors import DataError
from runner.images.decode import SUFFIXES

DESCRIPTIONS = (".yaml", ".yml", ".data", ".npz")
LISTS = (".txt", ".list")


def open_dataset(path: str | os.PathLike, split_share: float = 0.) -> Dataset:
    """What a path is, by what lies there: a folder with a folder per class (below train/ and test/ or not), a folder of
    idx files or CIFAR batches, one such file, a .npz, a .data file, or a YAML description.

    split_share: that share of the training images becomes the test images (see hold_out).  Raises DataError, with file
    and line where there is one, for anything that cannot be used.
    """
    data = _open(Path(path))
    return hold_out(data, split_share) if split_share else data


def _open(place: Path) -> Dataset:
    if not place.exists():
        raise DataError(f"{place}: there is no such data folder or file")
    data = open_arrays(place)
    if data is not None:
        return data
    if place.is_dir():
        return open_folder(place)
    suffix = place.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return open_description(place)
    if suffix == ".data":
        return open_data_file(place)
    if is_array_file(place):
        part = read_part(place)
        names = part.names or [str(i) for i in range(int(part.labels.max(initial=0)) + 1)]
        return Dataset(names, split_of([part], len(names)), None, str(place),
                       [f"{place}: one file: everything is for training, nothing to test with"])
    if place.name.lower().endswith(ARCHIVES):
        raise DataError(f"{place}: this is an archive: unpack it, and name the folder that comes out of it")
    raise DataError(f"{place}: a data set is a folder of class folders, a .data or a .yaml file, {FORMATS}. Got a file "
                    f"ending in {place.suffix or 'nothing'!r}")


def find_data(cfg_path: str | os.PathLike, data: str | None = None, net_data: str | None = None) -> Path:
    """The data set of a network: --data, else [net] data=, else data/<cfg name> as .yaml, .data, .npz or a
    folder.

    [net] data= is relative to the current folder, the cfg's folder or the one above it; data/ is looked for
    in the current folder, then beside the cfg's folder.  Raises DataError listing the places looked at.
    """
    cfg = Path(cfg_path)
    above = cfg.resolve().parent.parent
    if data:
        if not Path(data).exists():
            raise DataError(f"--data: there is no {data!r}")
        return Path(data)
    if net_data:
        found = locate(net_data, [cfg.parent, above])
        if found is None:
            raise DataError(f"{cfg}: [net] data={net_data} does not exist. Looked in the current folder, "
                            f"{cfg.parent} and {above}" + _download(net_data))
        return Path(found)
    bases = [Path("data")]
    if (above / "data").resolve() != bases[0].resolve():
        bases.append(above / "data")
    places = [base / (cfg.stem + suffix) for base in bases for suffix in (*DESCRIPTIONS, "")]
    for place in places:
        if place.is_dir() if place.name == cfg.stem else place.is_file():
            return place
    raise DataError(f"{cfg}: no data to be found. Name it by --data, or by data= in [net], or put it at one "
                    f"of {', '.join(str(place) for place in places)}" + _download(cfg.stem))


def _download(path: str) -> str:
    """How to get a public data set that is not there."""
    name = Path(path).name
    return f". `python run.py download {name}` brings it to data/{name}" if name in PUBLIC_DATASETS else ""


def expand_images(arguments: Iterable[str | os.PathLike]) -> list[str]:
    """Images, folders (all below), globs, list files (.txt, .list) and - (stdin), as one list of paths.  A file of many
    images (idx, CIFAR, npz) gives the names of all, `file#number`; such a name stands for one.

    The order is that of the arguments; folders and globs are sorted.  DataError for what does not exist.
    """
    found: list[str] = []
    for given in arguments:
        argument = os.fspath(given)
        if argument == "-":
            found += _listed(enumerate((line.strip() for line in sys.stdin), 1), "standard input", Path("."))
        elif os.path.isdir(argument):
            inside = images_in(argument)
            if not inside:
                raise DataError(f"{argument}: there are no images in this folder")
            found += inside
        elif os.path.exists(argument):
            if is_array_file(argument):
                found += names_in(argument)
            elif argument.lower().endswith(LISTS):
                found += _listed(read_lines(argument), argument, Path(argument).parent)
            else:
                found.append(argument)
        elif is_stored(argument):
            found.append(argument)
        elif any(sign in argument for sign in "*?["):
            matches = sorted(name for name in glob.glob(argument, recursive=True) if os.path.isfile(name))
            if not matches:
                raise DataError(f"{argument}: no file matches")
            found += [name for name in matches if os.path.splitext(name)[1].lower() in SUFFIXES] or matches
        else:
            raise DataError(f"{argument}: there is no such file or folder")
    return found


def _listed(lines: Iterable[tuple[int, str]], name: str, folder: Path) -> list[str]:
    found = []
    for number, line in lines:
        if line:
            where = locate(line, [folder])
            if where is None:
                raise DataError(f"{name}:{number}: there is no {line!r}, neither in the current folder nor "
                                f"in {folder}")
            found.append(where)
    return found
