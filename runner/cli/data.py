"""Describe a dataset: number of images per class, sizes, colour modes, unreadable images, and duplicates (images with
the same pixels, whatever their file names), in particular between the training and the test split.

Data with boxes is described by its boxes, and by the errors in its labels.  The exit status is 1 if something should be
fixed: unreadable images, errors in labels, an image in both splits or with two classes.  One list for both splits is
only a warning.

  python run.py data data/digits
  python run.py data birds/ --save sheet.png              and draw some images of each class
  python run.py data birds.yaml --json -                  all of it as JSON
  python run.py data cfg/net.cfg                          the data of that network, or of a run
"""
import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from runner import errors
from runner.cli import common, console
from runner.errors import counted
from runner.machine import bytes_text
from runner.shipped import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.datasets import Dataset, DetectionDataset, DetectionSplit, Label, Split
    from runner.datasets.survey import Duplicate, SplitSurvey

MAX_SHEET_CLASSES = 50      # with more, only the first are drawn
MAX_CLASSES = 10_000    # that the table lists; --json has them all
MAX_LISTED = 5      # examples of each problem
PURPOSE = {"train": "to train", "test": "to test"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="what --data of train takes, or a cfg, or a training run")
    parser.add_argument("--save", metavar="FILE", action=common.Output, content="image",
                        help="draw some images of each class")
    parser.add_argument("--columns", type=common.positive, default=10, metavar="N",
                        help="with --save: images per class (default 10)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    common.json_option(parser)


def run(args: argparse.Namespace) -> int:
    from runner.datasets.overlap import same_images
    from runner.datasets.survey import duplicates, survey
    if args.save:
        common.require_image_name(args.save)
    data, channels = open_any(args.data)
    console.detail(f"data: {data.source}, {errors.counted(len(data.names), 'class')}; reading every image")
    splits: dict[str, tuple[Any, SplitSurvey]] = {}
    for name in ("train", "test"):
        split = getattr(data, name)
        if split is not None:
            with _bar(len(split), name, args.quiet) as bar:
                splits[name] = split, survey(split, _progress(bar), channels)
    # of splits that are the same images, which a warning says, the copies within one of them
    compared = {"train": splits["train"]} if same_images(data.train, data.test) else splits
    repeated = duplicates(compared)
    problems = getattr(data, "problems", [])
    needs_fixing = bool(problems) or any(stats.bad for _, stats in splits.values()) or any(
        duplicate.leaks or duplicate.label_conflict for duplicate in repeated)
    if args.save:
        common.save_image(_sheet(data, splits, args.columns), args.save)
    if args.json:
        console.write_json(args.json, _as_json(data, splits, repeated, problems))
    if args.json != "-":
        _report(data, splits, repeated)
        if args.save:
            console.say(f"\n{args.save}: some images of each class")
    return 1 if needs_fixing else 0


def open_any(path: str) -> "tuple[Dataset | DetectionDataset, int | None]":
    """The dataset at a path, or that of a cfg or of a run as its network reads it: with boxes if it has them, else
    with classes.  And the channels of the images that the network takes; None: no cfg."""
    import runner
    from runner.chosen_run import choose
    from runner.config import Report
    from runner.datasets import Dataset, find_data, hold_out, open_any_dataset
    from runner.network_checks import learns_several_labels
    settings: list[str] = []
    source = None
    if not path.endswith(".cfg"):
        if not _is_run(path):
            return open_any_dataset(find(path)), None
        run = choose(path)
        path, settings, source = str(run.cfg), run.settings, run.data
    net = runner.load(path, allocate=False, report=Report(), settings=settings)
    data = open_any_dataset(find_data(path, source, net.options.data or None),
                            every_label=learns_several_labels(net.layers, net.links, net.last))
    if share := net.options.split_share:
        if isinstance(data, Dataset):
            data = hold_out(data, share)
        else:
            data = hold_out(data, share)    # the same of the other type
    return data, net.in_shape[0] if len(net.in_shape) == 3 else None


def _is_run(word: str) -> bool:
    """Does the word name a run?  A dataset of that name comes first."""
    from pathlib import Path

    from runner.chosen_run import BASE, has_run
    return has_run(Path(word)) or (not os.path.exists(find(word)) and has_run(BASE / word))


def _progress(bar: Any) -> "Callable[[int], None]":
    """Set a progress bar to the number of images done so far."""
    return lambda done: bar.update(done - bar.n)


def _bar(total: int, name: str, quiet: bool) -> Any:
    from tqdm import tqdm
    return tqdm(total=total, desc=f"reading {name}", file=sys.stderr, leave=False, dynamic_ncols=True,
                disable=quiet or not sys.stderr.isatty())


# --- as text -------------------------------------------------------------------------------------------------

def _report(data: "Dataset | DetectionDataset", splits: dict[str, tuple[Any, "SplitSurvey"]],
            repeated: list["Duplicate"]) -> None:
    boxes = any(stats.boxes is not None for _, stats in splits.values())
    console.say(f"{console.one_line(data.source)}: " + ", ".join(f"{_images(stats.images)} {PURPOSE[name]}"
                                               for name, (_, stats) in splits.items())
                + f", {errors.counted(len(data.names), 'class')}")
    counted = "boxes" if boxes else "images"
    rows = [("class", *(f"{name} {counted}" for name in splits), *(f"share of {name}" for name in splits))]
    totals = [max(1, int(stats.counts.sum()) if stats.labels is None else stats.images) for _, stats in splits.values()]
    for index, name in enumerate(data.names[:MAX_CLASSES]):
        counts = [int(stats.counts[index]) for _, stats in splits.values()]
        rows.append((name, *(f"{count:,}" for count in counts),
                     *(f"{100 * count / total:.1f} %" for count, total in zip(counts, totals, strict=True))))
    console.say()
    console.say(console.table(rows))
    if len(data.names) > MAX_CLASSES:
        console.say(f"and {len(data.names) - MAX_CLASSES:,} more classes")
    for name, (_, stats) in splits.items():
        console.say()
        for line in _split_lines(name, stats, data.names):
            console.say(console.one_line(line))
    _print_problems(data, splits, repeated)


def _split_lines(name: str, stats: "SplitSurvey", names: list[str]) -> list[str]:
    import numpy as np
    lines = [f"{name}: {_size_text(stats.sizes)}; {_colour_modes(stats)}; {bytes_text(stats.decoded)} decoded"]
    counts = stats.counts[stats.counts > 0]
    if len(counts) > 1 and counts.max() == counts.min():
        lines.append(f"  each class has {counts[0]:,}")
    elif len(counts) > 1:
        large, small = int(stats.counts.argmax()), int(np.where(stats.counts > 0, stats.counts, 1 << 60).argmin())
        lines.append(f"  largest class {names[large]} ({stats.counts[large]:,}), smallest {names[small]} "
                     f"({stats.counts[small]:,}): ratio {stats.counts[large] / stats.counts[small]:.1f}")
    if stats.labels is not None:
        lines.append("  labels per image: " + ", ".join(f"{count:,} with {k or 'none'}"
                                                        for k, count in enumerate(stats.labels) if count))
    missing = [names[i] for i in np.flatnonzero(stats.counts == 0)]
    if missing:
        counted = "images" if stats.boxes is None else "boxes"
        lines.append(f"  classes without {counted} ({len(missing)}): {', '.join(missing[:MAX_LISTED])}"
                     + (" ..." if len(missing) > MAX_LISTED else ""))
    if stats.boxes is not None and len(stats.boxes):
        sides = stats.boxes.prod(axis=1) ** .5
        low, median, high = (100 * float(np.quantile(sides, q)) for q in (.05, .5, .95))
        lines.append(f"  {len(stats.boxes):,} {errors.plural(len(stats.boxes), 'box')}, "
                     f"{len(stats.boxes) / max(1, stats.images):.1f} per image; "
                     f"side (square root of the area) relative to the image: median {median:.0f} %, 5th to 95th "
                     f"percentile {low:.0f} to {high:.0f} %")
        lines.append(f"  {_images(stats.empty)} without boxes" if stats.empty else "  every image has at least one box")
    return lines


def _size_text(sizes: Any) -> str:
    """The image sizes if there are few, else their range and the most common one."""
    if not sizes:
        return "no readable images"
    common_sizes = sizes.most_common()
    if len(sizes) == 1:
        return "all {} x {} pixels".format(*common_sizes[0][0])
    if len(sizes) <= 4:
        return ", ".join(f"{n:,} of {w} x {h}" for (w, h), n in common_sizes) + " pixels"
    widths, heights = zip(*sizes, strict=True)
    (w, h), n = common_sizes[0]
    return (f"{len(sizes)} sizes, {min(widths)} to {max(widths)} pixels wide and {min(heights)} to {max(heights)} "
            f"high, most often {w} x {h} ({n:,})")


def _colour_modes(stats: "SplitSurvey") -> str:
    if len(stats.kinds) == 1:
        return f"all {next(iter(stats.kinds))}"
    return ", ".join(f"{n:,} {kind}" for kind, n in stats.kinds.most_common())


def _print_problems(data: "Dataset | DetectionDataset", splits: dict[str, tuple[Any, "SplitSurvey"]],
             repeated: list["Duplicate"]) -> None:
    """What should be fixed, and other duplicates and warnings."""
    from runner.datasets.overlap import overlap_warning
    console.say()
    bad = [sentence for _, stats in splits.values() for sentence in stats.bad]
    _list(f"{_images(len(bad))} cannot be read", bad)
    leaks = [duplicate for duplicate in repeated if duplicate.leaks]
    conflicts = [duplicate for duplicate in repeated if duplicate.label_conflict]
    others = [duplicate for duplicate in repeated if not duplicate.leaks and not duplicate.label_conflict]
    _list(f"data leak: {_images(len(leaks))} in both the training and the test split",
          [_place(duplicate, splits) for duplicate in leaks])
    several = any(stats.labels is not None for _, stats in splits.values())
    _list(f"{_images(len(conflicts))} with different labels" if several else
          f"{_images(len(conflicts))} with more than one class",
          [_place(duplicate, splits, data.names) for duplicate in conflicts])
    _list(f"{_images(len(others))} with duplicates", [_place(duplicate, splits) for duplicate in others])
    reported = overlap_warning(data.train, data.test, data.source) if leaks else ""
    for warning in data.warnings:
        if warning != reported:     # the data leak above
            console.say(warning)
    if several:
        console.say("images with several labels, or none: a network that ends in [logistic] learns them, others leave "
                    "these images out")
    if not bad and not repeated and not data.warnings:
        console.say("all images can be read, and there are no duplicates")


def _images(count: int) -> str:
    return f"{count:,} {errors.plural(count, 'image')}"


def _list(heading: str, lines: list[str]) -> None:
    if not lines:
        return
    console.say(heading)
    for line in lines[:MAX_LISTED]:
        console.say(f"  {console.one_line(line)}")
    if len(lines) > MAX_LISTED:
        console.say(f"  and {len(lines) - MAX_LISTED:,} more")


def _place(duplicate: "Duplicate", splits: dict[str, tuple[Any, "SplitSurvey"]], names: list[str] | None = None) -> str:
    shown = [splits[name][0][number][0] + (f" ({label_words(label, names)})" if names and label != -1 else "")
             for name, number, label in duplicate.places]
    return " = ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")


