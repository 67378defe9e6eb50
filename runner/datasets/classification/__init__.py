"""Classification datasets: what one is (dataset), its formats (yaml_description, darknet_data, containers,
class_folders), and batches of it (batches)."""
from runner.datasets.classification.batches import batches
from runner.datasets.classification.dataset import Dataset, Split

__all__ = ["Dataset", "Split", "batches"]
