"""CSV tables with a row for each object: image, class, left, top, right, bottom in pixels.

    filename,width,height,class,xmin,ymin,xmax,ymax     as for TensorFlow's object detection, also from Roboflow
    img/1.jpg,10,20,40,60,cat                           without a header, as for keras-retinanet; a row img/2.jpg,,,,,
                                                        is an image without objects

Other images in the folder of a table in train/ or val/ have no objects: Roboflow writes no row for them.
"""
from pathlib import Path

from runner.datasets.csv_table import (
    CLASS_COLUMNS,
    IMAGE_COLUMNS,
    ImageFinder,
    Row,
    column,
    head_of_table,
    read_table,
    tables_of,
)
from runner.datasets.detection.annotated_size import MAX_SIDE, AnnotatedImage, annotated_image
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage, no_boxes
from runner.datasets.detection.report import (
    MISSING_IMAGES,
    InPixels,
    LabelReport,
    PlacedRow,
    check_box,
    read_pixels,
    unique_rows,
)
from runner.datasets.detection.yolo import class_names_in
from runner.datasets.folders import TEST_FOLDERS, TRAIN_FOLDERS, images_in, natural_key
from runner.datasets.format import Format
from runner.reading.numbers import is_whole, shown, whole

CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), ("x1", "y1", "x2", "y2"),
           ("left", "top", "right", "bottom"))


def _columns(header: list[str]) -> list[int] | None:
    """Where image, class, left, top, right and bottom are; None where the table has no boxes."""
    names = next((names for names in CORNERS if set(names) <= set(header)), None)
    image, label = column(header, IMAGE_COLUMNS), column(header, CLASS_COLUMNS)
    if names and image is not None and label is not None:
        return [image, label, *map(header.index, names)]
    return [0, 5, 1, 2, 3, 4] if _has_no_header(header) else None


def _has_no_header(cells: list[str]) -> bool:
    """Whether a first row is one of keras-retinanet: path, left, top, right, bottom, class."""
    return len(cells) == 6 and all(not cell or _is_number(cell) for cell in cells[1:5])


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.replace(".", "", 1).isdecimal()


def _accepts(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file() and _columns(head_of_table(path)[0]) is not None


def _matches(path: Path) -> bool:
    return bool(tables_of(path, _accepts))


def open_tables(path: Path) -> DetectionDataset:
    """A table, or a folder with one or two; the classes are those of a names file in the folder, else the names that
    occur, sorted."""
    report = LabelReport()
    tables = {split: (file, *_read(file)) for split, file in tables_of(path, _accepts).items()}
    names = class_names_in(path, report) if path.is_dir() else []
    names = names or sorted({row[1][columns[1]] for _, columns, _, rows in tables.values() for row in rows
                    if len(row[1]) > max(columns)} - {""}, key=natural_key)
    train, test = (_split(*tables[split], names, report) if split in tables else None for split in ("train", "test"))
    return report.dataset(names, train, test, path)


def _read(file: Path) -> tuple[list[int], list[int], list[Row]]:
    """Where the columns of the boxes, and those of the image sizes are, and the rows."""
    header, rows = read_table(file)
    columns = _columns(header)
    assert columns
    rows = rows if _has_no_header(header) else rows[1:]
    return columns, _size_columns(header, columns, rows), rows


def _size_columns(header: list[str], columns: list[int], rows: list[Row]) -> list[int]:
    """Where width and height of the image are; [] where there are no such columns, or they are those of the boxes."""
    if not {"width", "height"} <= set(header):
        return []
    found = [header.index("width"), header.index("height")]
    for _, cells in rows:
        left, top, right, bottom, width, height = (cells[at] if at < len(cells) else "" for at in
                                                   (*columns[2:], *found))
        if all(map(is_whole, (left, top, right, bottom, width, height))) and (
                whole(right) > whole(width) or whole(bottom) > whole(height)):
            return []       # a box reaches beyond it
    return found


def _size(cells: list[str], columns: list[int]) -> tuple[int, int] | None:
    """The size of the image that a row says; None where it says none."""
    if not columns or len(cells) <= max(columns):
        return None
    width, height = (whole(cells[at]) if is_whole(cells[at]) else 0 for at in columns)
    return (width, height) if 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE else None


def _split(file: Path, columns: list[int], sizes: list[int], rows: list[Row], names: list[str],
           report: LabelReport) -> DetectionSplit:
    finder = ImageFinder(file)
    boxes: dict[str, list[PlacedRow]] = {}
    annotated: dict[str, AnnotatedImage] = {}
    if file.parent.name in (*TRAIN_FOLDERS, *TEST_FOLDERS):
        boxes = {path: [] for path in images_in(file.parent)}
    missing = set()
    for line, cells in rows:
        where = f"{file}:{line}"
        if len(cells) <= max(columns):
            report.add("rows that cannot be used, left out", where,
                       f"{max(columns) + 1} columns are needed. Got {shown(cells)}")
            continue
        name, label, *corners = (cells[at] for at in columns)
        path = finder.find(name)
        if path is None:
            if name not in missing:
                report.add(MISSING_IMAGES, where, f"there is no {shown(name)}")
            missing.add(name)
            continue
        found = boxes.setdefault(path, [])
        if not any(corners):
            continue        # an image without objects
        try:
            left, top, right, bottom = numbers = read_pixels(corners, where, report)
        except ValueError:
            report.add("rows that cannot be used, left out", where,
                       f"the corners of a box are numbers. Got {shown(corners)}")
            continue
        if label not in names:
            report.add("classes that do not exist, left out", where,
                       f"the classes are {shown(list(names))}. Got {shown(label)}")
            continue
        if path not in annotated:
            annotated[path] = annotated_image(path, _size(cells, sizes), where, report)
        width, height = annotated[path].size
        box = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width,
               (bottom - top) / height)
        row = check_box(annotated[path].upright(box), names.index(label), where, report,
                        InPixels(numbers, "left, top, right, bottom", (width, height)))
        if row is not None:
            found.append((row, where))
    report.images += len(boxes) + len(missing)
    return DetectionSplit([LabelledImage(path, unique_rows(of_image, report), no_boxes(), str(file))
                           for path, of_image in boxes.items()], len(names))


FORMAT = Format("CSV", "detection",
                "a `.csv` table with a row per object: `filename,class,xmin,ymin,xmax,ymax` in pixels; or a folder "
                "with such tables in `train/` and `valid/`, or with such names",
                _matches, open_tables, suffixes=(".csv",))
