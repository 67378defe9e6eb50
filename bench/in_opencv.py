"""OpenCV's own reader of darknet files: cv2.dnn.readNetFromDarknet on a cfg and .weights that we wrote."""
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks import Case, build, images, write_cfg
from bench.peer import Missing, Ready, Unable
from runner import weights as codec

try:
    import cv2
except ImportError:
    raise Missing("OpenCV is not installed: pip install -r requirements-bench.txt") from None
if not hasattr(cv2.dnn, "readNetFromDarknet"):
    raise Missing(f"OpenCV {cv2.__version__} no longer reads darknet's files: pip install -r requirements-bench.txt")


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Ready:
    if task == "train":
        raise Unable("it does not train")
    cv2.setNumThreads(threads)
    ours = build(case, count, settings)
    x = images(ours, count)
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = Path(folder, "net.cfg"), Path(folder, "net.weights")
        write_cfg(case, cfg, count, settings)
        codec.save(ours, weights)
        # read into memory: outputs() reads them again
        files = cfg.read_bytes(), weights.read_bytes()
    net = _read(files)
    names = net.getUnconnectedOutLayersNames()
    # its [yolo] gives boxes in a form of its own: what is compared there is what the head reads
    heads = ours.heads
    boxes = ours.layers[heads[-1]].names[0] == "yolo"
    checked = [f"conv_{i - 1}" for i in heads] if boxes else names

    def outputs() -> list[np.ndarray]:
        # one network for each: an output in the middle of a network is overwritten by what comes after it
        return [_forward(_read(files), x, [name])[0] for name in checked]
    return Ready(lambda: _forward(net, x, names), outputs, "read by heads" if boxes else "heads")


def _read(files: tuple[bytes, bytes]) -> Any:
    try:
        return cv2.dnn.readNetFromDarknet(*(np.frombuffer(data, np.uint8) for data in files))
    except cv2.error as error:
        raise Unable(f"readNetFromDarknet: {_last_line(error)}") from None


def _forward(net: Any, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
    net.setInput(x)
    try:
        return list(net.forward(names))
    except cv2.error as error:
        raise Unable(f"forward: {_last_line(error)}") from None


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].rpartition("error: ")[2]
