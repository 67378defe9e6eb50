"""What a detector finds, and how well: the boxes its heads predict (predicted_boxes), non-maximum suppression (nms),
anchors by k-means (anchors), average precision (map)."""
from runner.detection.anchors import Anchors, kmeans_anchors, shape_iou
from runner.detection.map import AveragePrecision, CocoPrecision, coco_precision, darknet_precision, recall_curves
from runner.detection.nms import suppress
from runner.detection.predicted_boxes import (
    PredictedBoxes,
    detection_heads,
    predict_boxes,
    require_detection_heads,
    without_borders,
)

__all__ = ["Anchors", "AveragePrecision", "CocoPrecision", "PredictedBoxes", "coco_precision", "darknet_precision",
           "detection_heads", "kmeans_anchors", "predict_boxes", "recall_curves", "require_detection_heads",
           "shape_iou", "suppress", "without_borders"]
