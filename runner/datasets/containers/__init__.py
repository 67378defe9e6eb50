"""Files that hold many images with their classes: idx (MNIST), CIFAR batches, npz.  They are read whole, as bytes.

To add one, write a module with a Container and add it here, and to FORMATS.
"""
from runner.datasets.containers import cifar, idx, npz
from runner.datasets.containers.container import Container, Contents, PixelsAndLabels

CONTAINERS: tuple[Container, ...] = (idx.CONTAINER, cifar.CONTAINER, npz.CONTAINER)

__all__ = ["CONTAINERS", "Container", "Contents", "PixelsAndLabels"]
