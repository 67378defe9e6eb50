"""The batches of a detector: augmentation, ground-truth rows, and multi-scale sizes."""
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.datasets import DetectionSplit, LabelledImage
from runner.detection.predicted_boxes import without_borders
from runner.errors import ShapeError, UsageError
from runner.images import BoxAugment
from runner.training import TaskOptions, open_task
from runner.training.detection_data import (
    box_augmentation,
    evaluation_loader,
    ineffective_options,
    max_truth_rows,
    multi_scale_sizes,
    training_loader,
)
from tests import toy_boxes

NET = "[net]\nwidth=64\nheight=32\nchannels=3\nbatch=4\nsubdivisions=2\nlearning_rate=0.001\n{}\n"
BODY = ("[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n[maxpool]\nsize=2\nstride=2\n"
        "[convolutional]\nfilters=7\nactivation=linear\n[yolo]\nclasses=2\nnum=1\nanchors=9,9\n{}\n")


def network(folder: Path, net: str = "", head: str = "", body: str = BODY) -> runner.Network:
    (folder / "a.cfg").write_text(NET.format(net) + body.format(head))
    return runner.load(folder / "a.cfg")


@pytest.fixture
def split(tmp_path):
    rng, items = np.random.default_rng(0), []
    for k in range(6):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
        boxes = np.array([[.5, .5, .3, .4, k % 2]] * (k % 3), np.float32).reshape(-1, 5)
        items.append(LabelledImage(str(tmp_path / f"{k}.png"), boxes, np.zeros((0, 5), np.float32)))
    return DetectionSplit(items, 2)


def test_every_option_reaches_the_augmentation(tmp_path: Path) -> None:
    net = network(tmp_path, "flip=0\nhue=.1\nsaturation=1.5\nexposure=1.6\nmosaic=1\nmosaic_bound=1\nblur=7\n"
                            "gaussian_noise=9\nletter_box=1", "jitter=.3\nresize=1.5\nmax=33")
    assert box_augmentation(net) == BoxAugment(.3, 1.5, False, .1, 1.5, 1.6, True, True, True, False, 7, 9)
    assert max_truth_rows(net) == 33
    assert box_augmentation(network(tmp_path)) == BoxAugment(jitter=.2, resize=1, flip=True)


@pytest.mark.parametrize("text, mosaic, mixup", [("mixup=1", False, True), ("mixup=2", False, False),
                                                 ("mixup=3", True, False), ("mixup=4", True, False),
                                                 ("mosaic=1\nmixup=1", True, False), ("cutmix=1", False, False),
                                                 ("cutmix=1\nmosaic=1", True, False)])
def test_mixup_and_mosaic_as_in_darknet(text, mosaic, mixup, tmp_path):
    changes = box_augmentation(network(tmp_path, text))
    assert (changes.mosaic, changes.mixup) == (mosaic, mixup)


@pytest.mark.parametrize("text, sentence", [("angle=7", "angle=7 has no effect"), ("aspect=.8", "aspect=0.8"),
                                            ("cutmix=1", "cutmix has no effect: it is for classifiers"),
                                            ("mosaic=1\nletter_box=1", "on images combined by mosaic")])
def test_options_without_effect_are_reported(text, sentence, tmp_path, split):
    net = network(tmp_path, text)
    said: list[str] = []
    assert len(ineffective_options(net)) == 1 and sentence in ineffective_options(net)[0]
    training_loader(net, split, warn=said.append).close()
    assert said == ineffective_options(net)
    assert not ineffective_options(network(tmp_path, "hue=.1\nmosaic=1"))


def test_training_batches(tmp_path, split):
    net = network(tmp_path, head="max=9")
    with training_loader(net, split, seed=3) as whole:
        first = [next(whole) for _ in range(4)]
    assert first[0][0].shape == (2, 3, 32, 64) and first[0][1].shape == (2, 9, 5)
    net.progress.iteration = 1
    with training_loader(net, split, seed=3) as rest:
        for x, truth in first[2:]:
            got = next(rest)
            np.testing.assert_array_equal(got[0], x)
            np.testing.assert_array_equal(got[1], truth)


@pytest.mark.parametrize("letter_box", [0, 1])
def test_evaluation_batches(letter_box, tmp_path, split):
    net = network(tmp_path, f"letter_box={letter_box}")
    with evaluation_loader(net, split) as loader:
        x, truth = next(loader)
    assert truth.shape[1:] == (2, 5) and loader.sizes[0].tolist() == [50, 40]
    assert bool((x[0, 0] == .5).mean() > .3) == bool(letter_box)
    with evaluation_loader(net, split, letterbox=True) as loader:
        assert (next(loader)[0][0, 0] == .5).mean() > .3


