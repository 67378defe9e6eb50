"""How a run is controlled: averaged weights, clipping, early ends, copies, transfer, numbers that are none."""
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import runner
from runner import cli
from runner.cli import common
from runner.errors import Diverged
from runner.optim.average import Average
from runner.optim.optimizers import make_optimizer
from runner.training import RunFolder
from runner.training import run as run_module
from runner.training.log import curves
from tests import toy

HERE = Path("weights/toy")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)


def train(*words, expect=0):
    assert cli.main(["train", "cfg/toy.cfg", "--quiet", *words]) == expect


def facts(name="toy"):
    return yaml.safe_load(Path("weights", name, "run.yaml").read_text())


def arrays(path, *settings):
    net = runner.load("cfg/toy.cfg", path, settings=settings)
    return [net.layers[i].params["weights"] for i in (0, 1)]


def one_batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((4, 1, 6, 6), np.float32), np.eye(2, dtype="f4")[[0, 1, 0, 1]]


# --- what an update does -----------------------------------------------------------------------------------------

def test_the_average_is_that_of_the_weights_from_the_middle_on():
    net = runner.load("cfg/toy.cfg", settings=["net.ema_alpha=.75", "net.max_batches=8"])
    average, seen = Average(net), []
    for step in runner.train(net, [one_batch(i) for i in range(8)]):
        average.update()
        seen.append(net.layers[1].params["weights"].copy())
        assert bool(average.arrays) == (step.number >= 4)
    want = seen[3]
    for w in seen[4:]:
        want = .75 * want + .25 * w
    np.testing.assert_allclose(average.arrays[1, "weights"], want, rtol=1e-5)
    with average.shown():
        np.testing.assert_allclose(net.layers[1].params["weights"], want, rtol=1e-5)
    np.testing.assert_array_equal(net.layers[1].params["weights"], seen[-1])


def test_the_average_is_what_is_measured_and_saved(monkeypatch):
    train()
    plain = arrays(HERE / "last.weights")
    measured = []
    real = run_module.Run.evaluate

    def evaluate(self):
        found = real(self)
        measured.append(found.loss)
        return found
    monkeypatch.setattr(run_module.Run, "evaluate", evaluate)
    train("--set", "net.ema_alpha=.9")
    averaged = arrays(HERE / "last.weights")
    assert np.abs(plain[1] - averaged[1]).max() > 1e-4
    assert cli.main(["test", "cfg/toy.cfg", "--weights", str(HERE / "last.weights"), "--json", "t.json"]) == 0
    assert json.loads(Path("t.json").read_text())["loss"] == pytest.approx(measured[-1], rel=1e-6)


def test_a_long_gradient_is_shortened():
    steps = []
    for limit in (0, 1e9, .01):
        net = runner.load("cfg/toy.cfg", settings=[f"net.max_grad_norm={limit}", "net.learning_rate=1"])
        before = [{name: w.copy() for name, w in layer.params.items()} for layer in net.layers]
        x, truth = one_batch()
        net.backward(net.forward(x, train=True)[1], truth)
        optimizer = make_optimizer(net)
        norm = optimizer.grad_norm() / 4
        optimizer.step(1.0, 4)
        moved = np.sqrt(sum(np.square(layer.params[name] - old[name]).sum() for layer, old in
                            zip(net.layers, before, strict=True) for name in old))
        steps.append((norm, moved))
    (norm, free), (_, wide), (_, short) = steps
    assert norm > .02 and free == pytest.approx(norm, rel=1e-4) == wide and short == pytest.approx(.01, rel=1e-4)


def test_weights_are_kept_between_bounds_and_biases_are_not():
    wide = runner.load("cfg/toy.cfg", settings=["net.learning_rate=3"])
    tight = runner.load("cfg/toy.cfg", settings=["net.learning_rate=3", "net.clip=.05", "1.clip=.02"])
    for net in (wide, tight):
        for _ in runner.train(net, [one_batch(i) for i in range(3)]):
            pass
    biggest = [np.abs(net.layers[k].params["weights"]).max() for net in (wide, tight) for k in (0, 1)]
    assert biggest[0] > .05 and biggest[1] > .02
    assert biggest[2] == np.float32(.05) and biggest[3] == np.float32(.02)
    assert np.abs(tight.layers[1].params["biases"]).max() > .05


