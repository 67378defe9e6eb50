"""The cfgs of classic networks: they load without a word, and are the networks they say they are.

Parameters are those of the published .weights files where there are any: (bytes - header) / 4.
"""
import re
from pathlib import Path

import numpy as np
import pytest

import runner
from tests.e2e.test_corpus import CORPUS, table
from tests.paths import ROOT

CFGS = sorted((ROOT / "cfg").glob("*.cfg"))
# name: parameters, BFLOPs as darknet's table adds them up (0: it counts none for these layers)
CLASSICS = {
    "cifar": (7_687_050, 1.625),
    "tiny": (1_046_488, 0.985),
    "darknet19": (20_856_776, 5.585),
    "darknet53": (41_645_640, 18.576),
    "resnet18": (11_523_496, 4.690),
    "resnet50": (22_825_896, 9.749),
    "vgg16": (138_357_544, 30.699),         # 138 M in the paper
    "extraction": (23_455_400, 8.521),
    "yolov1": (197_328_243, 40.155),        # yolov1.weights: 789,312,988 bytes
    "yolov1-tiny": (27_099_950, 3.185),
    "yolov2": (50_983_561, 62.961),         # yolov2.weights: 203,934,260 bytes
    "yolov2-tiny": (11_237_145, 5.412),     # yolov2-tiny.weights: 44,948,600 bytes
    "yolov3": (62_001_757, 65.879),         # yolov3.weights: 248,007,048 bytes
    "yolov3-tiny": (8_858_734, 5.571),      # yolov3-tiny.weights: 35,434,956 bytes
    "yolov4": (64_429_405, 128.459),        # yolov4.weights: 257,717,640 bytes
    "yolov4-tiny": (6_062_814, 6.910),      # yolov4-tiny.weights: 24,251,276 bytes
    "yolo-fastest": (346_062, 0.252),       # yolo-fastest-1.1.weights: 1,384,268 bytes
    "rnn": (8_950_016, 0), "gru": (16_851_200, 0), "lstm": (22_380_800, 0),
}
# described in docs/results.md and docs/detection.md
OURS = {"net", "chars", "mnist", "mnist-connected", "cifar10", "scenes", "bccd"}
# the same network in the corpus, whose table a real darknet printed
PRINTED = {
    "cifar": "pjreddie__cifar.alexey", "tiny": "pjreddie__tiny.alexey", "resnet50": "pjreddie__resnet50.pjreddie",
    "extraction": "AlexeyAB__extraction.alexey", "yolov1-tiny": "pjreddie__yolov1-tiny.alexey",
    "yolov2": "pjreddie__yolov2.alexey", "yolov3": "pjreddie__yolov3.alexey",
    "yolov3-tiny": "pjreddie__yolov3-tiny.alexey", "yolov4": "AlexeyAB__yolov4-custom.alexey",
    "yolov4-tiny": "sowson__yolov4-tiny.alexey",
}


@pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)
def test_it_loads_without_a_word_and_says_what_it_is(path: Path) -> None:
    net, report = runner.check(path, strict=True)
    assert net is not None and not report.errors and not report.warnings
    assert path.read_text().startswith("# ") and path.stem in {*CLASSICS, *OURS}


@pytest.mark.parametrize("name", CLASSICS)
def test_totals(name: str) -> None:
    net, _ = runner.check(ROOT / "cfg" / f"{name}.cfg")
    assert net is not None
    parameters, bflops = CLASSICS[name]
    assert net.param_count == parameters
    assert abs(sum(row.bflops for row in net.summary()) - bflops) < 0.001


@pytest.mark.skipif(not CORPUS.exists(), reason="needs darknet's tables in ../shared")
@pytest.mark.parametrize("name", PRINTED)
def test_e2e_layer_by_layer(name: str) -> None:
    """Shapes and BFLOPs of every layer, at the input size of darknet's table."""
    text = (CORPUS / "layer-tables" / f"{PRINTED[name]}.txt").read_text(errors="replace")
    first = re.search(r" 0 conv .*?(\d+) x *(\d+) x *3 +->", text)
    assert first
    width, height = first.groups()
    net, _ = runner.check(ROOT / "cfg" / f"{name}.cfg", settings=[f"net.width={width}", f"net.height={height}"])
    assert net is not None
    printed = table(CORPUS / "layer-tables" / f"{PRINTED[name]}.txt")
    # darknet prints no line for some last layers, and some tables end with a [cost] that ours does without
    assert len(net.layers) - max(printed) in (0, 1, 2)
    for index, (size, bflops) in printed.items():
        if index == len(net.layers):
            continue
        layer = net.layers[index]
        if size is not None and len(layer.out_shape) == 3:
            assert layer.out_shape[::-1] == size, f"layer {index} [{layer.names[0]}]"
        if bflops is not None:
            assert abs(layer.flops() / 1e9 - bflops) <= 0.0006, f"layer {index} [{layer.names[0]}]"


def test_a_classic_network_trains(tmp_path: Path) -> None:
    """cifar.cfg, made small, learns to distinguish two colours."""
    settings = ["net.batch=4", "net.width=12", "net.height=12", "net.max_batches=30", "net.learning_rate=0.05",
                "dropout.probability=0", *(f"{i}.filters=8" for i in (0, 1, 2, 5, 6, 7, 10, 11, 12)), "14.filters=2"]
    net = runner.load(ROOT / "cfg" / "cifar.cfg", settings=settings)
    x = np.zeros((4, 3, 12, 12), "f4")
    x[:2, 0], x[2:, 2] = 1, 1
    truth = np.eye(2, dtype="f4")[[0, 0, 1, 1]]
    losses = [step.loss for step in runner.train(net, [(x, truth)] * 30)]
    assert losses[-1] < losses[0] / 2 and (net.predict(x).argmax(1) == truth.argmax(1)).all()
