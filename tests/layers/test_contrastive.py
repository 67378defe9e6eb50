"""[contrastive] beyond the common checks: the gradient pulls and pushes."""
import numpy as np

from runner.layers import Contrastive


def test_embeddings_of_one_class_move_together() -> None:
    z = np.random.default_rng(1).normal(size=(4, 6))
    truth = np.eye(2)[[0, 0, 1, 1]]
    layer = Contrastive((6,), classes=2)
    cost, dz = layer.loss(layer.forward(z, train=True)[1], truth)
    moved = z - 0.5 * dz

    def similarity(a: np.ndarray, i: int, j: int) -> float:
        return float(a[i] @ a[j] / np.linalg.norm(a[i]) / np.linalg.norm(a[j]))
    assert similarity(moved, 0, 1) > similarity(z, 0, 1) and similarity(moved, 2, 3) > similarity(z, 2, 3)
    np.testing.assert_allclose(cost, (dz ** 2).sum())
