"""Sizes are compared with the memory there is before anything is allocated."""
import resource
import time
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import cli, machine
from runner.analysis import footprint
from runner.errors import CfgError, OutOfMemory, RunnerError
from runner.layers.shared.base import MOST_VALUES
from runner.ops import memory
from tests.config.cases import NET, problems

GB = 1 << 30


def write(tmp_path: Path, layers: str, net: str = NET) -> Path:
    (tmp_path / "a.cfg").write_text(net + layers)
    return tmp_path / "a.cfg"


@pytest.fixture
def a_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one GB of free memory."""
    for module in ("runner.machine", "runner.model", "runner.analysis.footprint"):
        monkeypatch.setattr(f"{module}.available_memory", lambda: GB)


def test_weights_that_do_not_fit_are_not_allocated(tmp_path: Path, a_gigabyte: None) -> None:
    cfg = write(tmp_path, "[connected]\noutput=100000\n[connected]\noutput=5000\n")
    with pytest.raises(CfgError) as caught:
        runner.load(cfg)
    assert str(caught.value).endswith("[connected] layer 1: its weights (1.86 GB) do not fit into memory: "
                                      "950.4 MB are left")
    assert runner.check(cfg)[0] is not None      # the cfg is right


def test_an_array_beyond_all_memory_is_an_error_of_the_cfg(tmp_path: Path) -> None:
    assert problems(tmp_path, NET + "[connected]\noutput=2000000000\n[connected]\noutput=1000000\n")[0].endswith(
        f"layer 1: its weights, 1000000 x 2000000000, have more than {MOST_VALUES:,} values")
    assert "has more than" in problems(tmp_path, NET + "[upsample]\nstride=1000000\n")[0]
    assert "has more than" in problems(tmp_path, "[net]\nwidth=2000000\nheight=2000000\nchannels=3\n[avgpool]\n")[0]


HUGE = "[net]\nwidth=20000\nheight=20000\nchannels=3\nmax_batches=1\n[avgpool]\n[softmax]\n"


@pytest.mark.parametrize("verb", ["predict", "test", "train", "profile", "rates", "detect", "augment"])
def test_every_verb_compares_with_the_free_memory(toy_dir: Path, a_gigabyte: None, verb: str,
                                                  capsys: pytest.CaptureFixture) -> None:
    Path("a.cfg").write_text(HUGE)
    Path("a.weights").write_bytes(bytes([0] * 4 + [2] + [0] * 15))
    words = {"predict": ["data/toy/test/dark/0.png", "--weights", "a.weights"], "detect": ["data/toy/test/dark/0.png",
             "--weights", "a.weights"], "test": ["--data", "data/toy", "--weights", "a.weights"], "profile": [],
             "train": ["--data", "data/toy"], "rates": ["--data", "data/toy"],
             "augment": ["--data", "data/toy", "--save", "x.png"]}[verb]
    assert cli.main([verb, "a.cfg", *words]) == 2
    assert "of memory, and 1.00 GB are free" in capsys.readouterr().err


def test_a_layer_drawn_by_picture_is_compared_too(toy_dir: Path, a_gigabyte: None,
                                                  capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["picture", "upsample", "--set", "stride=5000", "data/toy/test/dark/0.png", "--save", "x.png"]) == 2
    assert "[upsample] on an image of this size takes " in capsys.readouterr().err


def test_a_batch_of_any_size_is_compared_in_time(tmp_path: Path) -> None:
    net, _ = runner.check(write(tmp_path, "[avgpool]\n[softmax]\n", NET + "batch=2147483646\n"))
    assert net is not None
    need = footprint.training(net, 1000).total
    with pytest.raises(RunnerError) as caught:
        footprint.check_fits(net, need)
    part = int(str(caught.value).rpartition("subdivisions=")[2])
    assert 2147483646 % part == 0 and 2147483646 // part <= 1000


def test_the_pool_compares_with_the_free_memory(a_gigabyte: None) -> None:
    pool = memory.Pool()
    pool.before_growing = lambda size: machine.require_memory(size, "an array")
    with pytest.raises(OutOfMemory, match=r"an array takes 2\.00 GB of memory, and 1\.00 GB are free"):
        pool.empty(2 * GB, np.uint8)
    machine.require_memory(GB, "an array")
    with pytest.raises(MemoryError):
        machine.require_memory(GB + 1, "an array")


@pytest.mark.parametrize("layers", [
    "[convolutional]\nfilters=200000000\n[connected]\noutput=2\n",
    "[convolutional]\nfilters=20000\nsize=7\npad=1\nbinary=1\n[convolutional]\nfilters=100\nsize=7\npad=1\n",
    "[convolutional]\nfilters=40000\nsize=7\npad=1\n[convolutional]\nfilters=40000\nsize=7\npad=1\ngroups=40000\n",
    "[convolutional]\nfilters=65536\nsize=1\n[convolutional]\nfilters=65536\nsize=3\npad=1\ngroups=8192\n",
    "[upsample]\nstride=5000\n[avgpool]\n[softmax]\n",
    "[convolutional]\nfilters=40000000\n[yolo]\nnum=1\nclasses=39999995\nanchors=1,1\n",
])
def test_a_summary_takes_no_memory_for_absurd_sizes(tmp_path: Path, layers: str, backend: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    net, _ = runner.check(write(tmp_path, layers))
    assert net is not None
    assert min(footprint.training(net).total, footprint.inference(net).total) > 1 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10     # KB


def test_many_layers_are_checked_and_summarised_in_time(tmp_path: Path) -> None:
    cfg, start = write(tmp_path, "[convolutional]\nfilters=4\nsize=3\npad=1\n" * 6000), time.process_time()
    net, _ = runner.check(cfg)
    assert net is not None and len(net.summary()) == 6000
    assert footprint.training(net).total > footprint.inference(net).total
    assert time.process_time() - start < 12        # about 1.5 s


def test_anchors_have_a_limit(tmp_path: Path) -> None:
    for head in ("yolo", "region", "Gaussian_yolo"):
        error, = problems(tmp_path, NET + f"[{head}]\nnum=2147483647\n")
        assert "num must be an integer, at least 1, at most 4096. Got '2147483647'" in error


def test_a_class_map_and_a_tree_of_any_content_are_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "a.map").write_text("0\n" + "9" * 5000)
    cfg = write(tmp_path, "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nnum=1\nclasses=1\nanchors=1,1\n"
                          "map=a.map\n")
    head: runner.layers.Yolo = runner.load(cfg).layers[1]      # type: ignore
    with pytest.raises(RunnerError, match=r"a\.map:2: a class map has one class on each line, 0 to 0 \(classes=1\)"):
        head.mapped(0)
    for name in ("x" * 5000, "a\0b"):
        assert "the tree file" in problems(tmp_path, NET + f"[connected]\noutput=2\n[softmax]\ntree={name}\n")[0] or \
            "\0" in name
