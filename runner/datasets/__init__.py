"""Data sets: which images there are (find and its helpers), and batches of them (loader)."""
from runner.datasets.arrays import read_named
from runner.datasets.base import Dataset, Split, hold_out
from runner.datasets.box_loader import BoxLoader, box_batches
from runner.datasets.boxes import BoxDataset, BoxSplit, Picture
from runner.datasets.find import expand_images, find_data, open_dataset
from runner.datasets.find_boxes import open_boxes
from runner.datasets.labelled import batches
from runner.datasets.loader import Loader

__all__ = ["BoxDataset", "BoxLoader", "BoxSplit", "Dataset", "Loader", "Picture", "Split", "batches", "box_batches",
           "expand_images", "find_data", "hold_out", "open_boxes", "open_dataset", "read_named"]
