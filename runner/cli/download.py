"""Bring a public data set: the one verb that goes to the network.

Broken connections are taken up again, and so is a download that was stopped: say the same command.  Checksums are those
the authors publish.  The folder is there when everything in it is; nothing but these files is fetched, and nothing is
sent but the request for them.

  python run.py download --list
  python run.py download mnist                               to data/mnist
  python run.py download cifar10 --to /big/disk/cifar10
  python run.py download mnist --from https://mirror.example/mnist/
"""
import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import console

if TYPE_CHECKING:
    from runner.datasets.public_datasets import PublicDataset


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="which; --list tells all")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--to", metavar="FOLDER", help="default: data/NAME")
    parser.add_argument("--from", metavar="ADDRESS", dest="source",
                        help="another place with the same files: their names are appended to it")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    from runner.datasets.public_datasets import PUBLIC_DATASETS
    from runner.errors import UsageError, did_you_mean
    if args.list:
        console.say(console.table([("name", "MB", "what"), *(
            (name, f"{one.size / 1e6:.0f}", one.about) for name, one in PUBLIC_DATASETS.items())], left=(0, 2)))
        return 0
    if not args.name:
        raise UsageError(f"say which data set: {', '.join(PUBLIC_DATASETS)}")
    if args.name not in PUBLIC_DATASETS:
        raise UsageError(f"there is no data set {args.name!r} to download{did_you_mean(args.name, PUBLIC_DATASETS)}")
    folder = Path(args.to or Path("data") / args.name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        console.say(f"{folder} is there already; delete it, or name another place by --to")
        return 0
    bring(PUBLIC_DATASETS[args.name], folder, args.source, args.quiet)
    console.say(f"{folder}: {PUBLIC_DATASETS[args.name].about}")
    console.say(f"next:    python run.py data {folder}")
    return 0


def bring(data: "PublicDataset", folder: Path, source: str | None, quiet: bool) -> None:
    """Fetch, check and unpack beside `folder`; it takes its name when all is done."""
    from tqdm import tqdm

    from runner.datasets.download import fetch, unpack
    from runner.files import atomic_write
    work = folder.parent / f".{folder.name}.download"
    ready = work / "ready"
    bases = [source if source.endswith("/") else f"{source}/"] if source else data.mirrors
    shutil.rmtree(ready, ignore_errors=True)
    for name, md5 in data.files.items():
        with tqdm(desc=name, unit="B", unit_scale=True, file=sys.stderr, leave=False, dynamic_ncols=True,
                  disable=quiet or not sys.stderr.isatty()) as bar:
            def progress(_: str, done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            fetch((base + name for base in bases), work / name, md5, progress)
        if not md5:
            console.remark(f"{name}: nobody publishes a checksum; its length is right, and the archive has its own")
    ready.mkdir(parents=True)
    for name in data.files:
        if name.endswith((".tar.gz", ".zip")):
            unpack(work / name, ready)
        else:
            shutil.move(work / name, ready / name)
    for name, text in data.texts.items():
        with atomic_write(ready / name, "w") as file:
            file.write(text)
    if folder.exists():
        folder.rmdir()      # empty, or it would not have come to this
    ready.rename(folder)
    shutil.rmtree(work, ignore_errors=True)
