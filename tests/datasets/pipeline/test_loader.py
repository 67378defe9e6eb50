"""Batches: what is in them, that threads and restarts change nothing, and that nothing is left running."""
import gc
import itertools
import threading
import time

import numpy as np
import pytest
from PIL import Image

from runner.datasets import Split, batches
from runner.datasets.pipeline import cache
from runner.errors import DataError, RunnerError
from runner.images import Augment, prepare, read_image

SIZE = {"width": 8, "height": 6}


@pytest.fixture
def split(tmp_path):
    """Eleven images of different sizes, three classes."""
    rng, items = np.random.default_rng(0), []
    for k in range(11):
        path = tmp_path / f"{k}.png"
        Image.fromarray(rng.integers(0, 256, (5 + k % 3, 9 + k % 2, 3), dtype=np.uint8)).save(path)
        items.append((str(path), k % 3))
    return Split(items, 3)


def spoil(split, *which):
    for index in which:
        with open(split[index][0], "wb") as file:
            file.write(b"no image")


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for (x, truth), (x2, truth2) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(truth, truth2)


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_shows_each_image_once_in_order(split, workers):
    loader = batches(split, batch=4, workers=workers, **SIZE)
    assert len(loader) == 3
    got = list(loader)
    assert [x.shape for x, _ in got] == [(4, 3, 6, 8), (4, 3, 6, 8), (3, 3, 6, 8)]
    assert got[0][0].dtype == got[0][1].dtype == np.float32
    for k, (path, label) in enumerate(split):
        np.testing.assert_array_equal(got[k // 4][0][k % 4], prepare(read_image(path), 8, 6))
        np.testing.assert_array_equal(got[k // 4][1][k % 4], np.eye(3)[label])


def test_length_counts_what_is_left(split):
    with batches(split, batch=4, epochs=2, **SIZE) as loader:
        assert len(loader) == 6
        next(loader)
        assert len(loader) == 5
        assert len(list(loader)) == 5
    with batches(split, batch=4, endless=True, **SIZE) as loader, pytest.raises(TypeError):
        len(loader)


def test_every_epoch_is_shuffled_anew_and_complete(split):
    with batches(split, batch=4, shuffle=True, endless=True, seed=1, **SIZE) as loader:
        order = np.concatenate([(next(loader), loader.indices)[1] for _ in range(11)])
    epochs = order.reshape(4, 11)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.arange(11)[None].repeat(4, 0))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_batch_larger_than_the_data_wraps_around(split):
    with batches(split, batch=25, endless=True, shuffle=True, **SIZE) as loader:
        x, _ = next(loader)
    assert x.shape[0] == 25 and np.bincount(loader.indices, minlength=11).min() == 2


CHANGES = Augment(8, 6, 6, 12, angle=10, aspect=1.2, hue=.1, saturation=1.3, exposure=1.3)
TRAINING = {"batch": 4, "shuffle": True, "endless": True, "augment": CHANGES, "seed": 5, **SIZE}


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 1}, {"workers": 3}, {"cache_bytes": 0},
                                     {"cache_bytes": 1000}])
def test_neither_threads_nor_cache_change_anything(split, options):
    spoil(split, 2)
    with batches(split, **TRAINING) as one, batches(split, **TRAINING, **options) as other:
        same(list(itertools.islice(one, 9)), list(itertools.islice(other, 9)))
        assert one.bad == other.bad


def test_large_images_are_shared_between_threads_with_the_same_result(split):
    big = {"batch": 5, "width": 320, "height": 320, "augment": Augment(320, 320, angle=10)}
    with batches(split, workers=3, **big) as many, batches(split, workers=0, **big) as one:
        assert many.parts == 3
        same(list(many), list(one))


def test_start_batch_goes_on_where_another_run_stopped(split):
    with batches(split, **TRAINING) as whole, batches(split, start_batch=4, **TRAINING) as rest:
        same(list(itertools.islice(whole, 9))[4:], list(itertools.islice(rest, 5)))


