"""Published detectors and classifiers give what the real darknet gave on the same pictures (read from ../shared)."""
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.detection import detections
from runner.errors import WeightsError
from runner.finding import find
from runner.images import prepare, read_image
from runner.inference import infer

SHARED = Path(__file__).parents[2] / "shared"
E2E, WEIGHTS = SHARED / "golden-e2e", SHARED / "data" / "weights"
pytestmark = pytest.mark.skipif(not E2E.exists(), reason="needs the published models in ../shared")

MODELS = sorted(path.parent for path in E2E.glob("*/detections.json"))
RUNS = [(folder, run) for folder in MODELS for run in json.loads((folder / "detections.json").read_text())["runs"]]
REFERENCED = sorted(path.parent for path in WEIGHTS.glob("*/reference-alexeyab.json"))


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    sides = [min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
             for i in (0, 1)]
    inside = max(sides[0], 0) * max(sides[1], 0)
    return inside / (a[2] * a[3] + b[2] * b[3] - inside)


def same(got: list[tuple[int, float, tuple[float, ...]]], want: list[tuple[int, float, tuple[float, ...]]]) -> None:
    """Every recorded detection is met by one of ours, and we have no others: box IoU > 0.99, confidence within 0.01."""
    assert len(got) == len(want), f"{len(got)} found, {len(want)} recorded"
    left = list(got)
    for kind, confidence, box in want:
        match = next((each for each in left if each[0] == kind and abs(each[1] - confidence) < 0.01
                      and overlap(each[2], box) > 0.99), None)
        assert match, f"no match for class {kind}, {confidence:.3f}, {box}"
        left.remove(match)


@pytest.mark.parametrize("folder, run", RUNS, ids=lambda value: value.name if isinstance(value, Path) else value["key"])
def test_e2e_detections(folder: Path, run: dict[str, Any]) -> None:
    net = runner.load(folder / "net.cfg", folder / "net.weights")
    picture = read_image((folder / run["image"]).resolve(), 3)
    x = prepare(picture, *run["net_size"], "letterbox" if run["letterbox"] else "stretch")[None]
    outputs = net.outputs(x)
    for name, thresh in (("detections", run["thresh"]), ("detections_thresh_005", 0.05)):
        found = detections(net.layers, outputs, tuple(run["image_size"]), thresh, letterbox=run["letterbox"],
                           nms=run["nms"])
        got = [(int(row[0]), float(row[1]), tuple(map(float, row[2:]))) for row in found.rows()]
        same(got, [(d["class_id"], d["prob"], (d["x"], d["y"], d["w"], d["h"])) for d in run[name]])
    recorded = np.load(folder / "layers.npz")
    for index, y in enumerate(outputs):
        corner = recorded.get(f"{run['key']}/layer/{index}")
        if corner is not None and y.ndim == 4:
            got_corner = y[0:1, 0:6, 0:12, 0:12]
            np.testing.assert_allclose(got_corner, corner.reshape(got_corner.shape), rtol=1e-3,
                                       atol=1e-3 * max(1, np.abs(corner).max()), err_msg=f"layer {index}")


@pytest.mark.parametrize("folder", REFERENCED, ids=lambda folder: folder.name)
def test_e2e_published_models(folder: Path) -> None:
    """Boxes of JPEG pictures: decoders differ by a level or two, so the confidence may by 0.02."""
    net = runner.load(folder / f"{folder.name}.cfg", folder / f"{folder.name}.weights")
    for frame in json.loads((folder / "reference-alexeyab.json").read_text()):
        scene, = find(net, [SHARED / "data" / frame["filename"]], on_bad="error")
        want = [(o["class_id"], o["confidence"], tuple(o["relative_coordinates"][k] for k in
                                                       ("center_x", "center_y", "width", "height")))
                for o in frame["objects"]]
        sure = [each for each in want if each[1] > 0.27]
        for kind, confidence, box in sure:
            assert any(thing.index == kind and abs(thing.confidence - confidence) < 0.02
                       and overlap(thing.box, box) > 0.97 for thing in scene.found), (frame["filename"], kind, confidence)
        assert len([thing for thing in scene.found if thing.confidence > 0.27]) <= len(want)


def test_e2e_weights_that_do_not_fit_their_cfg() -> None:
    folder = WEIGHTS / "bad-short-file"
    with pytest.raises(WeightsError, match=r"saved without batch_normalize\?|The cfg needs"):
        runner.load(folder / "bad-short-file.cfg", folder / "bad-short-file.weights")


@pytest.mark.parametrize("name, archive, accuracy", [("cifar_small", "cifar10/cifar10-png.tar.gz", 0.4930),
                                                     ("cifar_bn_avgpool", "cifar10/cifar10-png.tar.gz", 0.5326),
                                                     ("mnist_lenet", "mnist/mnist-png.tar.gz", 0.9515)])
def test_e2e_classifiers(name: str, archive: str, accuracy: float, tmp_path: Path) -> None:
    """The accuracy both darknets report on the test images (SOURCES.md), to two images."""
    folder = WEIGHTS / name
    with tarfile.open(SHARED / "data" / archive) as packed:
        packed.extractall(tmp_path, [m for m in packed if "/test/" in m.name or m.name.endswith(("test.list", "labels.txt"))],
                          filter="data")
    base = next(tmp_path.glob("**/test.list")).parent
    labels = (base / "labels.txt").read_text().split()
    paths = [line for line in (base / "test.list").read_text().splitlines() if line]
    net = runner.load(folder / f"{name}.cfg", folder / f"{name}.weights")
    right = sum(labels[result.predictions[0].index] in path
                for path, result in zip(paths, infer(net, [base / path for path in paths]), strict=True))
    assert abs(right - accuracy * len(paths)) <= 2, f"{right / len(paths):.4f}"
