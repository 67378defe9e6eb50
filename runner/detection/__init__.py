"""What is in a picture, and how well it was found: boxes, suppression, average precision."""
from runner.detection.boxes import Detections, detection_heads, detections, without_borders
from runner.detection.nms import suppress

__all__ = ["Detections", "detection_heads", "detections", "suppress", "without_borders"]
