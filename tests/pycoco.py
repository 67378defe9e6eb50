"""mAP as computed by pycocotools, COCO's reference code; skips if it is not installed."""
from collections.abc import Sequence

import numpy as np
import pytest


def corner(x: float, y: float, w: float, h: float) -> list[float]:
    return [float(x - w / 2), float(y - h / 2), float(w), float(h)]


def stats(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], classes: int,
          crowds: Sequence[np.ndarray] = ()) -> tuple[float, float]:
    """mAP@[.5:.95] and mAP@.5; the arguments as those of runner.detection.coco_precision, in pixels."""
    coco_eval = pytest.importorskip("pycocotools.cocoeval")
    coco = pytest.importorskip("pycocotools.coco")
    truths, annotations = coco.COCO(), list[dict[str, object]]()
    for crowd, part in ((0, truth), (1, crowds)):
        annotations += [{"image_id": i, "category_id": int(row[4]), "iscrowd": crowd, "bbox": corner(*row[:4]),
                    "area": float(row[2] * row[3])} for i, rows in enumerate(part) for row in rows]
    truths.dataset = {"images": [{"id": i} for i in range(len(truth))],
                      "categories": [{"id": c} for c in range(classes)],
                      "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, 1)]}
    truths.createIndex()
    detections = truths.loadRes([{"image_id": i, "category_id": int(row[0]), "score": float(row[1]),
                               "bbox": corner(*row[2:])} for i, rows in enumerate(found) for row in rows])
    run = coco_eval.COCOeval(truths, detections, "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    return float(run.stats[0]), float(run.stats[1])
