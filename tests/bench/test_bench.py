"""All installed peers of `python -m bench` compute the same outputs and losses, checked at small sizes."""
import importlib

import numpy as np
import pytest

from bench import report
from bench.measure import Row
from bench.networks import CASES
from bench.peer import NotInstalled, Prepared, Unsupported, difference
from bench.worker import PEERS, prepare
from tests.paths import ROOT

SMALL = {"cifar": ("net.width=12", "net.height=12"), "darknet19": ("net.width=64", "net.height=64"),
         "resnet18": ("net.width=64", "net.height=64"), "yolov3-tiny": ("net.width=64", "net.height=64"),
         "yolov4-tiny": ("net.width=64", "net.height=64"), "yolo-fastest": ("net.width=128", "net.height=128"),
         "lstm": ("lstm.output=16", "net.time_steps=4")}
# a learning rate at which one step changes the loss noticeably, so that a wrong gradient is found
RATES = {"net": .02, "cifar": .003, "darknet19": .003, "resnet18": .02, "yolov3-tiny": .003, "yolov4-tiny": .003,
         "yolo-fastest": .01, "lstm": 30}
# what a peer cannot run
UNSUPPORTED = {("opencv", "lstm"), ("opencv", "resnet18")}


def prepared(peer: str, case: str, task: str, *settings: str) -> Prepared:
    try:
        return prepare(peer, case, task, 2, (*SMALL.get(case, ()), *settings))
    except NotInstalled as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("peer", ["pytorch", "onnxruntime", "opencv"])
def test_peers_compute_the_same(peer: str, case: str) -> None:
    try:
        theirs = prepared(peer, case, "infer8")
        outputs = theirs.outputs()
    except Unsupported as why:
        assert (peer, case) in UNSUPPORTED, why
        return
    assert (peer, case) not in UNSUPPORTED, "it runs now: remove it from UNSUPPORTED"
    assert difference(outputs, theirs.what, prepared("numpy", case, "infer8").outputs(), False) == ""


@pytest.mark.parametrize("case", CASES)
def test_pytorch_trains_the_same(case: str) -> None:
    """Two steps: the second loss is that of updated weights."""
    rate = f"net.learning_rate={RATES[case]}"
    theirs = prepared("pytorch", case, "train8", rate)
    first, second = (ours := prepared("numpy", case, "train8", rate).outputs())[0]
    assert abs(second / first - 1) > 0.05
    assert difference(theirs.outputs(), theirs.what, ours, True) == ""


def test_differences_are_reported() -> None:
    reference = [np.ones((2, 3)), np.ones((2, 3)), np.full((2, 4), 5.0), np.full((2, 4), 5.0)]
    assert difference(reference[:2], "heads", reference, False) == ""
    assert difference(reference[2:], "head inputs", reference, False) == ""
    assert difference(reference[1:2], "last head", reference, False) == ""
    assert "1 outputs instead of 2" in difference(reference[:1], "heads", reference, False)
    assert "shape" in difference([np.ones(2)], "last head", reference, False)
    assert "differ by 0.002" in difference([np.full((2, 3), 1.002)], "last head", reference, False)
    assert "differ by nan" in difference([np.full((2, 3), np.nan)], "last head", reference, False)


def test_the_report() -> None:
    rows = [Row("a", "infer1", "numpy", [.002, .001, .003], 2 << 20), Row("a", "infer1", "pytorch", [.004], 4 << 20),
            Row("b", "infer1", "numpy", [.001], 2 << 20), Row("b", "infer1", "pytorch", [.008], 4 << 20),
            Row("b", "infer1", "opencv", why="no")]
    tables = report.Tables(rows)
    assert tables.times("infer1") == [["", "numpy", "pytorch"], ["a", "2.00", "4.00"], ["b", "1.00", "8.00"]]
    assert tables.speed("numpy") == [["", "pytorch"], ["infer1", "4.00"], ["all inference", "4.00"]]
    assert tables.each("infer1", "numpy")[1:] == [["a", "2.00"], ["b", "8.00"]]
    assert tables.memory("infer1")[1] == ["a", "2", "4"]
    assert tables.skipped() == ["opencv: no (b infer1)"]
    for page in (report.text, report.markdown):
        assert "4.00" in page(rows, ["here"]) and "skipped" in page(rows, ["here"]).lower()


def test_every_peer_is_a_module_and_every_network_a_cfg() -> None:
    root = ROOT
    for module, _ in PEERS.values():
        assert (root / module.replace(".", "/")).with_suffix(".py").is_file()
    assert all((root / case.cfg).is_file() for case in CASES.values())
    assert importlib.import_module("bench.in_ours")
