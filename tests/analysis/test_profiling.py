"""The time of every layer: runner.analysis.profiling and the verb `profile`."""
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.analysis.profiling import LayerTime, Roof, example, measure_roof, profile
from runner.cli import main
from runner.errors import UsageError


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text("[net]\nwidth=8\nheight=8\nchannels=3\nbatch=4\n[convolutional]\nfilters=6\nsize=3\npad=1\n"
                    "[avgpool]\n[connected]\noutput=5\nactivation=linear\n[softmax]\n")
    return path


def slow(monkeypatch: pytest.MonkeyPatch, layer: type[runner.layers.Layer], name: str, seconds: float) -> None:
    """Make a method of a layer class take longer."""
    before = getattr(layer, name)

    def slower(self: runner.layers.Layer, *args: Any, **named: Any) -> Any:
        time.sleep(seconds)
        return before(self, *args, **named)
    monkeypatch.setattr(layer, name, slower)


def test_a_slow_layer_is_found(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.write_text(cfg.read_text().replace("[avgpool]", "[l2norm]"))    # a plan calls its forward
    net = runner.load(cfg)
    at = next(i for i, layer in enumerate(net.layers) if layer.names[0] == "l2norm")
    slow(monkeypatch, runner.layers.L2norm, "forward", .02)
    found = profile(net, 2, runs=3)
    assert found.layers[at].seconds >= .02
    assert max(layer.seconds for i, layer in enumerate(found.layers) if i != at) < .02
    assert .02 <= found.total and found.runs == 3 and found.rows == 2 and found.update == 0
    assert all(layer.backward == 0 for layer in found.layers)


def test_a_slow_backward_is_found_in_training(cfg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = runner.load(cfg)
    at = next(i for i, layer in enumerate(net.layers) if layer.names[0] == "avgpool")
    slow(monkeypatch, runner.layers.Avgpool, "backward", .02)
    found = profile(net, 4, train=True, runs=3)
    assert found.layers[at].backward >= .02 > found.layers[at].forward > 0
    assert found.layers[net.heads[0]].backward > 0, "the loss of a head counts"
    assert 0 < found.update < found.total
    parts = sum(layer.seconds for layer in found.layers) + found.update + found.rest
    assert parts == pytest.approx(found.total, rel=.5)


def test_the_weights_are_not_changed(cfg: Path) -> None:
    net = runner.load(cfg)
    before = [array.copy() for layer in net.layers for array in layer.params.values()]
    profile(net, 2, train=True, runs=1)
    after = [array for layer in net.layers for array in layer.params.values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_text("[net]\nwidth=8\nheight=6\nchannels=3\n[convolutional]\nfilters=4\nsize=3\npad=1\n"
                    "[maxpool]\nsize=2\nstride=2\n[connected]\noutput=5\n[softmax]\n")
    found = profile(runner.load(path), 2, runs=1).layers
    assert [layer.flops for layer in found] == [2 * 2 * 4 * 3 * 9 * 8 * 6, 0, 2 * 2 * 5 * 4 * 4 * 3, 0]
    assert found[0].traffic == 4 * (2 * (3 * 48 + 4 * 48) + 4 * 27)
    assert found[1].traffic == 4 * 2 * (4 * 48 + 4 * 12)
    trained = profile(runner.load(path), 2, runs=1, train=True).layers
    assert trained[0].flops == 2 * found[0].flops, "the gradient of the network's input is not needed"
    assert trained[2].flops == 3 * found[2].flops
    assert trained[0].traffic == 4 * (2 * 2 * (3 * 48 + 4 * 48) + 3 * 4 * 27)


def test_every_time_step_of_a_sequence_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_text("[net]\ninputs=5\ntime_steps=3\nbatch=2\n[lstm]\noutput=4\n[connected]\noutput=5\n[softmax]\n")
    found = profile(runner.load(path), 2, runs=1)
    assert found.rows == 6 and found.layers[0].flops == 2 * 6 * 4 * (4 * 5 + 4 * 4)
    assert profile(runner.load(path), 2, runs=1, train=True).update > 0


def test_the_lower_roof_is_the_limit() -> None:
    roof = Roof(flops=100.0, bandwidth=10.0)
    products = LayerTime(0, "convolutional", (1,), 2.0, 0.0, flops=100.0, traffic=1.0)
    memory = LayerTime(1, "maxpool", (1,), 1.0, 1.0, flops=0.0, traffic=5.0)
    assert products.of_roof(roof) == .5 and not products.bound_by_memory(roof)
    assert memory.of_roof(roof) == .25 and memory.bound_by_memory(roof)
    assert LayerTime(2, "dropout", (1,), 0.0, 0.0, 0.0, 5.0).of_roof(roof) == 0


def test_roofs_are_measured() -> None:
    roof = measure_roof()
    assert 1e9 < roof.flops < 1e14 and 1e8 < roof.bandwidth < 1e13


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=4\n")
    assert profile(runner.load(path), 1, runs=1).total > 0
    with pytest.raises(UsageError, match="cannot be trained"):
        profile(runner.load(path), 1, runs=1, train=True)
    with pytest.raises(UsageError, match="cannot be trained"):
        example(runner.load(path), 1, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov2-tiny", "yolov1-tiny"])
def test_detectors_get_boxes(name: str) -> None:
    net = runner.load(f"cfg/{name}.cfg", allocate=False)
    x, truth = example(net, 2, np.random.default_rng(0))
    assert x.shape == (2, *net.in_shape) and truth.shape == (2, 3, 5)
    assert truth[..., 2:4].min() > 0 and truth[..., 4].max() < net.layers[net.last].options.classes


def test_the_verb(cfg: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["profile", str(cfg), "--runs", "2", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "inference of 1 image, median of 2 runs" in out and "threads: 1" in out and "roofs measured" in out
    assert "convolutional" in out and "outside the layers" in out and "\ntotal " in out and "forward" not in out

    target = tmp_path / "a.json"
    assert main(["profile", str(cfg), "--runs", "2", "--train", "--batch", "3", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert "a training step on 3 images" in out and "backward" in out and "\n   update" in out
    facts = json.loads(target.read_text())
    assert facts["batch"] == 3 and facts["train"] and facts["total_seconds"] > 0
    assert facts["layers"][0]["backward"] > 0 and facts["layers"][0]["seconds"] > facts["layers"][0]["forward"]


def test_json_on_stdout_is_all_that_is_printed(cfg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(cfg), "--runs", "1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 1
