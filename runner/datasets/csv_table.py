"""CSV tables whose rows name images: reading one, finding its columns, its images, and the tables of a folder."""
import os
from collections.abc import Callable
from pathlib import Path

from runner.datasets.folders import TEST_FOLDERS, TRAIN_FOLDERS, images_in
from runner.datasets.lists import relocate
from runner.errors import DataError
from runner.reading.tables import Row, parse_rows
from runner.reading.text import read_text, text_head

IMAGE_COLUMNS = ("filename", "file_name", "filepath", "filepaths", "file_path", "file", "path", "image_path",
                 "img_path", "image_name", "image_file", "image", "img", "image_id", "id", "name")
CLASS_COLUMNS = ("class_name", "class", "label", "labels", "tags", "category", "categories", "classes", "target",
                 "class_id", "diagnosis", "breed", "species", "name")
HEAD_BYTES = 65536
PROBED = 5          # rows that are looked at to recognise a table


def read_table(path: str | os.PathLike) -> tuple[list[str], list[Row]]:
    """-> the cells of the first row, in lower case and with _ for blanks, and all rows.  DataError where
    there are none."""
    rows = _rows(read_text(path), path)
    if not rows:
        raise DataError(f"{path}: the table has no rows")
    return [cell.lower().replace(" ", "_") for cell in rows[0][1]], rows


def head_of_table(path: Path) -> tuple[list[str], list[Row]]:
    """The same of the first few rows; nothing where it is not a table."""
    try:
        rows = _rows("\n".join(text_head(path, HEAD_BYTES).split("\n")[:PROBED + 1]), path)
    except DataError:
        return [], []
    return ([cell.lower().replace(" ", "_") for cell in rows[0][1]], rows) if rows else ([], [])


def _rows(text: str, path: str | os.PathLike) -> list[Row]:
    """Commas, semicolons or tabs separate the cells: whichever the first line has most of."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = parse_rows(text, path, delimiter=delimiter, skipinitialspace=True)
    return [(line, [cell.strip() for cell in row]) for line, row in rows if any(map(str.strip, row))]


def column(header: list[str], names: tuple[str, ...]) -> int | None:
    """The first of these columns that the table has."""
    return next((header.index(name) for name in names if name in header), None)


class ImageFinder:
    """The files of the images a table names, by path or by name, with or without the suffix: in a folder with the
    table's name (train/ for train.csv), in images/, or anywhere in the table's folder."""

    def __init__(self, table: Path):
        self.folders = [folder for folder in (table.with_suffix(""), table.parent / "images", table.parent)
                        if folder.is_dir()]
        self._stems: dict[str, str] | None = None

    def find(self, name: str) -> str | None:
        """The path of an image; None where there is none."""
        found = relocate(name, self.folders) if name else None
        if found is not None and os.path.isfile(found):
            return found
        if self._stems is None:
            self._stems = {}
            for path in (path for folder in self.folders for path in images_in(folder)):
                self._stems.setdefault(Path(path).stem, path)
        return self._stems.get(name)


def tables_of(path: Path, accepts: Callable[[Path], bool]) -> dict[str, Path]:
    """"train" and "test" -> tables of a dataset: the file itself (to train with), or of a folder those in its train/
    and val/, or those beside them with such names; else the only one."""
    if not path.is_dir():
        return {"train": path} if accepts(path) else {}
    found: dict[str, Path] = {}
    beside = [file for file in sorted(path.glob("*.csv")) if "submission" not in file.stem.lower() and accepts(file)]
    for split, words in (("train", TRAIN_FOLDERS), ("test", ("val", "valid", *TEST_FOLDERS))):
        inside = [file for word in words for file in sorted((path / word).glob("*.csv")) if accepts(file)]
        named = [file for word in words for file in beside if word in file.stem.lower()]
        if inside or named:
            found[split] = (inside or named)[0]
    return found or ({"train": beside[0]} if len(beside) == 1 else {})
