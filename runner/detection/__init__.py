"""What is in a picture, and how well it was found: boxes, suppression, anchors, average precision."""
from runner.detection.anchors import Anchors, find_anchors, shape_iou
from runner.detection.boxes import (
    Detections,
    detection_heads,
    detections,
    require_detection_heads,
    without_borders,
)
from runner.detection.map import AveragePrecision, CocoPrecision, coco_precision, darknet_precision, recall_curves
from runner.detection.nms import suppress

__all__ = ["Anchors", "AveragePrecision", "CocoPrecision", "Detections", "coco_precision", "darknet_precision",
           "detection_heads", "detections", "find_anchors", "recall_curves", "require_detection_heads", "shape_iou",
           "suppress", "without_borders"]
