"""CSV tables with a row for each image.

    path,label          img/1.jpg,cat       paths, or names with or without suffix (ImageFinder says where files are)
    filename,cat,dog    1.jpg,0,1           a column for each class, with 1 for that of the image

A column `split` (or `set`, `subset`, ...) with train, valid or test divides the images; so do several tables.
"""
from pathlib import Path
from typing import NamedTuple

from runner.datasets.classification.dataset import NO_TEST_IMAGES, Dataset, Split
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
from runner.errors import DataError

SPLIT_COLUMNS = ("split", "set", "subset", "dataset", "data_set", "partition")
FLAGS = {"0", "1", "0.0", "1.0"}


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
    if label is None and len(others) > 1 and all(row[at] in FLAGS for _, row in rows for at in others if at < len(row)):
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


def open_tables(path: Path) -> Dataset:
    """A table, or a folder with one or two.  DataError names file and line."""
    tables = tables_of(path, _accepts) or {"train": path}
    found: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    warnings: list[str] = []
    names: dict[str, None] = {}
    for split, file in tables.items():
        header, rows = read_table(file)
        columns = _columns(header, rows[1:])
        if columns is None:
            raise DataError(f"{file}: a table of images has the columns path (or filename, id) and label, or one per "
                            f"class. Got {', '.join(header)}")
        names |= dict.fromkeys(rows[0][1][at] for at in columns.flags.values())
        finder, lost = ImageFinder(file), list[str]()
        for line, row in rows[1:]:
            item = _item(row, columns, rows[0][1], finder)
            if isinstance(item, str):
                lost.append(f"{file}:{line}: {item}")
            else:
                found[_split_of(row, columns, split)].append(item)
        if lost and len(lost) == len(rows) - 1:
            raise DataError(f"{lost[0]}, and none of the other rows can be used")
        if lost:
            warnings.append(f"{len(lost)} of {len(rows) - 1} rows cannot be used, left out, for instance {lost[0]}")
    names = names or dict.fromkeys(sorted({label for items in found.values() for _, label in items}, key=natural_key))
    number = {name: index for index, name in enumerate(names)}
    train, test = (Split([(image, number[label]) for image, label in items], len(number)) if items else None
                   for items in found.values())
    if test is None:
        warnings.append(f"{path}: there is no table of test images: {NO_TEST_IMAGES}")
    return Dataset(list(names), train, test, str(path), warnings)


def _item(row: list[str], columns: Columns, header: list[str], finder: ImageFinder) -> tuple[str, str] | str:
    """(path, class) of a row, or why it cannot be used."""
    if len(row) < len(header):
        return f"{len(header)} cells are needed. Got {len(row)}"
    path = finder.find(row[columns.image])
    if path is None:
        return f"there is no image {row[columns.image]!r}"
    if columns.label is not None:
        return (path, row[columns.label]) if row[columns.label] else "the image has no class"
    set_flags = [header[at] for at in columns.flags.values() if row[at].startswith("1")]
    return (path, set_flags[0]) if len(set_flags) == 1 else f"an image has one class. Got {len(set_flags)}"


def _split_of(row: list[str], columns: Columns, table: str) -> str:
    """The split of a row: its own where it says so, else that of its table."""
    word = row[columns.split].lower() if columns.split is not None else ""
    return "train" if word in TRAIN_FOLDERS else "test" if word in TEST_FOLDERS else table


FORMAT = Format("CSV", "classification",
                "a `.csv` table with a row per image: `path,label` or `id,label`, or a column of 0 and 1 per class; or "
                "a folder with such tables in `train/` and `valid/`, or with such names", _matches, open_tables,
                suffixes=(".csv",))
