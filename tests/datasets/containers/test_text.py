"""Streams through a text, and texts that cannot be read."""
from pathlib import Path

import numpy as np
import pytest

from runner.datasets.text import Streams, read_text, split_text
from runner.errors import DataError

TEXT = np.arange(50, dtype=np.uint8)


def test_streams_are_time_major_and_go_on() -> None:
    batches = Streams(TEXT, 3, 4, symbols=50, seed=1)
    x, truth = next(batches)
    assert x.shape == truth.shape == (12, 50) and x.dtype == np.float32 and (x.sum(axis=1) == 1).all()
    seen = x.argmax(axis=1).reshape(4, 3)
    assert (seen == (seen[0] + np.arange(4)[:, None]) % 50).all()
    assert (truth.argmax(axis=1) == (x.argmax(axis=1) + 1) % 50).all()
    later = next(batches)[0].argmax(axis=1).reshape(4, 3)
    assert (later[0] == (seen[-1] + 1) % 50).all()


def test_streams_start_where_a_run_stopped() -> None:
    for jump in (0.0, 0.5):
        whole = Streams(TEXT, 3, 4, symbols=50, seed=1, reposition=jump)
        for _ in range(3):
            next(whole)
        rest = Streams(TEXT, 3, 4, symbols=50, seed=1, reposition=jump, start_batch=3)
        for _ in range(3):
            assert np.array_equal(next(whole)[0], next(rest)[0])


def test_streams_jump_as_often_as_asked() -> None:
    batches = Streams(np.arange(200, dtype=np.uint8), 40, 2, seed=3, reposition=0.25)
    ends = next(batches)[0].argmax(axis=1)[-40:]
    assert batches.jumped.all()
    share = []
    for _ in range(50):
        x = next(batches)[0].argmax(axis=1)
        assert (x[:40][~batches.jumped] == (ends[~batches.jumped] + 1) % 200).all()
        ends = x[-40:]
        share.append(batches.jumped.mean())
    assert 0.2 < np.mean(share) < 0.3


def test_a_text_is_read_and_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such text file"):
        read_text(tmp_path / "none.txt")
    (tmp_path / "short.txt").write_text("x")
    with pytest.raises(DataError, match="at least two"):
        read_text(tmp_path / "short.txt")
    learn, tail = split_text(TEXT, 0.1)
    assert len(learn) == 45 and tail.tolist() == [45, 46, 47, 48, 49]
