"""counters_per_class: rare classes have larger gradients, as in src/yolo_layer.c and src/gaussian_yolo_layer.c."""
from typing import Any

import numpy as np
import pytest

from runner import ops
from runner.layers import GaussianYolo, Yolo
from tests.layers.shared.test_heads import TRUTH, train_once

CELL = 1        # of the truth, of 2 x 2 cells; its class is 1


def delta(head: type[Yolo], **options: Any) -> np.ndarray:
    """darknet's delta (entries, cells) of random values."""
    layer = head((head.ENTRIES + 3, 2, 2), classes=3, anchors=(1., 1.5), **options)
    x = np.random.default_rng(4).normal(0, .5, (1, head.ENTRIES + 3, 2, 2))
    return train_once(layer, x, TRUTH)[1]


@pytest.mark.parametrize("head", [Yolo, GaussianYolo])
@pytest.mark.parametrize("loss", ["mse", "ciou"])
def test_the_gradient_of_an_object_grows_with_the_rarity_of_its_class(head: type[Yolo], loss: str) -> None:
    plain = delta(head, iou_loss=loss)
    weighted = delta(head, iou_loss=loss, counters_per_class=(8., 2., 1.), cls_normalizer=.5)
    factors = np.ones_like(plain)
    factors[[*head.BOX, head.OBJECTNESS], CELL] = 8 / 2
    factors[head.ENTRIES + 1, CELL] = 8 / 2 * .5        # neither the other classes nor the standard deviations
    assert plain[:, CELL].all()
    np.testing.assert_allclose(weighted, plain * factors, rtol=1e-6)


def test_the_factors() -> None:
    def factors(*counters: float, **options: Any) -> list[float]:
        found = Yolo((8, 2, 2), classes=3, counters_per_class=counters, **options).multipliers
        assert found is not None
        return [float(one) for one in found]
    assert factors(8, 2, 0) == [1, 4, 8], "a class that never occurs counts as once"
    assert factors(8, 2, 0, max_delta=5) == [1, 4, 5]


def test_focal_loss_is_not_weighted() -> None:
    plain, weighted = (delta(Yolo, focal_loss=True, **more) for more in ({}, {"counters_per_class": (8., 2., 1.)}))
    assert np.array_equal(plain[Yolo.ENTRIES:], weighted[Yolo.ENTRIES:]) and not np.array_equal(plain, weighted)


@pytest.mark.parametrize("counters, factor", [((), 1.), ((8., 2., 1.), 4 * .5)])
def test_a_box_beside_the_object_learns_its_class_with_objectness_smooth(counters: tuple[float, ...],
                                                                         factor: float) -> None:
    layer = GaussianYolo((12, 1, 2), classes=3, anchors=(1., 1.), objectness_smooth=True, ignore_thresh=.3,
                         counters_per_class=counters, cls_normalizer=.5, obj_normalizer=.7)
    layer.env.in_shape = (3, 2, 2)
    x = np.random.default_rng(1).normal(0, .2, (1, 12, 1, 2))
    x[0, 4] = x[0, 6] = .4                      # width and height
    truth = np.array([[[.45, .5, .7, .7, 1]]])  # in the left cell; the right one overlaps it as well
    _, saved = layer.forward(x, train=True)
    y = saved[0, :, 0, 1]
    box = layer.decode(saved.reshape(1, 12, 1, 2))[0, 0, 1]
    overlap = float(ops.iou(box, truth[0, 0, :4]))
    assert overlap > .3 and y[10] > .25
    found = train_once(layer, x, truth)[1][:, 1]
    np.testing.assert_allclose(found[8], .7 * (overlap ** 2 - y[8]), rtol=1e-6)
    np.testing.assert_allclose(found[9:], [-y[9], (1 - y[10]) * factor, -y[11]], rtol=1e-6)
    assert not found[:8].any()
