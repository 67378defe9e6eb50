"""`train`: the files it writes, what it prints, interruptions, and errors."""
import json
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from runner.cli import train as verb
from runner.training import run
from tests.verbs import BEST, LAST, edit, main, run_facts, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_what_it_prints_and_writes(capsys: pytest.CaptureFixture[str]) -> None:
    main("train", "cfg/toy.cfg", "--validate-every", "10")
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == ("cfg/toy.cfg: 3 layers, 248 parameters; data/toy: 12 images to train, 10 to test, "
                                   "2 classes")
    progress = [line.split(":")[0] for line in err.splitlines()[1:] if not line.startswith("compiling kernels")]
    assert progress == ["update 10", "update 20"]       # kernels are compiled on their first use on a machine
    lines = out.splitlines()
    assert lines[0].startswith("30 updates, 120 images, ")
    assert lines[1] == "test accuracy: 100.00 %, best 100.00 % (after update 30)"
    assert lines[2:] == [f"weights: {BEST}, {LAST}", "report:  weights/toy/report.html",
                         "next:    python run.py test cfg/toy.cfg",
                         "         python run.py predict cfg/toy.cfg data/toy/test/bright/0.png"]
    facts = run_facts()
    assert facts["classes"] == ["bright", "dark"] and facts["seed"] == 0 and facts["updates"] == 30
    assert facts["best"] == {"update": 30, "score": 1.0} and facts["data"] == "data/toy"
    assert sorted(p.name for p in Path("weights/toy").iterdir()) == [
        "best.weights", "last.weights", "log.csv", "report.html", "run.yaml", "state-before.npz", "state.npz",
        "toy.cfg"]


def test_quiet_leaves_only_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    train("--json", "-")
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == "" and found["updates"] == 30
    assert found["score"] == found["metrics"]["top1"] == 1 and found["weights"] == [str(BEST), str(LAST)]


def test_a_seed_repeats_bit_for_bit_with_any_number_of_threads() -> None:
    edit("[connected]", "[dropout]\nprobability=.3\n[connected]")
    edit("flip=0", "flip=1\nangle=20\nexposure=1.5")
    files = []
    for words in ((), ("--threads", "1"), ("--seed", "1")):
        train(*words)
        files.append(LAST.read_bytes())
    assert files[0] == files[1] != files[2]


