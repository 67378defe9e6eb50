"""The dataset of a network: from the command line, from [net] data=, or by the name of the cfg."""
import os
from pathlib import Path

from runner.datasets.formats import described_suffixes
from runner.datasets.lists import locate
from runner.datasets.public_datasets import PUBLIC_DATASETS
from runner.errors import DataError
from runner.program import command
from runner.shipped import find


def find_data(cfg_path: str | os.PathLike, data: str | None = None, net_data: str | None = None) -> Path:
    """The path of the dataset of a network: --data, else [net] data=, else data/<cfg name>, a folder or a file with the
    suffix of a format (see described_suffixes).

    [net] data= is relative to the current folder, the folder of the cfg or the one above it; data/ is looked for in the
    current folder, then next to the folder of the cfg.  Raises DataError with the places that were tried.
    """
    cfg = Path(find(cfg_path))
    above = cfg.resolve().parent.parent
    if data:
        if not Path(found := find(data)).exists():
            raise DataError(f"--data: there is no {data!r}")
        return Path(found)
    if net_data:
        located = locate(net_data, [cfg.parent, above])
        if located is None and os.path.exists(found := find(net_data)):
            located = found
        if located is None:
            raise DataError(f"{cfg}: [net] data={net_data} does not exist. Looked in the current folder, "
                            f"{cfg.parent} and {above}" + _download_hint(net_data))
        return Path(located)
    bases = [Path("data")]
    if (above / "data").resolve() != bases[0].resolve():
        bases.append(above / "data")
    files = [(base / (cfg.stem + suffix), bool(suffix)) for base in bases for suffix in (*described_suffixes(), "")]
    for place, is_file in files:
        if place.is_file() if is_file else place.is_dir():
            return place
    raise DataError(f"{cfg}: no data found. Use --data, or data= in [net], or one of the paths "
                    f"{', '.join(str(place) for place, _ in files)}" + _download_hint(cfg.stem))


def _download_hint(path: str) -> str:
    """How to get a public dataset that is missing."""
    name = Path(path).name
    return f". `{command('download', name)}` downloads it to data/{name}" if name in PUBLIC_DATASETS else ""
