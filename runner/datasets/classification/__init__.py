"""Classification datasets: what one is (dataset), its formats (yaml_description, darknet_data, containers,
class_folders), and batches of it (batches)."""
from runner.datasets.classification.batches import batches
from runner.datasets.classification.dataset import Dataset, Label, Split, classes_of

__all__ = ["Dataset", "Label", "Split", "batches", "classes_of"]