def test_ctrl_c_saves_and_training_can_continue_as_if_uninterrupted(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    whole = LAST.read_bytes()
    shutil.rmtree("weights")

    original = run.train

    def pressed(net, batches, optimizer):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 12:
                signal.raise_signal(signal.SIGINT)
            yield step
    monkeypatch.setattr(run, "train", pressed)
    capsys.readouterr()
    before = signal.getsignal(signal.SIGINT)
    main("train", "cfg/toy.cfg", "--quiet", expect=130)
    assert signal.getsignal(signal.SIGINT) is before
    out, err = capsys.readouterr()
    assert "stopping after this update" in err
    assert out.splitlines()[0].startswith("stopped after update 12 of 30, ")
    assert "resume:  python run.py train cfg/toy.cfg --resume" in out.splitlines()
    assert LAST.exists() and not BEST.exists()
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/0.png")       # takes last.weights
    monkeypatch.setattr(run, "train", original)
    train("--weights", str(LAST))
    assert LAST.read_bytes() == whole           # without momentum: bit-identical


def test_a_second_ctrl_c_stops_at_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(net, batches, optimizer, *, original=run.train):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            yield step
    monkeypatch.setattr(run, "train", pressed)
    main("train", "cfg/toy.cfg", "--quiet", expect=130)
    assert not LAST.exists() and capsys.readouterr().err.endswith("run.py: interrupted\n")


def test_continuing_keeps_the_best_weights() -> None:
    train()
    best = BEST.read_bytes()
    # label smoothing of 1 moves each label to the other class: the network learns the opposite
    train("--weights", str(LAST), "--set", "net.max_batches=60", "--set", "net.label_smooth_eps=1")
    facts = run_facts()
    assert BEST.read_bytes() == best != LAST.read_bytes()
    assert facts["best"]["update"] == 30 and facts["updates"] == 60


def test_weights_that_are_trained_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    train()
    main("train", "cfg/toy.cfg", "--weights", str(LAST), expect=2)
    assert capsys.readouterr().err == (
        f"run.py: {LAST}: these weights are trained for all 30 updates of max_batches. Add --clear to restart from 0, "
        "or --set net.max_batches=60 to train longer\n")
    train("--weights", str(LAST), "--clear")
    assert run_facts()["updates"] == 30
    main("train", "cfg/toy.cfg", "--clear", expect=2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    main("train", "cfg/toy.cfg", "--quiet", "--set", "net.learning_rate=1e30", expect=2)
    err = capsys.readouterr().err
    assert "update 2 is NaN or infinite, first seen in layer 1 [connected]: its output overflows. The" in err
    assert f"{LAST} holds the weights from before that" in err and "--set net.learning_rate=1e+29" in err


@pytest.mark.parametrize(("old", "new", "answer"), [
    ("output=2", "output=3",
     "cfg/toy.cfg: the network has 3 outputs, but data/toy has 2 classes: set output=2 in layer 1 [connected]"),
    ("[connected]\noutput=2\n", "[conv]\nfilters=5\n[avgpool]\n[activation]\n", "filters=2 in layer 1 [convolutional]"),
    ("[connected]\noutput=2\n", "[conv]\nfilters=2\n", "ends with a feature map of 6 x 6 x 2, but data/toy needs one "
                                "value for each of its 2 classes: put [avgpool] or [connected] before layer 2 "
                                "[softmax]"),
])
def test_outputs_that_do_not_match_the_classes(old, new, answer, capsys):
    edit(old, new)
    main("train", "cfg/toy.cfg", expect=2)
    assert answer in capsys.readouterr().err
    assert not Path("weights").exists()


def test_where_the_data_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/toy").rename("photos")
    main("train", "cfg/toy.cfg", expect=2)
    assert "cfg/toy.cfg: no data found. Use --data" in capsys.readouterr().err
    train("--data", "photos")
    edit("[net]", "[net]\ndata=photos")
    train()
    shutil.rmtree("photos/test")
    shutil.move("photos/train", "only")
    train("--data", "only")    # a folder without a test split: the last weights are the best
    assert BEST.read_bytes() == LAST.read_bytes()


def test_a_folder_that_cannot_be_made_is_reported_before_training(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("weights").write_text("a file where the folder should be")
    monkeypatch.setattr(verb, "_train", lambda *a: pytest.fail("trained first"))
    main("train", "cfg/toy.cfg", "--quiet", expect=2)
    assert capsys.readouterr().err.startswith("run.py: weights/toy: ")




def test_balance(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("3", "4", "5"):
        Path(f"data/toy/train/dark/{name}.png").unlink()
    train("--balance")
    assert run_facts()["settings"] == ["net.balance=1"]
    balanced = LAST.read_bytes()
    train()
    assert LAST.read_bytes() != balanced
    main("train", "cfg/toy.cfg", "--balance", "2", expect=2)
    assert "balance must be a number, at least 0, at most 1. Got '2'" in capsys.readouterr().err


def test_train_test_and_predict_with_an_npz_file(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(20) % 2
    x = (np.where(labels, 20, 180)[:, None, None] + rng.integers(0, 50, (20, 6, 6))).astype(np.uint8)
    shutil.rmtree("data/toy")
    np.savez("data/toy.npz", x_train=x, y_train=labels, x_test=x[:6], y_test=labels[:6], names=["bright", "dark"])
    main("train", "cfg/toy.cfg")
    out, err = capsys.readouterr()
    assert "data/toy.npz: 20 images to train, 6 to test, 2 classes" in err
    command = shlex.split(out.splitlines()[-1])
    assert command[:3] == ["python", "run.py", "predict"] and command[-1] == "data/toy.npz:test#0"
    main(*command[2:])
    assert capsys.readouterr().out.startswith("data/toy.npz:test#0  bright ")


def test_training_with_mixed_images_is_repeatable() -> None:
    edit("flip=0", "flip=0\ncutmix=1\nmosaic=1\nblur=1")
    train()
    first = LAST.read_bytes()
    train()
    assert LAST.read_bytes() == first
