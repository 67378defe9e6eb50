"""Boxes, probabilities and suppression as recorded from the real darknet (det/* of the golden cases)."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.detection import predict_boxes
from runner.network import Network
from tests.compat import darknet
from tests.compat.test_golden import CASES

pytestmark = pytest.mark.usefixtures("backend")

RUNS = [(folder, run) for folder in CASES for run in darknet.Case(folder).json.get("detections", ())]


@pytest.mark.parametrize(("folder", "run"), RUNS, ids=[f"{folder.name}-{run['name']}" for folder, run in RUNS])
def test_boxes(folder: Path, run: dict[str, Any]) -> None:
    case = darknet.Case(folder)
    net = darknet.load(case)
    outputs = net.head_outputs(case.array("input.npy"))
    # [detection] answers in pixels whatever it is asked for
    relative = bool(run["relative"]) and net.layers[-1].names[0] != "detection"
    found = predict_boxes(net.layers, outputs, (run["image_w"], run["image_h"]), run["thresh"],
                       letterbox=bool(run["letter"]), nms=0, relative=relative)
    left = found.suppressed(run["nms_thresh"], run["nms_kind"], run.get("beta_nms", .6))
    got = {"bbox": found.boxes, "objectness": found.objectness, "prob": found.probability, "list": found.rows(),
           "nms_list": left.rows()}
    if f"det/{run['name']}/uncertainty" in case.want:
        got["uncertainty"] = _uncertainty(net, outputs, run["thresh"])
    for name, ours in got.items():
        key = f"det/{run['name']}/{name}"
        want = case.want[key]
        assert ours.shape == want.shape, key
        if name.endswith("list"):
            ours = _in_order_of(want, ours)
        assert np.abs(ours - want).max(initial=0) <= case.limit(key), key


def _in_order_of(want: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Rows whose probabilities are equal up to rounding may have changed places, no others."""
    steps = np.diff(ours[:, :2], axis=0)
    assert ((steps[:, 0] > 0) | ((steps[:, 0] == 0) & (steps[:, 1] <= 0))).all(), "not by class and probability"
    nearest = np.array([np.abs(ours - row).max(axis=1).argmin() for row in want], int)
    assert len(set(nearest)) == len(ours)
    return ours[nearest]


def _uncertainty(net: Network, outputs: dict[int, np.ndarray], thresh: float) -> np.ndarray:
    (index, output), = outputs.items()
    return net.layers[index].boxes(output[0], thresh).uncertainty      # type: ignore[attr-defined]
