"""A Result for every image."""
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import runner
from runner.errors import DataError, ShapeError, UsageError
from runner.images import read_image
from runner.inference import batch_size
from tests import toy


@pytest.fixture
def net(tmp_path: Path) -> runner.Network:
    toy.make(tmp_path)
    return runner.load(tmp_path / "cfg" / "toy.cfg", seed=3)


@pytest.fixture
def paths(tmp_path: Path, net: runner.Network) -> list[Path]:
    return sorted((tmp_path / "data" / "toy" / "test").rglob("*.png"))


@pytest.mark.parametrize("batch", [1, 3, 10, None])
def test_results_do_not_depend_on_the_source_and_the_batch_size(net: runner.Network, paths: list[Path],
                                                                batch: int | None) -> None:
    one_by_one = [net.predict(runner.images.prepare(read_image(path, 1), 6, 6)[None])[0] for path in paths]
    from_paths = list(runner.infer(net, paths, names=["a", "b"], batch=batch))
    from_arrays = list(runner.infer(net, (read_image(path, 1) for path in paths), batch=batch))
    assert [r.image for r in from_paths] == [str(path) for path in paths]
    assert [r.image for r in from_arrays] == [str(i) for i in range(len(paths))]
    for single, one, other in zip(one_by_one, from_paths, from_arrays, strict=True):
        np.testing.assert_allclose(one.probabilities, single, rtol=1e-5)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert [p.name for p in one.predictions] == ["ab"[p.index] for p in other.predictions]
        assert one.predictions[0].probability == one.probabilities.max()


def test_an_unreadable_image_is_reported_in_its_place(net: runner.Network, paths: list[Path]) -> None:
    paths[2].write_bytes(b"")
    results = list(runner.infer(net, paths, top=1, batch=4))
    assert [bool(r.error) for r in results] == [i == 2 for i in range(10)]
    assert results[2].image == str(paths[2]) and results[2].predictions == () and "empty" in results[2].error
    assert all(len(r.predictions) == 1 for r in results if not r.error)
    with pytest.raises(DataError, match="empty"):
        list(runner.infer(net, paths, on_bad="error"))


def test_what_infer_refuses(net: runner.Network, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on_bad is 'skip' or 'error'"):
        runner.infer(net, [], on_bad="ignore")
    with pytest.raises(UsageError, match="no \\[dropout\\]"):
        runner.infer(net, [], samples=3)
    (tmp_path / "values.cfg").write_text("[net]\ninputs=5\n[connected]\noutput=7\n")
    with pytest.raises(ShapeError, match="takes 5 values, not images"):
        runner.infer(runner.load(tmp_path / "values.cfg"), [])
    result, = runner.infer(net, [np.zeros((2, 6, 7), np.float32)])
    assert result.error == "the image has 2 channels (an array of 2 x 6 x 7), and channels=1 needs an image with 1"
    assert list(runner.infer(net, [])) == []


def test_images_are_prefetched_for_two_batches(net: runner.Network, paths: list[Path]) -> None:
    taken: list[Path] = []

    def watched() -> Iterator[Path]:
        for path in paths * 10:
            taken.append(path)
            yield path
    results = runner.infer(net, watched(), batch=2)
    next(results)
    assert len(taken) == 4


def test_batches_shrink_for_large_outputs(tmp_path: Path) -> None:
    (tmp_path / "large.cfg").write_text("[net]\nwidth=608\nheight=608\nchannels=3\n[conv]\nfilters=64\nsize=3\npad=1\n")
    assert batch_size(runner.load(tmp_path / "large.cfg", allocate=False)) == (128 << 20) // (4 * 64 * 608 * 608) == 1
    (tmp_path / "small.cfg").write_text("[net]\ninputs=5\n[connected]\noutput=7\n")
    assert batch_size(runner.load(tmp_path / "small.cfg", allocate=False)) == 32