@pytest.mark.parametrize("letter_box", [0, 1])
def test_what_training_teaches_is_what_detection_undoes(letter_box, tmp_path, split):
    """A box that a network learns to predict in its input is, read back as `detect` and `test` do, the labelled one."""
    split = DetectionSplit([one for one in split if len(one.boxes)], 2)
    for one in split:
        one.boxes[:] = [.3, .6, .2, .5, 1]
    net = network(tmp_path, f"flip=0\nletter_box={letter_box}", "jitter=0")
    with training_loader(net, split) as batches:
        truth = next(batches)[1]
    learned = truth[truth[:, :, 2] > 0][:, :4]
    found = without_borders(learned, (50, 40), (64, 32)) if letter_box else learned
    assert len(found) >= 2
    np.testing.assert_allclose(found, np.tile([.3, .6, .2, .5], (len(found), 1)), rtol=1e-5)
    assert np.allclose(learned, found) != bool(letter_box), "the box is moved in training"


def schedule(net: runner.Network, seed: int) -> Callable[[int], tuple[int, int]]:
    sizes = multi_scale_sizes(net, seed)
    assert sizes is not None
    return sizes


def test_the_input_sizes_are_those_of_darknet(tmp_path: Path) -> None:
    net = network(tmp_path, "max_batches=1000", "random=1")
    size_at = schedule(net, 7)
    sizes = [size_at(update) for update in range(1000)]
    assert sizes[0] == (round(1.4 * 2 + 1) * 32, round(1.4 + 1) * 32), "the largest comes first"
    assert set(sizes[900:]) == {(64, 32)}, "the last hundred updates have the cfg's own size"
    assert all(len(set(sizes[k:k + 10])) == 1 for k in range(0, 900, 10))
    assert len(set(sizes)) >= 3 and all(w % 32 == h % 32 == 0 for w, h in sizes)
    assert max(sizes) == sizes[0] and sizes == [schedule(net, 7)(update) for update in range(1000)]
    assert [schedule(net, 8)(update) for update in range(1000)] != sizes
    wider = schedule(network(tmp_path, "max_batches=1000\nresize_step=16", "random=2"), 7)
    assert wider(0) == ((2 * 4 + 1) * 16, (2 * 2 + 1) * 16)
    assert multi_scale_sizes(network(tmp_path), 7) is None


def test_a_size_the_network_cannot_take(tmp_path: Path) -> None:
    body = BODY.replace("[yolo]", "[shortcut]\nfrom=-1\nactivation=linear\n[crop]\ncrop_width=16\ncrop_height=8\n"
                                  "[convolutional]\nfilters=7\nactivation=linear\n[yolo]")
    net = network(tmp_path, "resize_step=8", "random=2", body)
    with pytest.raises(ShapeError, match=r"random=2 in \[yolo\] changes the size .* resize_step=8 .*\[crop\]"):
        multi_scale_sizes(net, 0)
    assert net.in_shape == (3, 32, 64)


def test_multi_scale_training(tmp_path, split):
    net = network(tmp_path, "max_batches=40", "random=1")
    net.options.__dict__["max_batches"] = 0        # no last updates at the own size: 40 updates, four sizes
    seen = []
    with training_loader(net, split, seed=2) as batches:
        def watched():
            for x, truth in batches:
                seen.append(x.shape[2:])
                yield x, truth
        for step in runner.train(net, watched()):
            assert np.isfinite(step.loss) and net.in_shape == (3, 32, 64)
            if step.number == 40:
                break
    assert len(seen) == 80 and len(set(seen)) >= 2


def test_an_interrupted_update_restores_the_size_of_the_cfg(tmp_path, split):
    net = network(tmp_path, "max_batches=1000", "random=1")
    with training_loader(net, split) as batches:
        def broken():
            x, truth = next(batches)
            assert x.shape[1:] != net.in_shape
            yield x, truth
            raise KeyboardInterrupt
        with pytest.raises(KeyboardInterrupt):
            next(runner.train(net, broken()))
    assert net.in_shape == (3, 32, 64)


def test_a_share_of_the_images_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toy_boxes.make(tmp_path)
    task = open_task(runner.load("cfg/squares.cfg", settings=["net.split_share=0.25"]),
                     TaskOptions("cfg/squares.cfg", data="data/squares/images/train"))
    assert task.data_summary() == "18 images with 33 boxes to train, 6 to test, 2 classes" and task.has_test_data


def test_a_network_without_a_head(tmp_path, split):
    (tmp_path / "b.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[connected]\noutput=2\n[softmax]\n")
    with pytest.raises(UsageError, match="no boxes"):
        training_loader(runner.load(tmp_path / "b.cfg"), split)
