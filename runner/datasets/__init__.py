"""Datasets: opening them, and batches of them.

formats.py          the table of formats; open_dataset, open_detection_dataset, open_any_dataset
classification/     class names and labelled images; detection/: images with boxes
containers/         files that hold many images
pipeline/           sampler, decode cache, loader: what both tasks' batches are made with
find_data.py        the dataset of a cfg; expand.py: arguments of the command line as images
text.py             a text, for character models
image_channels.py   whether the images have the channels of a network
survey.py           what a dataset contains, by looking at every image; download.py, public_datasets.py: getting one
"""
from runner.datasets.classification import Dataset, Label, Split, batches, classes_of
from runner.datasets.containers.stored_images import read_named
from runner.datasets.detection import (
    DetectionDataset,
    DetectionLoader,
    DetectionSplit,
    LabelledImage,
    detection_batches,
)
from runner.datasets.expand import expand_images
from runner.datasets.find_data import find_data
from runner.datasets.formats import FORMATS, open_any_dataset, open_dataset, open_detection_dataset
from runner.datasets.hold_out import hold_out
from runner.datasets.image_channels import check_image_channels
from runner.datasets.pipeline import Loader

open_boxes = open_detection_dataset     # its former name

__all__ = ["FORMATS", "Dataset", "DetectionDataset", "DetectionLoader", "DetectionSplit", "Label", "LabelledImage",
           "Loader", "Split", "batches", "check_image_channels", "classes_of", "detection_batches", "expand_images",
           "find_data", "hold_out", "open_any_dataset", "open_boxes", "open_dataset", "open_detection_dataset",
           "read_named"]
