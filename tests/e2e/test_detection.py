"""Published detectors on real images, compared with the output of the real darknet.  Needs ../shared."""
import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner import ops
from runner.datasets import DetectionSplit, open_detection_dataset
from runner.detection import PredictedBoxes, predict_boxes
from runner.errors import WeightsError
from runner.images import letterbox, read_image, resize
from runner.inference import Plan
from runner.network import Network
from runner.training.detection_data import evaluation_loader
from runner.training.detection_metrics import collect_detections, compute_metrics, detect_batch
from tests import pycoco
from tests.paths import SHARED

RECORDED = sorted((SHARED / "golden-e2e").glob("*/detections.json"))
PUBLISHED = sorted((SHARED / "data" / "weights").glob("*/reference-alexeyab.json"))
PRINTED = [path for path in sorted((SHARED / "data" / "weights").glob("*/reference-pjreddie.txt"))
           if "[region]" in (cfg := path.with_name(path.parent.name + ".cfg").read_text()) or "[yolo]" in cfg]

pytestmark = pytest.mark.skipif(not RECORDED or not PUBLISHED, reason="needs the published models in ../shared")


@functools.cache
def network(cfg: Path, weights: Path) -> Network:
    return runner.load(cfg, weights)


@functools.cache
def plan(net: Network) -> Plan:
    return Plan(net)


def detect(net: Network | Plan, path: Path, *, boxed: bool, thresh: float = 0.25, nms: float = 0.45,
           nms_kind: str | None = None) -> PredictedBoxes:
    image = read_image(path)
    _, h, w = net.in_shape
    x = letterbox(image, w, h)[0] if boxed else resize(image, w, h)
    return predict_boxes(net.layers, net.head_outputs(x[None]), (image.shape[2], image.shape[1]), thresh,
                         letterbox=boxed, nms=nms, nms_kind=nms_kind)


def assert_same(ours: np.ndarray, want: Iterable[tuple[int, float, list[float]]], confidence: float, overlap: float,
                thresh: float) -> None:
    """Every recorded box is found, and no other, except for boxes close to the threshold."""
    left = list(ours)
    for kind, p, box in want:
        fits = [k for k, row in enumerate(left) if row[0] == kind and abs(row[1] - p) <= confidence
                and ops.iou(row[2:], np.array(box)) >= overlap]
        assert fits or abs(p - thresh) <= confidence, f"class {kind}, {p:.4f} at {box} was not found"
        if fits:
            left.pop(fits[0])
    extra = [row for row in left if abs(row[1] - thresh) > confidence]
    assert not extra, f"found and not recorded: {extra}"


def _recorded() -> list[Any]:
    return [pytest.param(path, run, id=f"{path.parent.name}-{run['key']}")
            for path in RECORDED for run in json.loads(path.read_text())["runs"]]


@pytest.mark.parametrize("planned", [False, True], ids=["layers", "plan"])
@pytest.mark.parametrize(("path", "run"), _recorded())
def test_e2e_recorded(path: Path, run: dict[str, Any], planned: bool) -> None:
    """PNG images, so that decoders play no part: probabilities to 2e-4, boxes to 1e-4."""
    tolerance = json.loads(path.read_text())["tolerance"]
    net = network(path.with_name("net.cfg"), path.with_name("net.weights"))
    for key, thresh in (("detections", run["thresh"]), ("detections_thresh_005", 0.05)):
        found = detect(plan(net) if planned else net, path.parent / run["image"],
                       boxed=run["letterbox"], thresh=thresh, nms=run["nms"]).rows()
        want = [(d["class_id"], d["prob"], [d["x"], d["y"], d["w"], d["h"]]) for d in run[key]]
        assert_same(found, want, tolerance["prob"], 0.995, thresh)
        if key == "detections":
            assert want or not len(found)
            boxes = np.array([box for _, _, box in want]).reshape(-1, 1, 4)
            off = np.abs(boxes - found[None, :, 2:]).max(axis=2).min(axis=1, initial=1)
            assert (off <= tolerance["box"]).all()


def _published() -> list[Any]:
    return [pytest.param(path, entry, id=f"{path.parent.name}-{Path(entry['filename']).stem}")
            for path in PUBLISHED for entry in json.loads(path.read_text())]


