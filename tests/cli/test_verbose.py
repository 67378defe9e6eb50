"""--verbose: what is chosen and why, on stderr; --debug and --verbose before or behind the verb."""
import json
import re
from pathlib import Path

import pytest

from runner import cli
from runner.cli import console
from tests.verbs import CFG, main, train

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("toy_dir")


def details(text: str) -> list[str]:
    """The lines of `detail`, without their times."""
    return [match[1] for line in text.splitlines() if (match := re.fullmatch(r" *\d+\.\d\d s  (.*)", line))]


def test_training(capsys: Capture) -> None:
    train("-v", "--backend", "numpy", "--threads", "1", "--set", "net.max_batches=2", "--no-report")
    lines = details(capsys.readouterr().err)
    for line in ("cfg: cfg/toy.cfg; run folder: weights/toy (a new run)", "settings: net.max_batches=2",
                 "weights: random, --seed 0", "backend: numpy (--backend); threads: 1 (--threads)",
                 "data: data/toy (named like the cfg): 12 images to train, 10 to test, 2 classes",
                 "training: 2 updates, batch 4 in 1, 3.0 updates an epoch, learning rate 0.1; score: test accuracy",
                 "done, exit status 0"):
        assert line in lines, (line, lines)
    assert sum(line.startswith("memory, estimated ") for line in lines) == 2
    train("--verbose", "--weights", "weights/toy/last.weights", "--clear", "--no-report", "--data", "data/toy")
    lines = details(capsys.readouterr().err)
    assert "weights: weights/toy/last.weights (--weights) replace the random ones" in lines
    assert any(line.startswith("data: data/toy (--data") for line in lines)


def test_a_trained_network(capsys: Capture) -> None:
    train("--set", "net.max_batches=2", "--no-report")
    Path("cfg/toy.names").write_text("day\nnight\n")
    capsys.readouterr()
    main("-v", "predict", "toy", "data/toy/test/dark", "--json", "-")
    output = capsys.readouterr()
    assert len(json.loads(output.out)) == 5
    lines = details(output.err)
    assert {"images: 5, of 1 argument", "cfg: weights/toy/toy.cfg, of the run weights/toy",
            "weights: weights/toy/best.weights (of the run weights/toy)", "weights: read, 8 images seen",
            "class names: those of weights/toy"} <= set(lines)
    main("predict", CFG, "data/toy/test/dark", "--names", "cfg/toy.names", "-v",
         "--weights", "weights/toy/best.weights")
    lines = details(capsys.readouterr().err)
    assert "class names: cfg/toy.names (--names)" in lines and "weights: weights/toy/best.weights (--weights)" in lines
    Path("weights/toy/best.weights").rename("cfg/else.weights")
    Path("weights/toy").rename("weights/else")
    main("predict", CFG, "data/toy/test/dark", "--weights", "cfg/else.weights", "-v")
    assert "class names: cfg/toy.names, the only file in its folder with 2 lines" in details(capsys.readouterr().err)


def test_only_when_it_is_asked_for(capsys: Capture) -> None:
    main("-v", "check", CFG)
    assert console.verbose() and details(capsys.readouterr().err) == ["done, exit status 0"]
    main("check", CFG)
    assert not console.verbose() and capsys.readouterr().err == ""
    main("check", "--", "-v", expect=2)         # behind --, it is a file
    assert capsys.readouterr().err == "run.py: -v: no such file\n"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_help_names_both(verb: str, capsys: Capture) -> None:
    main(verb, "--help")
    text = capsys.readouterr().out
    assert "-v, --verbose" in text and "--debug" in text