def test_seeds_differ(split):
    with batches(split, **TRAINING) as one, batches(split, **{**TRAINING, "seed": 6}) as other:
        assert not np.array_equal(next(one)[0], next(other)[0])


def test_augmentation_differs_between_epochs(split):
    with batches(split, batch=11, augment=CHANGES, endless=True, **SIZE) as loader:
        assert not np.array_equal(next(loader)[0], next(loader)[0])


def test_label_smoothing_and_channels(split):
    x, truth = next(batches(split, batch=2, channels=1, label_smoothing=.1, **SIZE))
    assert x.shape == (2, 1, 6, 8)
    np.testing.assert_allclose(truth, [[.9, .05, .05], [.05, .9, .05]], rtol=1e-6)


def test_bad_images_are_named_once_and_left_out_of_evaluation(split):
    spoil(split, 3, 8, 9, 10)
    said = []
    loader = batches(split, batch=4, epochs=2, warn=said.append, **SIZE)
    assert sum(len(x) for x, _ in loader) == 14
    assert sorted(loader.bad) == sorted(split[k][0] for k in (3, 8, 9, 10))
    assert len(said) == 4 and split[3][0] in said[0] and "not an image" in said[0] and "skipped" in said[0]


def test_bad_images_are_replaced_in_training(split):
    spoil(split, 3)
    with batches(split, batch=11, endless=True, **SIZE) as loader:
        x, _ = next(loader)
    assert loader.indices.tolist() == [0, 1, 2, 4, 4, 5, 6, 7, 8, 9, 10]
    np.testing.assert_array_equal(x[3], x[4])


@pytest.mark.parametrize("endless", [True, False])
def test_nothing_but_bad_images(split, endless):
    spoil(split, *range(11))
    with pytest.raises(DataError, match="none of the"):
        list(itertools.islice(batches(split, batch=4, endless=endless, **SIZE), 5))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_fatal_by_choice_in_their_turn(split, workers):
    spoil(split, 5)
    loader = batches(split, batch=4, on_bad="error", workers=workers, **SIZE)
    assert len(next(loader)[0]) == 4
    with pytest.raises(DataError, match=r"5\.png: this is not an image"):
        next(loader)
    assert list(loader) == []


def loader_threads() -> int:
    return sum(thread.name.startswith("loader") for thread in threading.enumerate())


def no_threads_within(seconds: float) -> bool:
    end = time.monotonic() + seconds
    while loader_threads() and time.monotonic() < end:
        time.sleep(.01)
    return not loader_threads()


def test_threads_end_with_the_loader(split):
    assert no_threads_within(5)
    with batches(split, workers=2, **TRAINING) as loader:
        next(loader)
        assert loader_threads()
    assert not loader_threads() and list(loader) == []
    list(batches(split, batch=4, workers=2, **SIZE))
    assert not loader_threads()
    loader = batches(split, workers=2, **TRAINING)
    next(loader)
    del loader
    gc.collect()
    assert no_threads_within(5)


def test_no_more_than_a_few_batches_wait(split, monkeypatch):
    read = []
    monkeypatch.setattr("runner.datasets.classification.dataset.read_pixels",
                        lambda path, channels, least: read.append(path) or
                        np.zeros((3, 6, 8), np.uint8))
    with batches(split, batch=1, endless=True, workers=2, cache_bytes=0, **SIZE) as loader:
        next(loader)
        time.sleep(.1)
        assert 1 <= len(read) <= 1 + 2 * 2


def test_a_small_set_is_decoded_once(split, monkeypatch):
    read = []
    monkeypatch.setattr("runner.datasets.classification.dataset.read_pixels",
                        lambda path, channels, least: read.append(path) or
                        np.zeros((3, 6, 8), np.uint8))
    list(batches(split, batch=4, epochs=3, workers=0, **SIZE))
    assert len(read) == 11
    list(batches(split, batch=4, epochs=3, workers=0, cache_bytes=100, **SIZE))
    assert len(read) == 11 + 33