def label_words(label: "Label", names: list[str]) -> str:
    """The names of the classes of an image."""
    from runner.datasets import classes_of
    return ", ".join(names[index] for index in classes_of(label)) or "none"


# --- as JSON, and as a sheet ---------------------------------------------------------------------------------

def _as_json(data: "Dataset | DetectionDataset", splits: dict[str, tuple[Any, "SplitSurvey"]],
             repeated: list["Duplicate"], problems: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"source": data.source, "classes": data.names, "warnings": data.warnings}
    for name, (_, stats) in splits.items():
        out[name] = {"images": stats.images, "counts": stats.counts.tolist(),
                     "sizes": [{"width": w, "height": h, "images": n} for (w, h), n in stats.sizes.most_common()],
                     "kinds": dict(stats.kinds.most_common()), "decoded_bytes": stats.decoded, "unreadable": stats.bad}
        if stats.labels is not None:
            out[name] |= {"labels_per_image": {str(k): int(count) for k, count in enumerate(stats.labels) if count}}
        if stats.boxes is not None:
            out[name] |= {"boxes": len(stats.boxes), "without_boxes": stats.empty}
    out["repeated"] = [{"across_parts": duplicate.leaks, "several_classes": duplicate.label_conflict,
                        "images": [splits[name][0][number][0] for name, number, _ in duplicate.places]}
                       for duplicate in repeated]
    if problems:
        out["label_problems"] = [{"kind": p.kind, "where": p.where, "text": p.text, "left_out": p.lost}
                                 for p in problems]
    return out


