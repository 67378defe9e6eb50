"""What is fuzzed: for each reader a small valid input, and the code that reads it."""
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import runner
from runner import weights
from runner.analysis import footprint
from runner.datasets import open_any_dataset
from runner.datasets.names_file import read_names
from runner.datasets.text import read_text
from runner.errors import CfgError
from runner.images import read_image
from runner.run_folder import RunFolder
from runner.training import checkpoint
from runner.training.log import read_rows
from tests import toy
from tests.datasets import examples
from tests.paths import GOLDEN, ROOT
from tools.fuzzing import networks
from tools.fuzzing.hunt import Reader

TREE = "[net]\nwidth=4\nheight=4\nchannels=1\n[connected]\noutput={}\nactivation=linear\n[softmax]\ntree=a.tree\n"


def write(name: str, text: str | bytes) -> Callable[[Path], object]:
    """A `make` that writes one file."""
    return lambda folder: (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)


# --- networks ------------------------------------------------------------------------------------------------------

def read_cfg(folder: Path) -> None:
    """check and summary."""
    net, report = runner.check(folder / "a.cfg")
    if net is None:
        raise CfgError(*report.errors)
    net.summary()
    footprint.training(net)
    footprint.inference(net)


def cfg_seeds() -> tuple[bytes, ...]:
    """The recorded cfgs of all layers, and small ones of the repository."""
    paths = [*sorted(GOLDEN.glob("*/*.cfg")), *(ROOT / "cfg" / name for name in
                                               ("net.cfg", "tiny.cfg", "yolov4-tiny.cfg", "gru.cfg"))]
    return tuple(path.read_bytes() for path in paths)


def read_setting(folder: Path) -> None:
    """--set: one setting on each line."""
    settings = (folder / "set.txt").read_bytes().decode("utf-8", "surrogateescape").split("\n")
    net, report = runner.check(folder / "a.cfg", settings=[one for one in settings if one])
    if net is None:
        raise CfgError(*report.errors)
    footprint.training(net)
    footprint.inference(net)


def make_setting(folder: Path) -> None:
    (folder / "a.cfg").write_bytes((ROOT / "cfg/tiny.cfg").read_bytes())
    (folder / "set.txt").write_text("net.width=64\n0.filters=8\nconvolutional.size=1\n1.size=3\nnet.steps=1,2\n")


def make_tree(folder: Path) -> None:
    (folder / "a.cfg").write_text(TREE.format(4))
    (folder / "a.tree").write_text("a -1\nb -1\nc 0\nd 0\n")


def read_tree(folder: Path) -> None:
    """A network whose [softmax] has the tree, with as many classes as the file has lines."""
    lines = (folder / "a.tree").read_bytes().count(b"\n")
    (folder / "a.cfg").write_text(TREE.format(max(lines, 1)))
    net, report = runner.check(folder / "a.cfg")
    if net is None:
        raise CfgError(*report.errors)
    runner.load(folder / "a.cfg").predict(np.zeros((2, 1, 4, 4), np.float32))


# --- weights and runs ----------------------------------------------------------------------------------------------

def make_weights(folder: Path) -> None:
    (folder / "a.cfg").write_text(toy.CFG)
    weights.save(runner.load(folder / "a.cfg"), folder / "a.weights")


def read_weights(folder: Path) -> None:
    runner.load(folder / "a.cfg", folder / "a.weights")


