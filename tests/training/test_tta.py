"""Test-time augmentation: ten crops, and several sizes."""
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.datasets import Split
from runner.errors import RunnerError
from runner.training.tta import margin, mean_outputs, views
from tests.toy import dropout_network

RNG = np.random.default_rng(2)


def split_of_images(n: int = 7, h: int = 9, w: int = 15) -> Split:
    return Split([(str(i), i % 3) for i in range(n)], 3, RNG.integers(0, 256, (n, 1, h, w), dtype=np.uint8))


def test_ten_crops_are_corners_and_centre_and_their_mirror_images() -> None:
    images = RNG.random((2, 1, 10, 16))
    got = list(views(images, 12, 8, ten_crop=True, mirrored=True))
    assert len(got) == 10 and all(view.shape == (2, 1, 8, 12) for view in got)
    np.testing.assert_array_equal(got[0], images[:, :, :8, :12])
    np.testing.assert_array_equal(got[2], images[:, :, :8, 4:])
    np.testing.assert_array_equal(got[4], images[:, :, 1:9, 2:14])
    np.testing.assert_array_equal(got[6], images[:, :, 2:, :12])
    np.testing.assert_array_equal(got[8], images[:, :, 2:, 4:])
    for plain, mirror in zip(got[::2], got[1::2], strict=True):
        np.testing.assert_array_equal(mirror, plain[..., ::-1])
    assert len(list(views(images, 12, 8, ten_crop=True, mirrored=False))) == 5
    assert margin(224) == 32 and margin(28) == 4 and margin(3) == 1


def test_the_output_is_the_mean_over_the_views(tmp_path: Path) -> None:
    net, split = dropout_network(tmp_path), split_of_images()
    got, truth, indices = mean_outputs(net, split, ten_crop=True)
    assert indices.tolist() == list(range(len(split)))
    from runner.images import prepare, to_float
    large = np.stack([prepare(to_float(split.read(i, 1)), 12 + 2, 8 + 1) for i in range(7)])
    want = np.mean([net.predict(view) for view in views(large, 12, 8, True, True)], axis=0)
    np.testing.assert_allclose(got, want.reshape(7, 3), atol=1e-6)
    np.testing.assert_array_equal(truth.argmax(axis=1), np.arange(7) % 3)


def test_sizes(tmp_path: Path) -> None:
    net, split = dropout_network(tmp_path, flip=0), split_of_images()
    both, *_ = mean_outputs(net, split, sizes=(12, 18))
    assert net.in_shape == (1, 8, 12)
    one, *_ = mean_outputs(net, split, sizes=(12,))
    net.resize(18, 12)
    from runner.images import prepare, to_float
    other = net.predict(np.stack([prepare(to_float(split.read(i, 1)), 18, 12) for i in range(7)])).reshape(7, 3)
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)


def test_a_network_that_cannot_be_resized_is_an_error_and_stays_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=1\n[connected]\noutput=3\n[softmax]\n")
    net = runner.load(tmp_path / "a.cfg")
    with pytest.raises(RunnerError, match=r"--sizes 10: .*\[connected\]"):
        mean_outputs(net, split_of_images(), sizes=(8, 10))
    assert net.in_shape == (1, 8, 8)


# --- samples -------------------------------------------------------------------------------------------------
