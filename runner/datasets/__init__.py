"""Data sets: which images there are (find and its helpers), and batches of them (loader)."""
from runner.datasets.base import Dataset, Split
from runner.datasets.find import expand_images, find_data, open_dataset
from runner.datasets.loader import Loader, batches

__all__ = ["Dataset", "Loader", "Split", "batches", "expand_images", "find_data", "open_dataset"]
