"""What is in a picture, and how well it was found: boxes, suppression, average precision."""
from runner.detection.boxes import Detections, detection_heads, detections, without_borders
from runner.detection.map import AveragePrecision, CocoPrecision, coco_precision, darknet_precision
from runner.detection.nms import suppress

__all__ = ["AveragePrecision", "CocoPrecision", "Detections", "coco_precision", "darknet_precision", "detection_heads",
           "detections", "suppress", "without_borders"]
