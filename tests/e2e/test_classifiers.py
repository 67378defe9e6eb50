"""Published classifiers reach the accuracy the real darknet reports for them (read from ../shared)."""
import tarfile
from pathlib import Path

import pytest

import runner
from runner.inference.classify import infer
from tests.paths import SHARED

WEIGHTS = SHARED / "data" / "weights"
pytestmark = pytest.mark.skipif(not WEIGHTS.exists(), reason="needs the published models in ../shared")


@pytest.mark.slow
@pytest.mark.parametrize("name, archive, accuracy", [("cifar_small", "cifar10/cifar10-png.tar.gz", 0.4930),
                                                     ("cifar_bn_avgpool", "cifar10/cifar10-png.tar.gz", 0.5326),
                                                     ("mnist_lenet", "mnist/mnist-png.tar.gz", 0.9515)])
def test_e2e_classifiers(name: str, archive: str, accuracy: float, tmp_path: Path) -> None:
    """The accuracy both darknets report on the test images (SOURCES.md), to two images."""
    folder = WEIGHTS / name
    with tarfile.open(SHARED / "data" / archive) as packed:
        wanted = [m for m in packed if "/test/" in m.name or m.name.endswith(("test.list", "labels.txt"))]
        packed.extractall(tmp_path, wanted, filter="data")
    base = next(tmp_path.glob("**/test.list")).parent
    labels = (base / "labels.txt").read_text().split()
    paths = [line for line in (base / "test.list").read_text().splitlines() if line]
    net = runner.load(folder / f"{name}.cfg", folder / f"{name}.weights")
    right = sum(labels[result.predictions[0].index] in path
                for path, result in zip(paths, infer(net, [base / path for path in paths]), strict=True))
    assert abs(right - accuracy * len(paths)) <= 2, f"{right / len(paths):.4f}"
