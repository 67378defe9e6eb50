"""`train` from given weights: frozen layers, the first layers only, and layers of another cfg."""
import shutil
from pathlib import Path

import numpy as np
import pytest

import runner
from tests.verbs import LAST, layer_weights, main, train

pytestmark = pytest.mark.usefixtures("toy_dir")


@pytest.mark.parametrize(("words", "moved"), [
    (("--freeze", "1"), [False, True]),
    (("--set", "0.stopbackward=1"), [False, True]),
    (("--set", "1.onlyforward=1"), [False, False]),
    (("--set", "0.stopbackward=3"), [True, True]),
    (("--set", "0.learning_rate=0"), [False, True]),
    ((), [True, True])])
def test_frozen_layers_keep_their_weights(words, moved):
    train(*words)
    start = runner.load("cfg/toy.cfg")
    assert [not np.array_equal(now, start.layers[i].params["weights"])
            for i, now in enumerate(layer_weights(LAST))] == moved


def test_partial_loads_the_layers_that_match(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    old = layer_weights(LAST)
    text = Path("cfg/toy.cfg").read_text()
    more = "[dropout]\nprobability=.1\n[connected]\noutput=3\nactivation=linear\n[connected]\noutput=2"
    Path("cfg/new.cfg").write_text(text.replace("[connected]\noutput=2", more)
                                   .replace("max_batches=30", "max_batches=1\ndata=data/toy")
                                   .replace("learning_rate=0.1", "learning_rate=0"))
    capsys.readouterr()
    main("train", "cfg/new.cfg", "--weights", str(LAST), "--partial")
    assert f"{LAST}: 1 layer loaded; initialized: 2 [connected], 3 [connected]" in capsys.readouterr().err
    net, fresh = runner.load("cfg/new.cfg", "weights/new/last.weights"), runner.load("cfg/new.cfg")
    np.testing.assert_array_equal(net.layers[0].params["weights"], old[0])
    np.testing.assert_array_equal(net.layers[3].params["weights"], fresh.layers[3].params["weights"])
    Path("lone.weights").write_bytes(LAST.read_bytes())
    lone = ("train", "cfg/new.cfg", "--weights", "lone.weights", "--partial")
    main(*lone, expect=2)
    assert ("a .weights file does not describe its layers, and there is no cfg of a run in the folder of lone.weights"
            in capsys.readouterr().err)
    main(*lone, "cfg/toy.cfg")


def test_cutoff_keeps_the_first_layers_only() -> None:
    train()
    shutil.copy(LAST, "start.weights")
    train("--weights", "start.weights", "--cutoff", "1", "--set", "net.max_batches=1", "--set",
          "net.learning_rate=0", "--seed", "9")
    old, new = runner.load("cfg/toy.cfg", "start.weights"), runner.load("cfg/toy.cfg", LAST)
    fresh = runner.load("cfg/toy.cfg", seed=9)
    np.testing.assert_array_equal(new.layers[0].params["weights"], old.layers[0].params["weights"])
    np.testing.assert_array_equal(new.layers[1].params["weights"], fresh.layers[1].params["weights"])
