"""tools/scaling.py: the model of data-parallel training, its table, and a short measurement."""
import argparse
import itertools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from runner.reading.json_text import parse_json
from tests.paths import ROOT
from tests.test_distributed import MPIEXEC
from tools import scaling, two_hosts
from tools.scaling import BUCKET, Network, Work

FAST = Network(0.0, 1e9)


def test_the_work_of_a_network() -> None:
    work = Work.of(ROOT / "cfg/mnist-connected.cfg")
    assert work.batch == work.rows == 128 and work.gradients == 4 * work.parameters
    assert work.flops == 3 * 128 * 2 * work.parameters, "each weight is used once"
    chars = Work.of(ROOT / "cfg/chars.cfg")
    assert chars.rows > chars.batch, "the time steps of a sequence are rows"
    assert Work.of(ROOT / "cfg/net.cfg", batch=7).batch == 7


def test_communication() -> None:
    assert scaling.communication(8e6, 1, FAST) == 0
    assert scaling.communication(8e6, 2, FAST) == pytest.approx(8e-3)           # 2 * 1 / 2 of the bytes
    assert scaling.communication(8e6, 1000, FAST) == pytest.approx(16e-3, rel=2e-3)
    slow = Network(1e-3, 1e9)
    assert scaling.communication(8e6, 3, slow) - scaling.communication(8e6, 3, FAST) == pytest.approx(2 * 2 * 2e-3)


def test_what_an_update_takes() -> None:
    hidden = scaling.update_time(1.0, 8 * BUCKET, 2, FAST)      # 34 ms, all but a bucket behind the backward pass
    assert hidden == pytest.approx(.5 + scaling.communication(BUCKET, 2, FAST))
    exposed = scaling.update_time(.03, 8 * BUCKET, 2, FAST)
    assert exposed == pytest.approx(.015 + scaling.communication(8 * BUCKET, 2, FAST) - .01)
    assert scaling.update_time(1.0, 1e9, 1, FAST) == 1.0 and scaling.efficiency(1.0, 0, 8, FAST) == 1
    values = [scaling.efficiency(1.0, 1e8, n, FAST) for n in (1, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True) and values[0] == 1


@pytest.mark.parametrize("compute, size, latency, rate",
                         [*itertools.product((.01, 1.0), (1e5, 1e8), (0, 1e-4), (1e8, 1e9))])
def test_where_communication_takes_over(compute: float, size: float, latency: float, rate: float) -> None:
    network = Network(latency, rate)
    found = scaling.takes_over(compute, size, network)
    longer = [scaling.communication(size, n, network) > compute / n for n in (found - 1, found)]
    assert longer == [False, True]
    needed = scaling.needed_rate(compute, size, 4, latency)
    for factor, over in ((.99, True), (1.01, False)):
        if needed < 1e15:
            assert (scaling.communication(size, 4, Network(latency, factor * needed)) > compute / 4) == over


def test_quantities() -> None:
    assert scaling.rate_of("100mbit") == 12.5e6 and scaling.rate_of("2.5gbit") == 312.5e6
    assert scaling.latency_of("20us") == pytest.approx(2e-5) and scaling.latency_of("1ms") == 1e-3
    for text in ("fast", "5", "-1mbit", "xmbit"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be a rate such as 100mbit"):
            scaling.rate_of(text)


def test_the_network_is_the_one_that_explains_the_times() -> None:
    network = Network(1e-4, 5e8)
    times = {size: scaling.communication(size, 2, network, bucket=1 << 30) for size in (4, 1 << 22)}
    found = scaling.measured_network(times, 2)
    assert found.latency == pytest.approx(1e-4, rel=1e-3) and found.rate == pytest.approx(5e8, rel=1e-3)


def test_the_page_has_the_table() -> None:
    rows = scaling.table(scaling.shipped(), scaling.FLOPS, 2e-5, scaling.RATES)
    assert scaling.markdown(rows) in (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    assert {row[0] for row in rows[1:]} >= {"net", "scenes", "chars", "yolov4", "resnet50"}


def test_training_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert scaling.main(["measure", str(ROOT / "cfg/net.cfg"), "--ranks", "1", "--cores", "1", "--updates", "4",
                         "--backend", "numpy"]) == 0
    head, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[:2] == ["network", "ranks"] and row[:3] == ["net", "1", "1"]
    assert row[4] in ("ms", "s") and float(row[3]) > 0


@pytest.mark.slow       # three trainings
@pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None, reason="needs mpi4py and mpiexec")
def test_training_with_two_ranks_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["measure", str(ROOT / "cfg/net.cfg"), "--cores", "2", "--updates", "4", "--backend", "numpy"]
    assert scaling.main(words) == 0
    exchange, _, *rows = capsys.readouterr().out.splitlines()
    assert exchange.startswith("all-reduce of 2 ranks: latency ")
    assert [row.split()[1:3] for row in rows] == [["1", "2"], ["1", "1"], ["2", "1"]]


@pytest.mark.skipif(MPIEXEC is None or find_spec("mpi4py") is None, reason="needs mpi4py and mpiexec")
def test_all_reduces_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SIZES", (4, 4096))
    times = scaling.all_reduce_times(2, scaling.Launch())
    assert list(times) == [4, 4096] and all(0 < seconds < 10 for seconds in times.values())


def test_a_launch_that_fails_says_what_was_printed() -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        scaling.Launch().run(1, sys.executable, "-c", "import sys; sys.exit('no such thing')")


def test_the_ends_of_a_cable() -> None:
    assert two_hosts.shape(two_hosts.Link("1gbit"))[:3] == ["tbf", "rate", "1gbit"]
    assert two_hosts.shape(two_hosts.Link("1gbit", "2ms")) == ["netem", "rate", "1gbit", "delay", "2ms"]


@pytest.mark.slow       # waits for the devices
def test_two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank is on a host of its own, and nothing is left of them."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if why := two_hosts.obstacle():
        pytest.skip(why)
    code = "import socket, json, os; print(json.dumps([os.environ['PMI_RANK'], os.stat('/proc/self/ns/net').st_ino]))"
    with two_hosts.two_hosts(two_hosts.Link("100mbit")) as hosts:
        out = scaling.Launch(*hosts).run(2, sys.executable, "-c", code)
        there = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    ranks = [parse_json(line, "rank") for line in out.splitlines()]
    assert {rank for rank, _ in ranks} == {"0", "1"} and len({place for _, place in ranks}) == 2
    assert f"cfgrunner{os.getpid()}-1" in there
    after = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"cfgrunner{os.getpid()}-" not in after