def make_state(folder: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    checkpoint.write(folder / "state.npz", folder / "before.npz",
                     {"params/0/weights": array, "state/0/h": array[:1], "optimizer/velocity/0/weights": array},
                     {"update": 3, "seen": 12, "optimizer_updates": 3, "cfg": toy.CFG})


def read_log(folder: Path) -> None:
    from runner.training.log import curves
    read_rows(folder / "log.csv")
    curves(folder / "log.csv")


LOG = "update,seen,loss,rate,images,seconds,waited,score\n" + "".join(
    f"{k},{4 * k},{2 / k:.6g},0.001,4,0.0123,0.0001,{'0.5' if k % 3 == 0 else ''}\n" for k in range(1, 13))


CLASS_LOG = "update,class,boxes,ap,ap50_95,precision,recall,f1\n" + "".join(
    f"{k},{name},{boxes},{k / 13:.6g},.1,.5,.25,.3\n" for k in range(1, 13)
    for name, boxes in (('"a, b"', 3), ("c", 0)))


def make_run(folder: Path) -> None:
    """A run folder as a classifier leaves it; weights and log are there."""
    run = folder / "weights" / "toy"
    run.mkdir(parents=True)
    (folder / "toy.cfg").write_text(toy.CFG)
    (run / "toy.cfg").write_text(toy.CFG)
    weights.save(runner.load(folder / "toy.cfg"), run / "best.weights")
    (run / "log.csv").write_text(LOG)
    (run / "per_class.csv").write_text(CLASS_LOG)
    RunFolder(folder / "toy.cfg", base=folder / "weights").write_facts({
        "command": "python run.py train toy.cfg", "status": "finished", "updates": 12, "seconds": 1.5, "seed": 0,
        "compat": "exact", "settings": ["net.batch=4"], "score": "accuracy", "score_axis": "accuracy, %",
        "best": {"update": 6, "score": 0.5}, "best_text": "50 %", "classes": ["bright", "dark"],
        "options": {"average": False}, "data": "data/toy", "content": "12 images", "versions": {"numpy": "2.0"}})


def read_run(folder: Path) -> None:
    """What predict and compare take from run.yaml and log.csv."""
    from runner.training.report.compare import compare, open_runs
    run = RunFolder(folder / "toy.cfg")
    run.facts()
    run.class_names(run.best)
    compare(open_runs([str(run.path)]))
    read_log(run.path)


def draw_run(folder: Path) -> None:
    """The pages of report and compare, with their charts."""
    from runner.training.report.compare import compare, compare_page, open_runs
    from runner.training.report.run_report import write_report
    run = RunFolder(folder / "toy.cfg")
    folders = open_runs([str(run.path)])
    compare_page(folders, compare(folders))
    write_report(run, evaluate=False)


# --- data ----------------------------------------------------------------------------------------------------------

def of_dataset(make: Callable[[Path], Path]) -> Callable[[Path], object]:
    """A read that opens the dataset which `make` writes, and reads its images."""
    def read(folder: Path) -> None:
        data = open_any_dataset(folder / place)
        for split in (data.train, data.test):
            for index in range(min(len(split), 4) if split else 0):
                assert split
                split.read(index, 1)

    import tempfile
    with tempfile.TemporaryDirectory() as scratch:
        place = make(Path(scratch)).relative_to(scratch)
    return read


def dataset(name: str, make: Callable[[Path], Path], file: str, kind: str = "text",
            seeds: tuple[bytes, ...] = ()) -> Reader:
    return Reader(name, make, file, of_dataset(make), kind, seeds)


def read_small_image(folder: Path) -> None:
    """An image, with a limit of four million pixels: what a header announces need not follow from the size of a file,
    only from the limit."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, 2_000_000      # Pillow refuses more than twice as many
    try:
        read_image(folder / "a.png")
    finally:
        Image.MAX_IMAGE_PIXELS = before


def image_seeds() -> tuple[bytes, ...]:
    """Small images in every format, with palettes, transparency and 16 bits."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (9, 7, 3)).astype(np.uint8))
    grey16 = Image.fromarray(rng.integers(0, 65536, (9, 7)).astype(np.uint16))
    cases = [(colour, name) for name in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")]
    cases += [(grey16, "PNG"), (grey16, "TIFF"), (colour.convert("P"), "PNG"), (colour.convert("1"), "PNG"),
              (colour.convert("RGBA"), "PNG"), (colour.convert("CMYK"), "JPEG"), (colour.convert("L"), "JPEG"),
              (colour.convert("F"), "TIFF")]
    found = []
    for image, name in cases:
        buffer = io.BytesIO()
        image.save(buffer, name)
        found.append(buffer.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    colour.save(buffer, "JPEG", exif=exif)
    return (*found, buffer.getvalue())


def readers() -> dict[str, Reader]:
    """All of them by name."""
    cfgs, images = cfg_seeds(), image_seeds()
    voc_seed = examples.voc_text("a").replace("<size>", "<!-- --><size>").encode()
    found = [
        Reader("cfg", write("a.cfg", toy.CFG), "a.cfg", read_cfg, seeds=cfgs),
        Reader("set", make_setting, "set.txt", read_setting),
        Reader("tree", make_tree, "a.tree", read_tree),
        Reader("network", write("a.cfg", toy.CFG), "a.cfg", lambda folder: networks.run_network(folder, "numpy"),
               seconds=6, memory=500 << 20, input=networks.random_cfg),
        Reader("network-fast", write("a.cfg", toy.CFG), "a.cfg", lambda folder: networks.run_network(folder, "fast"),
               seconds=20, memory=500 << 20, input=networks.random_cfg, warm=60),
        Reader("weights", make_weights, "a.weights", read_weights, "binary"),
        Reader("state", make_state, "state.npz", lambda folder: checkpoint.read(folder / "state.npz"), "zip"),
        Reader("runyaml", make_run, "weights/toy/run.yaml", read_run, "yaml"),
        Reader("log", make_run, "weights/toy/log.csv", read_run, per_mb=30),
        Reader("report", make_run, "weights/toy/run.yaml", draw_run, "yaml"),
        Reader("report-log", make_run, "weights/toy/log.csv", draw_run, per_mb=30),
        Reader("report-class-log", make_run, "weights/toy/per_class.csv", draw_run, per_mb=30),
        Reader("names", write("a.names", "cat\nowl\n\nbear\n"), "a.names",
               lambda folder: read_names(folder / "a.names", [])),
        Reader("text", write("a.txt", "To be, or not to be\n" * 5), "a.txt",
               lambda folder: read_text(folder / "a.txt", 128), "text"),
        Reader("image", write("a.png", images[0]), "a.png", read_small_image, "image", images),
        dataset("list", examples.darknet, "train.txt"),
        dataset("labels", examples.darknet, "labels/a.txt"),
        dataset("data", examples.darknet, "my.data"),
        dataset("coco", examples.coco_folder, "annotations/instances_train2017.json", "json"),
        dataset("voc", examples.voc, "Annotations/a.xml", seeds=(voc_seed,)),
        dataset("yaml", examples.yaml_of_folders, "my.yaml", "yaml"),
        dataset("yaml-classes", examples.classification_yaml, "birds.yaml", "yaml"),
        dataset("npz", examples.npz_file, "birds.npz", "zip"),
        dataset("idx", examples.idx_folder, "train-images-idx3-ubyte", "binary"),
        dataset("idx-labels", examples.idx_folder, "train-labels-idx1-ubyte", "binary"),
        dataset("cifar", examples.cifar_binary, "data_batch_1.bin", "binary"),
        dataset("cifar-python", examples.cifar_python, "data_batch_1", "binary"),
        dataset("cifar-names", examples.cifar_python, "batches.meta", "binary"),
        dataset("csv", examples.labels_csv, "birds.csv"),
        dataset("csv-boxes", examples.boxes_csv, "train/_annotations.csv"),
        dataset("keras-lists", examples.keras_lists, "train/_annotations.txt"),
    ]
    return {reader.name: reader for reader in found}