def _folder_network(path: Path) -> Network:
    name = path.parent.name
    return network(path.with_name(name + ".cfg"), path.with_name(name + ".weights"))


@pytest.mark.parametrize(("path", "entry"), _published())
def test_e2e_published(path: Path, entry: dict[str, Any]) -> None:
    """JPEG images, stretched to the network: every box, overlap above .985, confidence to .015.

    Darknet's JPEG decoder upsamples chroma in another way than Pillow's, which moves faint boxes.
    """
    net = _folder_network(path)
    found = detect(plan(net), SHARED / "data" / entry["filename"], boxed=False).rows()
    want = [(o["class_id"], o["confidence"], list(o["relative_coordinates"].values())) for o in entry["objects"]]
    assert_same(found, want, 0.015, 0.985, 0.25)


def _printed() -> list[Any]:
    return [pytest.param(path, *part, id=f"{path.parent.name}-{Path(part[0]).stem}") for path in PRINTED
            for part in re.findall(r"^## (\S+)\n((?:[^#].*\n?)*)", path.read_text(), re.M)]


@pytest.mark.parametrize(("path", "image", "lines"), _printed())
def test_e2e_as_pjreddie_prints(path: Path, image: str, lines: str) -> None:
    """Letterboxed, as that fork always does; it prints name and percent."""
    net = _folder_network(path)
    names = next(path.parent.glob("*.names")).read_text().split("\n")
    found = detect(net, path.parents[2] / image, boxed=True, nms_kind="sort").rows()
    want = sorted((name, int(p)) for name, p in re.findall(r"^(.+): (\d+)%$", lines, re.M))
    ours = sorted((names[int(row[0])], 100 * row[1]) for row in found)
    assert len(want) == len(ours), f"{ours} against {want}"
    for (name, percent), (our_name, our_percent) in zip(want, ours, strict=True):
        assert name == our_name and abs(our_percent - percent) <= 1.5


def _coco60(folder: Path) -> DetectionSplit:
    names = (SHARED / "data/coco60/coco60.names").read_text().splitlines()
    (folder / "all.yaml").write_text(
        f"path: {SHARED}/data/coco60\nval: [train.txt, valid.txt]\nnc: {len(names)}\n")
    split = open_detection_dataset(folder / "all.yaml").test
    assert split and len(split) == 60
    return split


@pytest.mark.slow
@pytest.mark.parametrize(("model", "recorded"), [("yolo-fastest-1.1", .2574), ("yolov3-tiny", .2137),
                                                 ("yololite-coco-trial6", .0960)])
def test_e2e_average_precision(model: str, recorded: float, tmp_path: Path) -> None:
    """As AlexeyAB's `detector map` printed it, to .0005 (its JPEG decoder differs), and as pycocotools computes it for
    the same boxes."""
    split, net = _coco60(tmp_path), _folder_network(SHARED / "data/weights" / model / "reference-alexeyab.json")
    names = [str(k) for k in range(split.classes)]
    loader, plan, found, shown = evaluation_loader(net, split), Plan(net), [], []
    with loader:
        for x, _ in loader:
            found += detect_batch(plan, x, loader.sizes)
            shown += [int(index) for index in loader.indices]
    assert shown == list(range(60))
    truths, crowds = [image.boxes for image in split], [image.crowd for image in split]
    metrics = compute_metrics(found, truths, crowds, names)
    assert metrics.at.mean == pytest.approx(recorded, abs=.0005)
    again = evaluation_loader(net, split)
    with again:
        assert collect_detections(net, again, split).metrics(names).as_json() == metrics.as_json()
    # COCO uses the 100 detections per image and class with the highest confidence; areas are in pixels there
    scale = [np.array([1, 1, *[1000.] * 4]), np.array([1000.] * 4 + [1])]
    mean, half = pycoco.stats([rows * scale[0] for rows in found], [rows * scale[1] for rows in truths], split.classes)
    assert metrics.coco.mean == pytest.approx(mean, abs=2e-4) and metrics.coco.at_half == pytest.approx(half, abs=2e-4)


def test_e2e_short_file_is_refused() -> None:
    folder = SHARED / "data" / "weights" / "bad-short-file"
    with pytest.raises(WeightsError, match=r"bad-short-file\.weights"):
        runner.load(folder / "bad-short-file.cfg", folder / "bad-short-file.weights")
