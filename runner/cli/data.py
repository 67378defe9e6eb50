"""Describe a data set: how many images and of which class, sizes, kinds, what cannot be read, and pictures that are
there twice (by their pixels, whatever the files are called), above all those for training and for testing.

Data with boxes is described by its boxes, and by the mistakes in its labels.  The exit status is 1 when something
should be mended: unreadable images, mistakes in labels, the same picture in both parts or with two classes.

  python run.py data data/digits
  python run.py data birds/ --save sheet.png              and draw some images of each class
  python run.py data birds.yaml --json -                  everything, for a program
  python run.py data cfg/net.cfg                          the data of that network
"""
import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli import common, console
from runner.machine import bytes_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.datasets import Dataset, DetectionDataset, DetectionSplit, Split
    from runner.datasets.survey import Duplicate, SplitSurvey

ROWS = 50           # classes on the sheet
SHOWN = 5           # of each kind of trouble
PART_WORDS = {"train": "to train", "test": "to test"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="what --data of train takes, or a cfg")
    parser.add_argument("--save", metavar="FILE", help="draw some images of each class")
    parser.add_argument("--columns", type=common.positive, default=10, metavar="N",
                        help="with --save: images of each class (default 10)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    from runner.datasets.survey import duplicates, survey
    if args.save:
        common.picture_file(args.save)
    data = open_any(args.data)
    parts: dict[str, tuple[Any, SplitSurvey]] = {}
    for name in ("train", "test"):
        split = getattr(data, name)
        if split is not None:
            with _bar(len(split), name, args.quiet) as bar:
                parts[name] = split, survey(split, _moves(bar))
    repeated = duplicates(parts)
    problems = getattr(data, "problems", [])
    wrong = bool(problems) or any(found.bad for _, found in parts.values()) or any(
        duplicate.leaks or duplicate.label_conflict for duplicate in repeated)
    if args.save:
        common.save_picture(_sheet(data, parts, args.columns), args.save)
    if args.json:
        console.write_json(args.json, _as_json(data, parts, repeated, problems))
    if args.json != "-":
        _report(data, parts, repeated)
        if args.save:
            console.say(f"\n{args.save}: some images of each class")
    return 1 if wrong else 0


def open_any(path: str) -> "Dataset | DetectionDataset":
    """What lies there: boxes if there are any, else classes."""
    import runner
    from runner.config import Report
    from runner.datasets import find_data, open_dataset, open_detection_dataset
    from runner.datasets.containers.arrays import open_arrays
    from runner.errors import DataError
    if path.endswith(".cfg"):
        net = runner.load(path, allocate=False, report=Report())
        path = str(find_data(path, None, net.options.data or None))
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such data folder or file")
    found = open_arrays(path)
    if found is not None:
        return found
    try:
        return open_detection_dataset(path)
    except DataError as no_boxes:
        try:
            return open_dataset(path)
        except DataError as no_classes:
            if Path(path).suffix.lower() not in (".data", ".yaml", ".yml") or str(no_classes) == str(no_boxes):
                raise
            raise DataError(f"{no_classes}\n(as data with boxes: {no_boxes})") from None


def _moves(bar: Any) -> "Callable[[int], None]":
    return lambda done: bar.update(done - bar.n)


def _bar(total: int, name: str, quiet: bool) -> Any:
    from tqdm import tqdm
    return tqdm(total=total, desc=f"reading {name}", file=sys.stderr, leave=False, dynamic_ncols=True,
                disable=quiet or not sys.stderr.isatty())


# --- for people ----------------------------------------------------------------------------------------------

def _report(data: "Dataset | DetectionDataset", parts: dict[str, tuple[Any, "SplitSurvey"]],
            repeated: list["Duplicate"]) -> None:
    boxes = any(found.boxes is not None for _, found in parts.values())
    console.say(f"{data.source}: " + ", ".join(f"{found.images:,} images {PART_WORDS[name]}"
                                               for name, (_, found) in parts.items()) + f", {len(data.names)} classes")
    what = "boxes" if boxes else "images"
    rows = [("class", *(f"{name} {what}" for name in parts), *(f"share of {name}" for name in parts))]
    totals = [max(1, int(found.counts.sum())) for _, found in parts.values()]
    for index, name in enumerate(data.names):
        counts = [int(found.counts[index]) for _, found in parts.values()]
        rows.append((name, *(f"{count:,}" for count in counts),
                     *(f"{100 * count / total:.1f} %" for count, total in zip(counts, totals, strict=True))))
    console.say()
    console.say(console.table(rows))
    for name, (_, found) in parts.items():
        console.say()
        for line in _part_lines(name, found, data.names):
            console.say(line)
    _trouble(data, parts, repeated)


def _part_lines(name: str, found: "SplitSurvey", names: list[str]) -> list[str]:
    import numpy as np
    lines = [f"{name}: {_most(found.sizes)}; {_kinds(found)}; {bytes_text(found.decoded)} decoded"]
    there = found.counts[found.counts > 0]
    if len(there) > 1 and there.max() == there.min():
        lines.append(f"  each class has {there[0]:,}")
    elif len(there) > 1:
        large, small = int(found.counts.argmax()), int(np.where(found.counts > 0, found.counts, 1 << 60).argmin())
        lines.append(f"  largest class {names[large]} ({found.counts[large]:,}), smallest {names[small]} "
                     f"({found.counts[small]:,}): {found.counts[large] / found.counts[small]:.1f} times")
    missing = [names[i] for i in np.flatnonzero(found.counts == 0)]
    if missing:
        lines.append(f"  nothing of {len(missing)} classes: {', '.join(missing[:SHOWN])}"
                     + (" ..." if len(missing) > SHOWN else ""))
    if found.boxes is not None and len(found.boxes):
        areas = found.boxes.prod(axis=1) ** .5
        low, middle, high = (100 * float(np.quantile(areas, q)) for q in (.05, .5, .95))
        lines.append(f"  {len(found.boxes):,} boxes, {len(found.boxes) / max(1, found.images):.1f} an image; side of "
                     f"a box as part of the image: {middle:.0f} % (from {low:.0f} to {high:.0f} %)")
        lines.append(f"  {found.empty:,} images have none" if found.empty else "  every image has at least one")
    return lines


def _most(sizes: Any) -> str:
    """The sizes that occur, if they are few; else the range and the most common."""
    if not sizes:
        return "no image can be read"
    common_sizes = sizes.most_common()
    if len(sizes) == 1:
        return "all {} x {} pixels".format(*common_sizes[0][0])
    if len(sizes) <= 4:
        return ", ".join(f"{n:,} of {w} x {h}" for (w, h), n in common_sizes) + " pixels"
    widths, heights = zip(*sizes, strict=True)
    (w, h), n = common_sizes[0]
    return (f"{len(sizes)} sizes, {min(widths)} to {max(widths)} pixels wide and {min(heights)} to {max(heights)} "
            f"high, most often {w} x {h} ({n:,})")


def _kinds(found: "SplitSurvey") -> str:
    if len(found.kinds) == 1:
        return f"all {next(iter(found.kinds))}"
    return ", ".join(f"{n:,} {kind}" for kind, n in found.kinds.most_common())


def _trouble(data: "Dataset | DetectionDataset", parts: dict[str, tuple[Any, "SplitSurvey"]],
             repeated: list["Duplicate"]) -> None:
    """What should be mended, and what is at least worth knowing."""
    console.say()
    bad = [sentence for _, found in parts.values() for sentence in found.bad]
    _list(f"{len(bad):,} images cannot be read", bad)
    across = [duplicate for duplicate in repeated if duplicate.leaks]
    quarrels = [duplicate for duplicate in repeated if duplicate.label_conflict]
    rest = [duplicate for duplicate in repeated if not duplicate.leaks and not duplicate.label_conflict]
    _list(f"{len(across):,} pictures are both for training and for testing: what is measured with them says little",
          [_place(duplicate, parts) for duplicate in across])
    _list(f"{len(quarrels):,} pictures have more than one class",
          [_place(duplicate, parts, data.names) for duplicate in quarrels])
    _list(f"{len(rest):,} pictures are there more than once", [_place(duplicate, parts) for duplicate in rest])
    for warning in data.warnings:
        console.say(warning)
    if not bad and not repeated and not data.warnings:
        console.say("every image can be read, and none is there twice")


def _list(heading: str, lines: list[str]) -> None:
    if not lines:
        return
    console.say(heading)
    for line in lines[:SHOWN]:
        console.say(f"  {line}")
    if len(lines) > SHOWN:
        console.say(f"  and {len(lines) - SHOWN:,} more")


def _place(duplicate: "Duplicate", parts: dict[str, tuple[Any, "SplitSurvey"]], names: list[str] | None = None) -> str:
    shown = [parts[part][0][number][0] + (f" ({names[kind]})" if names and kind >= 0 else "")
             for part, number, kind in duplicate.places]
    return " = ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


# --- for programs, and the sheet -----------------------------------------------------------------------------

def _as_json(data: "Dataset | DetectionDataset", parts: dict[str, tuple[Any, "SplitSurvey"]],
             repeated: list["Duplicate"], problems: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"source": data.source, "classes": data.names, "warnings": data.warnings}
    for name, (_, found) in parts.items():
        out[name] = {"images": found.images, "counts": found.counts.tolist(),
                     "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in found.sizes.most_common()],
                     "kinds": dict(found.kinds.most_common()), "decoded_bytes": found.decoded, "unreadable": found.bad}
        if found.boxes is not None:
            out[name] |= {"boxes": len(found.boxes), "without_boxes": found.empty}
    out["repeated"] = [{"across_parts": duplicate.leaks, "several_classes": duplicate.label_conflict,
                        "images": [parts[part][0][number][0] for part, number, _ in duplicate.places]}
                       for duplicate in repeated]
    if problems:
        out["label_problems"] = [{"kind": p.kind, "where": p.where, "text": p.text, "left_out": p.lost}
                                 for p in problems]
    return out


def _sheet(data: "Dataset | DetectionDataset", parts: dict[str, tuple[Any, "SplitSurvey"]], columns: int) -> Any:
    """Some images of each class in a row, spread over the whole of it; with boxes, some pictures."""
    import numpy as np

    from runner.datasets import Split
    from runner.images.contact_sheet import contact_sheet
    name, (split, _) = next(iter(parts.items()))
    heading = f"{data.source}, images {PART_WORDS[name]}"

    def row(members: Any, count: int) -> list[Any]:
        chosen = members[np.linspace(0, len(members) - 1, min(count, len(members))).astype(int)]
        return [tile for number in chosen if (tile := _tile(data, split, int(number)))]

    if not isinstance(split, Split):
        columns = min(columns, 5)
        tiles = row(np.arange(len(split)), 5 * columns)
        return contact_sheet([heading], [("", tiles[i:i + columns]) for i in range(0, len(tiles), columns)], 224)
    labels, rows = split.labels(), []
    for index in np.unique(labels)[:ROWS]:
        members = np.flatnonzero(labels == index)
        rows.append((f"{data.names[index]}: {len(members):,} images", row(members, columns)))
    more = len(np.unique(labels)) - len(rows)
    return contact_sheet([heading + (f", the first {ROWS} of {ROWS + more} classes" if more else "")], rows)


def _tile(data: "Dataset | DetectionDataset", split: "Split | DetectionSplit", number: int) -> Any:
    """A picture with its name, and its boxes; None when it cannot be read."""
    from runner.datasets import Split
    from runner.errors import DataError
    from runner.images import pixel_corners, resize_max, to_float, to_pil
    from runner.images.draw import draw_boxes
    try:
        image = to_float(split.read(number, 3))
    except DataError:
        return None
    caption = os.path.basename(split[number][0])
    if isinstance(split, Split):
        return to_pil(image), caption
    image = resize_max(image, 448) if max(image.shape[1:]) > 448 else image
    h, w = image.shape[1:]
    rows = split[number].boxes
    boxes = [(data.names[kind], kind, None, corners)
             for kind, corners in zip(rows[:, 4].astype(int).tolist(), pixel_corners(rows, w, h).tolist(), strict=True)]
    return draw_boxes(image, boxes), caption