def _sheet(data: "Dataset | DetectionDataset", splits: dict[str, tuple[Any, "SplitSurvey"]], columns: int) -> Any:
    """A row of images of each class, evenly spaced in the split; of data with boxes, some images."""
    import numpy as np

    from runner.datasets import Split
    from runner.datasets.survey import kind_and_channels
    from runner.images import channels_shown
    from runner.images.contact_sheet import contact_sheet
    name, (split, _) = next(iter(splits.items()))
    shown = channels_shown(kind_and_channels(split, 0)[1]) if len(split) else ""
    heading = f"{data.source}, images {PURPOSE[name]}" + (f"; shown: {shown}" if shown else "")

    def row(members: Any, count: int) -> list[Any]:
        chosen = members[np.linspace(0, len(members) - 1, min(count, len(members))).astype(int)]
        return [image for number in chosen if (image := _thumbnail(data, split, int(number)))]

    if not isinstance(split, Split):
        columns = min(columns, 5)
        images = row(np.arange(len(split)), 5 * columns)
        return contact_sheet([heading], [("", images[i:i + columns]) for i in range(0, len(images), columns)], 224)
    (images_of, labels), rows = split.label_pairs(), []
    for index in np.unique(labels)[:MAX_SHEET_CLASSES]:
        members = images_of[labels == index]
        rows.append((f"{data.names[index]}: {_images(len(members))}", row(members, columns)))
    more = len(np.unique(labels)) - len(rows)
    return contact_sheet([heading + (f", the first {len(rows)} of "
                                     f"{counted(len(rows) + more, 'class')}" if more else "")], rows)


def _thumbnail(data: "Dataset | DetectionDataset", split: "Split | DetectionSplit", number: int) -> Any:
    """An image with its name, and its boxes; None if it cannot be read."""
    from runner.datasets import Split
    from runner.datasets.survey import kind_and_channels
    from runner.errors import DataError, MissingExtra
    from runner.images import pixel_corners, resize_max, to_float, to_pil
    from runner.images.draw import draw_boxes
    _, channels = kind_and_channels(split, number)
    try:
        image = to_float(split.read(number, 3 if channels == 1 else channels))
    except (DataError, MissingExtra):
        return None
    caption = os.path.basename(split[number][0])
    if isinstance(split, Split):
        return to_pil(image), caption
    image = resize_max(image, 448) if max(image.shape[1:]) > 448 else image
    h, w = image.shape[1:]
    rows = split[number].boxes
    labels, corners = rows[:, 4].astype(int).tolist(), pixel_corners(rows, w, h).tolist()
    boxes = [(data.names[label], label, None, box) for label, box in zip(labels, corners, strict=True)]
    return draw_boxes(image, boxes), caption
