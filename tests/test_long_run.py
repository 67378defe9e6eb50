"""tools/long_run.py: a short run, and what it calls growth."""
from pathlib import Path

import pytest

from tools import long_run
from tools.long_run import Usage

FLAT = [Usage(50 + i % 2, 5 + i % 3, 4) for i in range(20)]


def test_flat_rows() -> None:
    assert long_run.growth(FLAT, 8) == []
    assert long_run.growth([Usage(20, 3, 1), *FLAT], 8) == [], "the first quarter is the warm-up"


@pytest.mark.parametrize("change, words", [
    (lambda i: (i, 0, 0), "memory grew from 54 MB to 70 MB"), (lambda i: (0, i, 0), "open files grew from 10 to 25"),
    (lambda i: (0, 0, i // 10), "threads grew from 4 to 5")])
def test_growth_is_found(change, words: str) -> None:
    rows = [Usage(*(value + more for value, more in zip(row, change(i), strict=True))) for i, row in enumerate(FLAT)]
    assert long_run.growth(rows, 8) == [words]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("work", long_run.WORK)
def test_a_short_run_is_flat(work: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert long_run.main([work, "--updates", "60", "--images", "200", "--backends", "numpy"]) == 0
    out = capfd.readouterr().out
    assert f"{work}, numpy" in out and out.endswith("flat\n")
    assert sum(line.split()[:1] == ["200" if work in ("predict", "detect") else "60"] for line in out.splitlines()) == 1
