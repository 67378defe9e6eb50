"""Results over images, and the numbers that say how good they are."""
import numpy as np
import pytest

import runner
from runner.errors import DataError, UsageError
from runner.images import read_image
from runner.inference import batch_size
from runner.training.classification_metrics import evaluate
from tests import toy


@pytest.fixture
def net(tmp_path):
    toy.make(tmp_path)
    return runner.load(tmp_path / "cfg" / "toy.cfg", seed=3)


@pytest.fixture
def paths(tmp_path, net):
    return sorted((tmp_path / "data" / "toy" / "test").rglob("*.png"))


@pytest.mark.parametrize("batch", [1, 3, 10, None])
def test_paths_arrays_and_every_batch_size_give_the_same(net, paths, batch):
    one_by_one = [net.predict(runner.images.prepare(read_image(path, 1), 6, 6)[None])[0] for path in paths]
    from_paths = list(runner.infer(net, paths, names=["a", "b"], batch=batch))
    from_arrays = list(runner.infer(net, (read_image(path, 1) for path in paths), batch=batch))
    assert [r.image for r in from_paths] == [str(path) for path in paths]
    assert [r.image for r in from_arrays] == [str(i) for i in range(len(paths))]
    for alone, one, other in zip(one_by_one, from_paths, from_arrays, strict=True):
        np.testing.assert_allclose(one.probabilities, alone, rtol=1e-5)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert [p.name for p in one.predictions] == ["ab"[p.index] for p in other.predictions]
        assert one.predictions[0].probability == one.probabilities.max()


def test_a_bad_image_is_reported_in_its_place(net, paths):
    paths[2].write_bytes(b"")
    results = list(runner.infer(net, paths, top=1, batch=4))
    assert [bool(r.error) for r in results] == [i == 2 for i in range(10)]
    assert results[2].image == str(paths[2]) and results[2].predictions == () and "empty" in results[2].error
    assert all(len(r.predictions) == 1 for r in results if not r.error)
    with pytest.raises(DataError, match="empty"):
        list(runner.infer(net, paths, on_bad="error"))


def test_what_infer_cannot_do(net):
    with pytest.raises(UsageError, match="on_bad is 'skip' or 'error'"):
        runner.infer(net, [], on_bad="ignore")
    result, = runner.infer(net, [np.zeros((3, 6, 6), np.float32)])
    assert result.error == "an image must be an array (1, height, width). Got (3, 6, 6)"
    assert list(runner.infer(net, [])) == []


def test_images_are_not_read_far_ahead(net, paths):
    taken = []

    def watched():
        for path in paths * 10:
            taken.append(path)
            yield path
    results = runner.infer(net, watched(), batch=2)
    next(results)
    assert len(taken) == 4
    results.close()


def test_batches_shrink_for_large_outputs(tmp_path):
    (tmp_path / "large.cfg").write_text("[net]\nwidth=608\nheight=608\nchannels=3\n[conv]\nfilters=64\nsize=3\npad=1\n")
    assert batch_size(runner.load(tmp_path / "large.cfg", allocate=False)) == (128 << 20) // (4 * 64 * 608 * 608) == 1
    (tmp_path / "small.cfg").write_text("[net]\ninputs=5\n[connected]\noutput=7\n")
    assert batch_size(runner.load(tmp_path / "small.cfg", allocate=False)) == 32


def scores(tmp_path, end=""):
    """A network whose probabilities are the softmax of its 7 inputs."""
    (tmp_path / "scores.cfg").write_text(f"[net]\ninputs=7\n[softmax]\n{end}")
    return runner.load(tmp_path / "scores.cfg")


def test_metrics_by_hand(tmp_path):
    """Five images of class 0, 0, 1, 2, 6: taken for 0, 1, 1, 0, 0; the last one's class comes sixth."""
    said = np.zeros((5, 7), np.float32)
    said[[0, 1, 2, 3], [0, 1, 1, 0]] = 3
    said[1, 0] = said[3, 2] = 2
    said[4] = [9, 8, 7, 6, 5, 1, 2]
    truth = np.eye(7, dtype=np.float32)[[0, 0, 1, 2, 6]]
    found = evaluate(scores(tmp_path), [(said[:3], truth[:3]), (said[3:], truth[3:])])
    assert (found.images, found.top1, found.top5) == (5, 2 / 5, 4 / 5)
    confusion = np.zeros((7, 7), int)
    confusion[[0, 0, 1, 2, 6], [0, 1, 1, 0, 0]] = 1
    np.testing.assert_array_equal(found.confusion, confusion)
    rows = found.per_class()
    assert rows[0] == pytest.approx({"images": 2, "precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5})
    assert rows[1] == pytest.approx({"images": 1, "precision": 1 / 2, "recall": 1, "f1": 2 / 3})
    assert rows[3] == {"images": 0, "precision": 0, "recall": 0, "f1": 0}
    p = np.exp(said) / np.exp(said).sum(axis=1, keepdims=True)
    assert found.loss == pytest.approx(-np.log((p * truth).sum(axis=1)).mean(), rel=1e-5)


def test_the_loss_counts_cost_as_training_does(tmp_path):
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(4, 7)).astype(np.float32), np.eye(7, dtype=np.float32)[[0, 3, 3, 6]]
    net = scores(tmp_path, "[cost]\n")
    _, tape = net.forward(x, train=True)
    assert evaluate(net, [(x, truth)]).loss == pytest.approx(net.backward(tape, truth)[0] / 4, rel=1e-6)
