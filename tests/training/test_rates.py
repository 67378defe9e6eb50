"""The learning-rate finder, and the verb `rates`."""
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.errors import Diverged
from runner.training import TaskOptions, open_task
from runner.training import rates as rates_module
from runner.training.rates import RatePoint, suggest, sweep
from tests.verbs import main

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_a_sweep_rises_exponentially() -> None:
    net = runner.load("cfg/toy.cfg")
    points = list(sweep(open_task(net, TaskOptions("cfg/toy.cfg")), 1e-3, 1e3, 61))
    ratios = [b.rate / a.rate for a, b in pairwise(points)]
    assert points[0].rate == pytest.approx(1e-3) and np.allclose(ratios, 10 ** .1)
    assert points[0].smooth == pytest.approx(points[0].loss)
    best = suggest(points)
    assert best is not None and .1 < best < 10 and points[-1].smooth < points[0].smooth


def test_the_suggestion_is_where_the_loss_falls_fastest() -> None:
    logs = np.linspace(-4, 1, 101)
    losses = 2 - 1 / (1 + np.exp(-4 * (logs + 2))) + np.where(logs > 0, logs * 9, 0)
    points = [RatePoint(10 ** x, y, y) for x, y in zip(logs, losses, strict=True)]
    assert suggest(points) == pytest.approx(1e-2, rel=.2)
    assert suggest(points[:5]) is None
    assert suggest([RatePoint(10 ** x, x + 9, x + 9) for x in logs]) is None


def test_rates(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main("rates", "cfg/toy.cfg", "--from", "1e-3", "--to", "100", "--json", "r.json", "--quiet")
    out, found = capsys.readouterr().out, json.loads(Path("r.json").read_text())
    assert out.splitlines()[-1] == ("python run.py train cfg/toy.cfg --set net.learning_rate="
                                    f"{found['suggested']:.2g}")
    assert not Path("weights").exists()
    main("rates", "cfg/toy.cfg", "--from", "2", "--to", "1", expect=2)
    main("rates", "cfg/toy.cfg", "--save", "x.doc", expect=2)
    pytest.importorskip("matplotlib")
    main("rates", "cfg/toy.cfg", "--quiet", "--save", "r.png")
    with Image.open("r.png") as image:
        assert image.size[0] > 700

    def diverged(net, batches):
        yield from ()
        raise Diverged("NaN")
    monkeypatch.setattr(rates_module, "train", diverged)
    capsys.readouterr()
    main("rates", "cfg/toy.cfg", "--quiet", expect=1)
    assert "the loss never falls clearly" in capsys.readouterr().out


def test_a_loss_of_0_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    """A softmax of one class is never wrong."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        (tmp_path / "d" / split / "a").mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "d" / split / "a" / "1.png")
    Path("a.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=1\nmax_batches=1\n[connected]\noutput=1\n"
                             "activation=linear\n[softmax]\n")
    main("rates", "a.cfg", "--data", "d", "--quiet", "--updates", "20", expect=1)
    assert "the loss never falls clearly" in capsys.readouterr().out
    main("train", "a.cfg", "--data", "d", "--quiet", "--no-report")
    assert capsys.readouterr().out.startswith("1 update, 1 image, ")