def test_training_decodes_no_more_of_a_jpeg_than_it_needs(tmp_path):
    smooth = np.linspace(0, 250, 128 * 96 * 3).reshape(96, 128, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    split = Split([(str(tmp_path / "a.jpg"), 0)], 2)
    for draft, augment, side in [(False, Augment(8, 6), 1), (True, None, 1), (True, Augment(8, 6), 4),
                                 (True, Augment(8, 6, max_crop=12), 4), (True, Augment(8, 6, max_crop=13), 2),
                                 (True, Augment(8, 6, max_crop=12, aspect=.75), 2)]:
        with batches(split, batch=1, epochs=2, augment=augment, draft=draft, workers=0, **SIZE) as loader:
            next(loader)
            assert loader.cached == smooth.size // side ** 2 + 200, (draft, augment)


def test_waiting_is_measured(split, monkeypatch):
    ready = threading.Event()
    monkeypatch.setattr("runner.datasets.classification.dataset.read_pixels",
                        lambda path, channels, least: ready.wait() and
                        np.zeros((3, 6, 8), np.uint8))
    with batches(split, batch=1, workers=1, **SIZE) as loader:
        assert loader.waited == 0
        threading.Timer(.05, ready.set).start()
        next(loader)
        assert loader.waited > 0


def test_the_cache_is_a_quarter_of_the_free_memory_and_is_told_when_it_is_too_small(split, monkeypatch):
    monkeypatch.setattr(cache, "available_memory", lambda: 1 << 30)
    said = []
    with batches(split, batch=11, endless=True, workers=0, warn=said.append, **SIZE) as loader:
        next(loader)
        assert loader.cached == sum(split.read(i, 3).nbytes + 200 for i in range(11)) and not said
    monkeypatch.setattr(cache, "available_memory", lambda: 4000)
    with batches(split, batch=11, endless=True, workers=0, warn=said.append, **SIZE) as loader:
        next(loader), next(loader)
        assert loader.cached == 0
    assert len(said) == 1 and "the decoded images take more than 1.0 KB" in said[0]


def test_nothing_is_kept_that_nobody_comes_back_to(split):
    loader = batches(split, batch=4, **SIZE)
    list(loader)
    assert loader.cached == 0


# --- balance -------------------------------------------------------------------------------------------------

def shown(split, count, **options):
    with batches(split, batch=10, shuffle=True, endless=True, workers=0, **SIZE, **options) as loader:
        return np.concatenate([(next(loader), loader.indices)[1] for _ in range(count)])


def uneven():
    """Sixty images of class 0, thirty of 1, ten of 2; no file is needed."""
    labels = [0] * 60 + [1] * 30 + [2] * 10
    return Split([(str(i), label) for i, label in enumerate(labels)], 3, np.zeros((100, 1, 6, 8), np.uint8))


@pytest.mark.parametrize("balance, wanted", [(0, [60, 30, 10]), (1, [34, 33, 33]), (.5, [47, 33, 20])])
def test_balance_decides_how_often_a_class_comes(balance, wanted):
    split = uneven()
    indices = shown(split, 10, balance=balance)
    counts = np.bincount(split.labels()[indices], minlength=3)
    assert counts.tolist() == wanted or np.abs(counts - wanted).max() <= 1
    assert not np.array_equal(np.sort(indices), indices)


def test_balance_forgets_no_image_and_can_be_resumed():
    split = uneven()
    indices = shown(split, 60, balance=1)
    seen = np.bincount(indices, minlength=100)
    assert (seen > 0).all() and np.ptp(seen[60:90]) <= 1 and np.ptp(seen[:60]) <= 1
    np.testing.assert_array_equal(indices[250:], shown(split, 35, balance=1, start_batch=25))
    with pytest.raises(RunnerError, match="needs shuffle=True"):
        batches(split, batch=2, balance=1, **SIZE)


def test_partners_of_mixed_images_come_as_often_as_classes_do():
    from runner.datasets.pipeline.sampler import Sampler

    labels = uneven().labels()
    rng = np.random.default_rng(4)
    for balance, wanted in ((0, [.6, .3, .1]), (1, [.34, .33, .33])):
        order = Sampler(100, 10, 0, True, None, labels if balance else None, balance)
        chosen = order.any_images(rng, (3, 2000))
        assert chosen.shape == (3, 2000)
        np.testing.assert_allclose(np.bincount(labels[chosen.ravel()]) / 6000, wanted, atol=.03)
        assert len(np.unique(chosen)) == 100


# --- mixed images --------------------------------------------------------------------------------------------

def colours():
    """Images of one value each, k / 10, of class k."""
    values = (np.arange(11) / 10).astype(np.float32)
    return Split([(str(k), k) for k in range(11)], 11, np.broadcast_to(values[:, None, None, None], (11, 1, 6, 8)))


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_half_of_the_batches_are_mixed_and_the_label_tells_of_what(mode):
    settings = Augment(8, 6, 8, 8, flip=False, mix=mode)
    mixed = parts = 0
    with batches(colours(), batch=8, channels=1, shuffle=True, endless=True, augment=settings, **SIZE) as loader:
        for x, truth in itertools.islice(loader, 60):
            np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-6)
            # without the border, which a crop may leave dark by half a pixel
            inner = x[:, 0, 1:-1, 1:-1]
            if mode == 1:
                np.testing.assert_allclose(inner.mean(axis=(1, 2)), truth @ (np.arange(11) / 10), atol=1e-5)
            else:
                values = np.unique(np.round(inner * 10))
                assert set(values.astype(int)) <= set(np.flatnonzero(truth.any(axis=0)).tolist()) | {0}
            kinds = (truth > 0).sum(axis=1)
            mixed += bool((kinds > 1).any())
            parts = max(parts, int(kinds.max()))
    assert 18 <= mixed <= 42 and parts == {1: 2, 2: 2, 3: 4, 4: 4}[mode]


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 3}, {"cache_bytes": 0}])
def test_mixed_batches_depend_on_the_seed_alone_and_can_be_resumed(split, options):
    spoil(split, 2)
    settings = {**TRAINING, "augment": Augment(8, 6, 6, 12, angle=10, mix=4, blur=5)}
    with batches(split, **settings) as one, batches(split, start_batch=3, **settings, **options) as other:
        same(list(itertools.islice(one, 12))[3:], list(itertools.islice(other, 9)))


