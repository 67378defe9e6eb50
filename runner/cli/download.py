"""Download a public dataset, or published weights: the only verb that accesses the internet.

Broken connections are resumed; to resume an interrupted download, repeat the command.  Files are verified with the
checksums their authors publish.  The folder appears when it is complete.  Only these files are requested, and nothing
else is sent.

  python run.py download --list
  python run.py download mnist                               to data/mnist
  python run.py download yolov3-tiny                         to weights/yolov3-tiny.weights
  python run.py download cifar10 --to /big/disk/cifar10
  python run.py download mnist --from https://mirror.example/mnist/
"""
import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli import console
from runner.program import command

if TYPE_CHECKING:
    from tqdm import tqdm

    from runner.datasets.download import Progress
    from runner.datasets.public_datasets import PublicDataset


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="name of a dataset or of published weights, see --list")
    parser.add_argument("--list", action="store_true", help="list the datasets and the weights")
    parser.add_argument("--to", metavar="PATH", help="default: data/NAME, weights/NAME.weights")
    parser.add_argument("--from", metavar="ADDRESS", dest="source",
                        help="URL of a mirror, to which the file names are appended")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    from runner.datasets.public_datasets import PUBLIC_DATASETS, PUBLISHED_WEIGHTS
    from runner.errors import UsageError, did_you_mean
    from runner.lock import Lock
    if args.list:
        console.say(console.table([("name", "MB", "what"), *(
            (name, f"{one.size / 1e6:.0f}", one.about) for name, one in PUBLIC_DATASETS.items())], left=(0, 2)))
        console.say("\n" + console.table([("weights", "MB", "what", "licence"), *(
            (name, f"{one.size / 1e6:.1f}", one.about, one.licence) for name, one in PUBLISHED_WEIGHTS.items())],
            left=(0, 2, 3)))
        return 0
    if not args.name:
        raise UsageError(f"name a dataset: {', '.join(PUBLIC_DATASETS)}; or weights: {', '.join(PUBLISHED_WEIGHTS)}")
    if args.name in PUBLISHED_WEIGHTS:
        return download_weights(args)
    if args.name not in PUBLIC_DATASETS:
        raise UsageError(f"unknown name {args.name!r}{did_you_mean(args.name, [*PUBLIC_DATASETS, *PUBLISHED_WEIGHTS])}")
    folder = Path(args.to or Path("data") / args.name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        console.say(f"{folder} already exists; delete it, or choose another folder with --to")
        return 0
    with Lock(folder, "--to"):
        fetch_dataset(PUBLIC_DATASETS[args.name], folder, args.source, args.quiet)
    console.say(f"{folder}: {PUBLIC_DATASETS[args.name].about}")
    console.say(f"next:    {command('data', folder)}")
    return 0


def download_weights(args: argparse.Namespace) -> int:
    """Download published weights to weights/NAME.weights.  Another file of that name is not overwritten."""
    from runner.datasets.download import digest, fetch
    from runner.datasets.public_datasets import PUBLISHED_WEIGHTS
    from runner.errors import UsageError
    from runner.lock import Lock
    one, target = PUBLISHED_WEIGHTS[args.name], Path(args.to or Path("weights") / f"{args.name}.weights")
    if target.is_dir():
        raise UsageError(f"{target}: this is a folder. --to names the file to write")
    if target.exists() and digest(target, "sha256") != one.sha256:
        raise UsageError(f"{target}: this is another file, and nothing is overwritten. Choose another one with --to")
    bases = [args.source if args.source.endswith("/") else f"{args.source}/"] if args.source else one.mirrors
    with Lock(target, "--to"), _bar(one.file, args.quiet) as bar:
        fetch((base + one.file for base in bases), target, one.sha256, _progress(bar))
    console.say(f"{target}: {one.about}; {one.licence}")
    console.say(f"next:    {command('detect', f'cfg/{args.name}.cfg', 'IMAGES', '--weights', target)}")
    return 0


def _bar(name: str, quiet: bool) -> "tqdm":
    from tqdm import tqdm
    return tqdm(desc=name, unit="B", unit_scale=True, file=sys.stderr, leave=False, dynamic_ncols=True,
                disable=quiet or not sys.stderr.isatty())


def _progress(bar: "tqdm") -> "Progress":
    def progress(_: str, done: int, total: int) -> None:
        bar.total = total or None
        bar.update(done - bar.n)
    return progress


def fetch_dataset(data: "PublicDataset", folder: Path, source: str | None, quiet: bool) -> None:
    """Download, verify and unpack into a temporary folder, then rename it to `folder`."""
    from runner.datasets.download import fetch, unpack
    from runner.files import atomic_write
    work = folder.parent / f".{folder.name}.download"
    ready = work / "ready"
    bases = [source if source.endswith("/") else f"{source}/"] if source else data.mirrors
    shutil.rmtree(ready, ignore_errors=True)
    for name, md5 in data.files.items():
        with _bar(name, quiet) as bar:
            fetch((base + name for base in bases), work / name, md5, _progress(bar))
        if not md5:
            console.remark(f"{name}: no published checksum; verified by its length and the archive's own checksums")
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
        folder.rmdir()      # empty, see run
    ready.rename(folder)
    shutil.rmtree(work, ignore_errors=True)
