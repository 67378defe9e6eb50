"""Data sets: which images there are (find and its helpers), and batches of them (loader)."""
from runner.datasets.classification.batches import batches
from runner.datasets.classification.dataset import Dataset, Split, hold_out
from runner.datasets.containers.arrays import read_named
from runner.datasets.detection.batches import DetectionLoader, detection_batches
from runner.datasets.detection.dataset import DetectionDataset, DetectionSplit, LabelledImage
from runner.datasets.detection.open import open_detection_dataset
from runner.datasets.formats import expand_images, find_data, open_dataset
from runner.datasets.pipeline.loader import Loader

__all__ = [
           "Dataset",
           "DetectionDataset",
           "DetectionLoader",
           "DetectionSplit",
           "LabelledImage",
           "Loader",
           "Split",
           "batches",
           "detection_batches",
           "expand_images",
           "find_data",
           "hold_out",
           "open_dataset",
           "open_detection_dataset",
           "read_named",
]