@pytest.mark.parametrize(("words", "moved"), [
    (("--freeze", "1"), [False, True]),
    (("--set", "0.stopbackward=1"), [False, True]),
    (("--set", "1.onlyforward=1"), [False, False]),
    (("--set", "0.stopbackward=3"), [True, True]),
    (("--set", "0.learning_rate=0"), [False, True]),
    ((), [True, True])])
def test_what_is_frozen_stays(words, moved):
    train(*words)
    start = runner.load("cfg/toy.cfg")
    assert [not np.array_equal(now, start.layers[i].params["weights"])
            for i, now in enumerate(arrays(HERE / "last.weights"))] == moved


# --- when it ends ------------------------------------------------------------------------------------------------

def test_patience(capsys):
    train("--validate-every", "2", "--patience", "3", "--set", "net.learning_rate=0", "--set", "net.max_batches=200")
    assert facts()["status"] == "patience" and facts()["updates"] == 8      # the best after 2, then 4, 6, 8
    out = capsys.readouterr().out
    assert out.startswith("8 updates of 200, ") and "no better score in the last 3 evaluations" in out
    train("--resume")
    assert facts()["updates"] == 8
    train("--resume", "--patience", "4")
    assert facts()["updates"] == 10


def test_a_time_limit_saves_and_can_be_gone_on_from(capsys, monkeypatch):
    clock = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(run_module.time, "perf_counter", lambda: clock.__setitem__(0, clock[0] + 5) or clock[0])
        train("--time-limit", "2")
    out = capsys.readouterr().out
    assert out.startswith("time limit reached after update ") and "--resume" in out
    assert facts()["status"] == "time" and 0 < facts()["updates"] < 30


@pytest.mark.parametrize(("text", "seconds"), [("90", 5400), ("1h30m", 5400), ("45s", 45), ("1h5s", 3605)])
def test_times(text, seconds):
    assert common.minutes(text) == seconds


@pytest.mark.parametrize("text", ["0", "", "h", "10x", "-5", "1.5h", "5 m"])
def test_times_that_are_none(text, capsys):
    train(f"--time-limit={text}", expect=2)
    assert "must be a duration such as 1h30m, 10m or 45s" in capsys.readouterr().err


# --- numbers that are none ---------------------------------------------------------------------------------------

