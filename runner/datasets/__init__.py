"""Data sets: which images there are (find and its helpers), and batches of them (loader)."""
from runner.datasets.classification.batches import batches
from runner.datasets.classification.dataset import Dataset, Split, hold_out
from runner.datasets.containers.arrays import read_named
from runner.datasets.detection.batches import BoxLoader, box_batches
from runner.datasets.detection.dataset import BoxDataset, BoxSplit, Picture
from runner.datasets.detection.open import open_boxes
from runner.datasets.formats import expand_images, find_data, open_dataset
from runner.datasets.pipeline.loader import Loader

__all__ = ["BoxDataset", "BoxLoader", "BoxSplit", "Dataset", "Loader", "Picture", "Split", "batches", "box_batches",
           "expand_images", "find_data", "hold_out", "open_boxes", "open_dataset", "read_named"]
