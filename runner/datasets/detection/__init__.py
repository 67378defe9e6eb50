"""Detection datasets: what one is (dataset), its formats (yaml_description, darknet_data, coco, voc, yolo), the check
of its labels (report), and batches of it (batches)."""
from runner.datasets.detection.batches import DetectionLoader, detection_batches
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage, Problem

__all__ = ["DetectionDataset", "DetectionLoader", "DetectionSplit", "LabelledImage", "Problem", "detection_batches"]
