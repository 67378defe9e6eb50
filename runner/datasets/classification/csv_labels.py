"""CSV tables with a row for each image.

    path,label          img/1.jpg,cat       paths, or names with or without suffix (ImageFinder says where files are)
    filename,cat,dog    1.jpg,0,1           a column for each class, with 1 for those of the image
    path,labels         img/1.jpg,cat|dog   several labels of an image (label_cells)

A column `split` (or `set`, `subset`, ...) with train, valid or test divides the images; so do several tables.
"""
from functools import partial
from pathlib import Path
from typing import NamedTuple

from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset, Split, as_label, merged
from runner.datasets.classification.label_cells import split_cells
from runner.datasets.csv_table import (
    CLASS_COLUMNS,
    IMAGE_COLUMNS,
    PROBED,
    ImageFinder,
    Row,
    column,
    head_of_table,
    read_table,
    tables_of,
)
from runner.datasets.folders import TEST_FOLDERS, TRAIN_FOLDERS, natural_key, subfolders
from runner.datasets.format import Format
from runner.errors import DataError, counted
from runner.reading.numbers import shown

SPLIT_COLUMNS = ("split", "set", "subset", "dataset", "data_set", "partition")
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


class Columns(NamedTuple):
    """Where the image is and its class, or the flags of each class; and the split, where the table has one."""
    image: int
    label: int | None
    flags: dict[str, int]
    split: int | None


def _columns(header: list[str], rows: list[Row]) -> Columns | None:
    """None where these are not the columns of such a table."""
    image, split = column(header, IMAGE_COLUMNS), column(header, SPLIT_COLUMNS)
    if image is None or len(header) < 2:
        return None
    others = [at for at in range(len(header)) if at not in (image, split)]
    label = next((header.index(name) for name in CLASS_COLUMNS if name in header and header.index(name) != image), None)
    flags = (row[at].lower() in FLAGS for _, row in rows for at in others if at < len(row))
    if label is None and len(others) > 1 and all(flags):
        return Columns(image, None, {header[at]: at for at in others}, split)
    if label is None and len(others) == 1:
        label = others[0]
    return None if label is None else Columns(image, label, {}, split)


def _accepts(path: Path) -> bool:
    """Whether a file is a table of images that are there."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    header, rows = head_of_table(path)
    columns = _columns(header, rows[1:])
    if columns is None:
        return False
    finder = ImageFinder(path)
    return any(finder.find(row[columns.image]) for _, row in rows[1:PROBED] if len(row) > columns.image)


def _matches(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() == ".csv" and path.is_file()
    if any(subfolders(path / name) for name in TRAIN_FOLDERS if (path / name).is_dir()):
        return False        # folders of classes, which know their splits
    return bool(tables_of(path, _accepts))


def open_tables(path: Path, every_label: bool = False) -> Dataset:
    """A table, or a folder with one or two.  DataError names file and line.

    every_label: commas and blanks in cells may separate labels, see label_cells; and an image may have a row for each
    of its labels.
    """
    tables = tables_of(path, _accepts) or {"train": path}
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {"train": [], "test": []}
    warnings: list[str] = []
    names: dict[str, None] = {}
    for split, file in tables.items():
        header, rows = read_table(file)
        columns = _columns(header, rows[1:])
        if columns is None:
            raise DataError(f"{file}: a table of images has the columns path (or filename, id) and label, or one per "
                            f"class. Got {shown(header)}")
        names |= dict.fromkeys(rows[0][1][at] for at in columns.flags.values())
        finder, lost = ImageFinder(file), list[str]()
        used: list[tuple[str, str, list[str]]] = []
        for line, row in rows[1:]:
            try:
                used.append((_image(row, columns, rows[0][1], finder), _split_of(row, columns, split), row))
            except DataError as error:
                lost.append(f"{file}:{line}: {error}")
        if lost and len(lost) == len(rows) - 1:
            raise DataError(f"{lost[0]}, and none of the other rows can be used")
        if lost:
            warnings.append(f"{len(lost)} of {counted(len(rows) - 1, 'row')} cannot be used, left out, for instance "
                            f"{lost[0]}")
        labels, remark = _labels([row for *_, row in used], columns, rows[0][1], every_label)
        warnings += [f"{file}: {remark}"] if remark else []
        for (image, place, _), words in zip(used, labels, strict=True):
            found[place].append((image, words))
    names = names or dict.fromkeys(sorted({word for items in found.values() for _, words in items for word in words},
                                          key=natural_key))
    number = {name: index for index, name in enumerate(names)}
    splits: list[Split | None] = []
    for rows_of_split in found.values():
        items = [(image, as_label({number[word] for word in words})) for image, words in rows_of_split]
        splits.append(Split(merged(items) if every_label else items, len(number)) if items else None)
    train, test = splits
    if test is None:
        warnings.append(f"{path}: there is no table of test images: {NO_TEST_IMAGES}")
    return Dataset(list(names), train, test, str(path), warnings)


def _image(row: list[str], columns: Columns, header: list[str], finder: ImageFinder) -> str:
    """The path of the image of a row.  DataError says why the row cannot be used."""
    if len(row) < len(header):
        raise DataError(f"{counted(len(header), 'cell')} {'is' if len(header) == 1 else 'are'} needed. Got {len(row)}")
    path = finder.find(row[columns.image])
    if path is None:
        raise DataError(f"there is no image {row[columns.image]!r}")
    if columns.label is not None and not row[columns.label]:
        raise DataError("the image has no class")
    return path


def _labels(rows: list[list[str]], columns: Columns, header: list[str],
            every_label: bool) -> tuple[list[tuple[str, ...]], str]:
    """The labels of each row, and how they are separated where that is not certain."""
    if columns.label is not None:
        return split_cells([row[columns.label] for row in rows], header[columns.label].lower(), every_label)
    return [tuple(header[at] for at in columns.flags.values() if FLAGS[row[at].lower()]) for row in rows], ""


def _split_of(row: list[str], columns: Columns, table: str) -> str:
    """The split of a row: its own where it says so, else that of its table."""
    word = row[columns.split].lower() if columns.split is not None else ""
    return "train" if word in TRAIN_FOLDERS else "test" if word in TEST_FOLDERS else table


FORMAT = Format("CSV", "classification",
                "a `.csv` table with a row per image: `path,label` or `id,label`, or a column of 0 and 1 per class; or "
                "a folder with such tables in `train/` and `valid/`, or with such names", _matches, open_tables,
                suffixes=(".csv",), open_every_label=partial(open_tables, every_label=True))