def test_large_mixed_batches_are_shared_between_threads(split):
    big = {"batch": 5, "width": 320, "height": 320, "augment": Augment(320, 320, mix=4, blur=3), "endless": True}
    with batches(split, workers=3, **big) as many, batches(split, workers=0, **big) as one:
        assert many.parts == 3
        same(list(itertools.islice(many, 4)), list(itertools.islice(one, 4)))


def test_a_bad_partner_is_left_out_where_nothing_replaces_it(split):
    spoil(split, 1, 4, 7)
    with batches(split, batch=11, epochs=8, augment=Augment(8, 6, mix=3), seed=2, **SIZE) as loader:
        for x, truth in loader:
            assert len(x) == 8
            np.testing.assert_allclose(truth.sum(axis=1), 1, rtol=1e-6)


def test_smoothed_labels_are_mixed_too():
    settings = Augment(8, 6, 8, 8, flip=False, mix=1)
    with batches(colours(), batch=4, channels=1, endless=True, shuffle=True, augment=settings, label_smoothing=.1,
                 **SIZE) as loader:
        rows = np.concatenate([truth for _, truth in itertools.islice(loader, 20)])
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    assert set(np.unique(np.round(rows, 4))) == {np.float32(.01), np.float32(.455), np.float32(.9)}


@pytest.mark.parametrize("change, message", [({"batch": 0}, "at least 1"), ({"on_bad": "ignore"}, "on_bad"),
                                             ({"how": "fit"}, "how"), ({"augment": Augment(9, 9)}, "9x9")])
def test_wrong_settings_are_refused(split, change, message):
    with pytest.raises(RunnerError, match=message):
        batches(split, **{"batch": 2, **SIZE, **change})
    with pytest.raises(DataError, match="no images"):
        batches(Split([], 3), batch=2, **SIZE)