def batches_with(bad, at):
    for i in range(10):
        x, truth = one_batch(i)
        if i == at:
            x[0, 0, 0, 0] = bad
        yield x, truth


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_place_where_it_began_is_named():
    net = runner.load("cfg/toy.cfg")
    with pytest.raises(Diverged, match="update 4 is NaN or infinite, first seen in the input: the data contains"):
        list(runner.train(net, batches_with(np.nan, 3)))
    assert net.progress.iteration == 3 and net.progress.seen == 12
    assert all(np.isfinite(w).all() for layer in net.layers for w in layer.params.values())
    assert not any(g.any() for layer in net.layers for g in layer.grads.values())
    net.layers[1].params["biases"][0] = np.inf
    with pytest.raises(Diverged, match=r"first seen in layer 1 \[connected\]: its biases contain NaN or infinity"):
        list(runner.train(net, [one_batch()]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_gradient_that_is_none_spoils_nothing(monkeypatch):
    net = runner.load("cfg/toy.cfg")
    real = net.backward

    def spoilt(tape, truth):
        loss = real(tape, truth)
        net.layers[0].grads["biases"][1] = np.nan
        return loss
    monkeypatch.setattr(net, "backward", spoilt)
    with pytest.raises(Diverged, match=r"the gradient of layer 0 \[convolutional\] is NaN or infinite in update 1"):
        list(runner.train(net, [one_batch()]))
    assert all(np.isfinite(w).all() for layer in net.layers for w in layer.params.values())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_last_good_weights_are_kept(monkeypatch, capsys):
    real = run_module.train

    def poisoned(net, batches, optimizer):
        def stream():
            for i, (x, truth) in enumerate(batches):
                yield (x * np.float32(np.nan) if i == 6 else x), truth
        yield from real(net, stream(), optimizer=optimizer)
    monkeypatch.setattr(run_module, "train", poisoned)
    train(expect=2)
    err = capsys.readouterr().err
    assert "the loss of update 7 is NaN or infinite, first seen in the input" in err
    assert "last.weights holds the weights from before" in err
    monkeypatch.setattr(run_module, "train", real)
    kept = (HERE / "last.weights").read_bytes()
    assert facts()["status"] == "diverged" and facts()["updates"] == 6
    train("--set", "net.max_batches=6", "--name", "other")
    assert Path("weights/other/last.weights").read_bytes() == kept


# --- what is kept ------------------------------------------------------------------------------------------------

def test_the_folder_of_a_run(capsys):
    train("--set", "net.batch=6", "--backup-every", "10", "--seed", "4")
    names = sorted(path.name for path in HERE.iterdir())
    assert names == ["best.weights", "last.weights", "log.csv", "report.html", "run.yaml", "state-before.npz",
                     "state.npz", "toy.cfg", "toy_10.weights", "toy_20.weights", "toy_30.weights"]
    said = facts()
    assert said["command"] == "python run.py train cfg/toy.cfg --quiet --set net.batch=6 --backup-every 10 --seed 4"
    assert said["status"] == "finished" and said["seed"] == 4 and said["data"] == "data/toy" and said["seen"] == 180
    assert said["settings"] == ["net.batch=6", "net.backup_every=10"]
    assert set(said["versions"]) >= {"runner", "python", "numpy", "kernels", "blas"}
    drawn = curves(HERE / "log.csv")
    assert drawn["loss"][0] == list(range(1, 31)) and drawn["score"][0] == [30] and drawn["score"][1] == [1]
    capsys.readouterr()
    # the resolved cfg needs no --set, and finds its own weights
    assert cli.main(["test", "weights/toy/toy.cfg", "--data", "data/toy"]) == 0
    assert "accuracy 100.00 %" in capsys.readouterr().out
    assert "batch=6\n" in (HERE / "toy.cfg").read_text()


def test_old_copies_go():
    train("--backup-every", "4", "--keep", "2")
    assert [path.name for path in RunFolder("cfg/toy.cfg").backups()] == ["toy_24.weights", "toy_28.weights"]


def test_a_run_is_moved_aside_by_the_next_and_the_longer_one_is_kept(capsys):
    for updates in (30, 5, 7, 40):
        assert cli.main(["train", "cfg/toy.cfg", "--set", f"net.max_batches={updates}"]) == 0
    assert "the previous run in weights/toy has been moved to weights/toy/before" in capsys.readouterr().err
    assert facts()["updates"] == 40 and facts("toy/before")["updates"] == 30
    train("--resume", "--name", "toy/before", "--set", "net.max_batches=33")
    assert facts("toy/before")["updates"] == 33


def test_a_name_makes_a_folder_of_its_own(capsys):
    train("--name", "slow", "--set", "net.max_batches=3")
    train("--set", "net.max_batches=4")
    assert facts("slow")["updates"] == 3 and facts()["updates"] == 4
    assert Path("weights/slow/slow.cfg").exists()
    train("--name", "../out", expect=2)
    assert "--name is the name of a folder below weights/" in capsys.readouterr().err


# --- where it starts ---------------------------------------------------------------------------------------------

def test_partial_weights_go_where_they_fit(capsys):
    train()
    old = arrays(HERE / "last.weights")
    text = Path("cfg/toy.cfg").read_text()
    more = "[dropout]\nprobability=.1\n[connected]\noutput=3\nactivation=linear\n[connected]\noutput=2"
    Path("cfg/new.cfg").write_text(text.replace("[connected]\noutput=2", more)
                                   .replace("max_batches=30", "max_batches=1\ndata=data/toy")
                                   .replace("learning_rate=0.1", "learning_rate=0"))
    capsys.readouterr()
    words = ["train", "cfg/new.cfg", "--weights", str(HERE / "last.weights"), "--partial"]
    assert cli.main(words) == 0
    assert f"{HERE}/last.weights: 1 layers loaded; initialized: 2 [connected], 3 [connected]" in capsys.readouterr().err
    net, fresh = runner.load("cfg/new.cfg", "weights/new/last.weights"), runner.load("cfg/new.cfg")
    np.testing.assert_array_equal(net.layers[0].params["weights"], old[0])
    np.testing.assert_array_equal(net.layers[3].params["weights"], fresh.layers[3].params["weights"])
    Path("lone.weights").write_bytes((HERE / "last.weights").read_bytes())
    lone = ["train", "cfg/new.cfg", "--weights", "lone.weights", "--partial"]
    assert cli.main(lone) == 2
    assert ("a .weights file does not describe its layers, and there is no cfg of a run in the folder of lone.weights"
            in capsys.readouterr().err)
    assert cli.main([*lone, "cfg/toy.cfg"]) == 0
