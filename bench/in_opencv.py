"""OpenCV's darknet importer, cv2.dnn.readNetFromDarknet, on a cfg and .weights written by this project."""
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks import Case, build, images, write_cfg
from bench.peer import NotInstalled, Prepared, Unsupported
from runner import weights as codec

try:
    import cv2
except ImportError:
    raise NotInstalled("OpenCV is not installed: pip install -r requirements-bench.txt") from None
if not hasattr(cv2.dnn, "readNetFromDarknet"):
    raise NotInstalled(f"OpenCV {cv2.__version__} has no darknet importer: pip install -r requirements-bench.txt")


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Prepared:
    if task == "train":
        raise Unsupported("does not train")
    cv2.setNumThreads(threads)
    ours = build(case, count, settings)
    x = images(ours, count)
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = Path(folder, "net.cfg"), Path(folder, "net.weights")
        write_cfg(case, cfg, count, settings)
        codec.save(ours, weights)
        # kept in memory, because outputs() imports them again
        files = cfg.read_bytes(), weights.read_bytes()
    net = _read(files)
    names = net.getUnconnectedOutLayersNames()
    # its [yolo] returns boxes in a different format, so the inputs of the heads are compared instead
    heads = ours.heads
    boxes = ours.layers[heads[-1]].names[0] == "yolo"
    checked = [f"conv_{i - 1}" for i in heads] if boxes else names

    def outputs() -> list[np.ndarray]:
        # a new network for each: intermediate outputs are overwritten by later layers
        return [_forward(_read(files), x, [name])[0] for name in checked]
    return Prepared(lambda: _forward(net, x, names), outputs, "head inputs" if boxes else "heads")


def _read(files: tuple[bytes, bytes]) -> Any:
    try:
        buffers = [np.frombuffer(data, np.uint8) for data in files]
        return cv2.dnn.readNetFromDarknet(*buffers)     # type: ignore[attr-defined]
    except cv2.error as error:
        raise Unsupported(f"readNetFromDarknet: {_last_line(error)}") from None


def _forward(net: Any, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
    net.setInput(x)
    try:
        return list(net.forward(names))
    except cv2.error as error:
        raise Unsupported(f"forward: {_last_line(error)}") from None


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].rpartition("error: ")[2]
