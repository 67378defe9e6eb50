"""What a detector finds, and how well: the boxes its heads predict (predicted_boxes), non-maximum suppression (nms),
anchors by k-means (anchors), average precision (map), correct, wrong and missed boxes (matching)."""
from runner.detection.anchors import Anchors, kmeans_anchors, shape_iou
from runner.detection.map import (
    AveragePrecision,
    CocoPrecision,
    coco_precision,
    darknet_precision,
    f1_curves,
    recall_curves,
)
from runner.detection.matching import BoxMatches, confusion_matrix, match_boxes
from runner.detection.nms import suppress
from runner.detection.predicted_boxes import (
    NmsOptions,
    PredictedBoxes,
    chosen_classes,
    detection_heads,
    predict_boxes,
    require_detection_heads,
    without_borders,
)

__all__ = ["Anchors", "AveragePrecision", "BoxMatches", "CocoPrecision", "NmsOptions", "PredictedBoxes",
           "chosen_classes", "coco_precision", "confusion_matrix", "darknet_precision", "detection_heads", "f1_curves",
           "kmeans_anchors", "match_boxes", "predict_boxes", "recall_curves", "require_detection_heads", "shape_iou",
           "suppress", "without_borders"]
