"""Put the parts together that `detect --json-lines` or `predict --json-lines` has written, in the order of the images.

Parts that are missing are named, and nothing is written.  The format is that of the name: .csv is a table, .json what
--json writes; --format coco are COCO results, of `detect`.  Images that could not be read are left out and counted.

  python run.py merge out/ --to all.json
  python run.py merge out/ --to all.csv
  python run.py merge out/ --to coco.json --format coco --annotations instances_val2017.json
"""
import argparse
from pathlib import Path

from runner.cli import common, console

FORMATS = ("json", "csv", "coco")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="the folder of --json-lines")
    parser.add_argument("--to", metavar="FILE", action=common.Output, content="merged", required=True,
                        help="the file to write; - is stdout")
    parser.add_argument("--format", choices=FORMATS, help="default: csv if the name ends in .csv, coco if it contains "
                                                          "'coco' and ends in .json, else json")
    parser.add_argument("--annotations", metavar="FILE",
                        help="of COCO results: the COCO file with the ids of images, by the name of the file, and of "
                             "categories, by the name of the class (default: the number at the end of the name of an "
                             "image; the ids of COCO for its 80 classes, else class number plus 1)")


def run(args: argparse.Namespace) -> int:
    from runner.errors import UsageError, counted
    from runner.files import atomic_write
    from runner.inference.parts import Parts, write
    form = args.format or format_of(args.to)
    if args.annotations and form != "coco":
        raise UsageError(f"--annotations is for COCO results, and this is {form}: use --format coco")
    if args.to != "-" and Path(args.to).resolve().parent == Path(args.folder).resolve():
        raise UsageError(f"--to {args.to}: this folder is that of the parts. Choose another one")
    parts = Parts(args.folder)
    if args.to == "-":
        count = write(parts, form, lambda text: print(text, end=""), args.annotations)
    else:
        with atomic_write(args.to, "w") as file:
            count = write(parts, form, file.write, args.annotations)
    bad = f"; {parts.bad:,} could not be read and {'is' if parts.bad == 1 else 'are'} left out" if parts.bad else ""
    console.remark(f"{args.to}: {counted(count, 'image')} as {form}{bad}")
    return 0


def format_of(target: str) -> str:
    """The format that a name stands for."""
    name = Path(target).name.lower()
    return "csv" if name.endswith(".csv") else "coco" if "coco" in name and name.endswith(".json") else "json"
