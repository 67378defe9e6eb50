"""train, test and predict: what they leave, what they say, and what happens when something is wrong."""
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml

import runner
from runner import cli
from runner.cli import train as verb
from runner.training import run
from tests import toy

BEST, LAST = Path("weights/toy/best.weights"), Path("weights/toy/last.weights")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with cfg/toy.cfg and data/toy, and we are in it."""
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)
    return tmp_path


def main(*words, expect=0):
    assert cli.main(words) == expect


def trained(*words):
    main("train", "cfg/toy.cfg", "--quiet", *words)


def edit(old, new, path="cfg/toy.cfg"):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


# --- train ---------------------------------------------------------------------------------------------------

def test_train_says_what_it_does_and_what_to_type_next(place, capsys):
    main("train", "cfg/toy.cfg", "--validate-every", "10")
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == ("cfg/toy.cfg: 3 layers, 248 parameters; data/toy: 12 images to train, 10 to test, "
                                   "2 classes")
    told = [line.split(":")[0] for line in err.splitlines()[1:] if not line.startswith("compiling kernels")]
    assert told == ["update 10", "update 20"]       # kernels are compiled when they are first used on a machine
    lines = out.splitlines()
    assert lines[0].startswith("30 updates, 120 images, ")
    assert lines[1] == "test accuracy: 100.00 %, best 100.00 % (after update 30)"
    assert lines[2:] == [f"weights: {BEST}, {LAST}", "report:  weights/toy/report.html",
                         "next:    python run.py test cfg/toy.cfg",
                         "         python run.py predict cfg/toy.cfg data/toy/test/bright/0.png"]
    facts = yaml.safe_load(Path("weights/toy/run.yaml").read_text())
    assert facts["classes"] == ["bright", "dark"] and facts["seed"] == 0 and facts["updates"] == 30
    assert facts["best"] == {"update": 30, "score": 1.0} and facts["data"] == "data/toy"
    assert sorted(p.name for p in Path("weights/toy").iterdir()) == [
        "best.weights", "last.weights", "log.csv", "report.html", "run.yaml", "state-before.npz", "state.npz",
        "toy.cfg"]


def test_quiet_leaves_only_the_results(place, capsys):
    trained("--json", "-")
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == "" and found["updates"] == 30
    assert found["score"] == found["metrics"]["top1"] == 1 and found["weights"] == [str(BEST), str(LAST)]


def test_a_seed_repeats_to_the_bit_whatever_the_threads(place):
    edit("[connected]", "[dropout]\nprobability=.3\n[connected]")
    edit("flip=0", "flip=1\nangle=20\nexposure=1.5")
    files = []
    for words in ((), ("--threads", "1"), ("--seed", "1")):
        trained(*words)
        files.append(LAST.read_bytes())
    assert files[0] == files[1] != files[2]


def test_ctrl_c_saves_and_one_can_go_on_as_if_nothing_had_been(place, capsys, monkeypatch):
    trained()
    whole = LAST.read_bytes()
    shutil.rmtree("weights")

    def pressed(net, batches, optimizer, *, original=run.train):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 12:
                signal.raise_signal(signal.SIGINT)
            yield step
    monkeypatch.setattr(run, "train", pressed)
    capsys.readouterr()
    before = signal.getsignal(signal.SIGINT)
    main("train", "cfg/toy.cfg", "--quiet")
    assert signal.getsignal(signal.SIGINT) is before
    out, err = capsys.readouterr()
    assert "stopping after this update" in err
    assert out.splitlines()[0].startswith("stopped after update 12 of 30, ")
    assert "resume:  python run.py train cfg/toy.cfg --resume" in out.splitlines()
    assert LAST.exists() and not BEST.exists()
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/0.png")       # takes last.weights
    monkeypatch.undo()
    monkeypatch.chdir(place)
    trained("--weights", str(LAST))
    assert LAST.read_bytes() == whole           # without momentum: to the bit


def test_a_second_ctrl_c_stops_at_once(place, capsys, monkeypatch):
    def pressed(net, batches, optimizer, *, original=run.train):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            yield step
    monkeypatch.setattr(run, "train", pressed)
    main("train", "cfg/toy.cfg", "--quiet", expect=130)
    assert not LAST.exists() and capsys.readouterr().err.endswith("run.py: interrupted\n")


def test_going_on_keeps_what_was_best(place):
    trained()
    best = BEST.read_bytes()
    # all of each label spread over the other class: it learns the opposite
    trained("--weights", str(LAST), "--set", "net.max_batches=60", "--set", "net.label_smooth_eps=1")
    facts = yaml.safe_load(Path("weights/toy/run.yaml").read_text())
    assert BEST.read_bytes() == best != LAST.read_bytes()
    assert facts["best"]["update"] == 30 and facts["updates"] == 60


def test_weights_that_have_seen_it_all(place, capsys):
    trained()
    main("train", "cfg/toy.cfg", "--weights", str(LAST), expect=2)
    assert capsys.readouterr().err == (
        f"run.py: {LAST}: these weights are trained for all 30 updates of max_batches. Add --clear to restart from 0, "
        "or --set net.max_batches=60 to train longer\n")
    trained("--weights", str(LAST), "--clear")
    assert yaml.safe_load(Path("weights/toy/run.yaml").read_text())["updates"] == 30
    main("train", "cfg/toy.cfg", "--clear", expect=2)


def test_cutoff_keeps_the_first_layers_only(place):
    trained()
    shutil.copy(LAST, "start.weights")
    trained("--weights", "start.weights", "--cutoff", "1", "--set", "net.max_batches=1", "--set",
            "net.learning_rate=0", "--seed", "9")
    old, new = runner.load("cfg/toy.cfg", "start.weights"), runner.load("cfg/toy.cfg", LAST)
    fresh = runner.load("cfg/toy.cfg", seed=9)
    np.testing.assert_array_equal(new.layers[0].params["weights"], old.layers[0].params["weights"])
    np.testing.assert_array_equal(new.layers[1].params["weights"], fresh.layers[1].params["weights"])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_ends_the_run(place, capsys):
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
def test_outputs_that_do_not_match_the_classes(old, new, answer, place, capsys):
    edit(old, new)
    main("train", "cfg/toy.cfg", expect=2)
    assert answer in capsys.readouterr().err
    assert not Path("weights").exists()


def test_data_comes_from_where_it_is_said(place, capsys):
    Path("data/toy").rename("photos")
    main("train", "cfg/toy.cfg", expect=2)
    assert "cfg/toy.cfg: no data found. Use --data" in capsys.readouterr().err
    trained("--data", "photos")
    edit("[net]", "[net]\ndata=photos")
    trained()
    shutil.rmtree("photos/test")
    shutil.move("photos/train", "only")
    trained("--data", "only")                   # a folder without a test part: the last weights are the best
    assert BEST.read_bytes() == LAST.read_bytes()


def test_a_folder_that_cannot_be_made_is_said_first(place, capsys, monkeypatch):
    Path("weights").write_text("a file where the folder should be")
    monkeypatch.setattr(verb, "_train", lambda *a: pytest.fail("learned first"))
    main("train", "cfg/toy.cfg", "--quiet", expect=2)
    assert capsys.readouterr().err.startswith("run.py: weights/toy: ")


# --- test and predict ------------------------------------------------------------------------------------------

def test_before_training(place, capsys):
    for words in (("test", "cfg/toy.cfg"), ("predict", "cfg/toy.cfg", "data/toy/test")):
        main(*words, expect=2)
        assert capsys.readouterr().err == (f"run.py: {BEST}: there are no weights yet. Train first (python run.py "
                                           "train cfg/toy.cfg), or name a file with --weights\n")


def test_test_reports_to_people_and_programs(place, capsys):
    trained()
    capsys.readouterr()
    main("test", "cfg/toy.cfg", "--json", "found.json")
    out = capsys.readouterr().out
    assert out.startswith("10 images, accuracy 100.00 % (0 wrong), top 5 100.00 %, loss 0.")
    assert out.splitlines()[-2:] == ["bright       5     .", "dark         .     5"]
    found = json.loads(Path("found.json").read_text())
    assert (found["images"], found["top1"], found["top5"], found["confusion"]) == (10, 1.0, 1.0, [[5, 0], [0, 5]])
    assert found["per_class"]["dark"] == {"images": 5, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    main("test", "cfg/toy.cfg", "--split", "train", "--json", "-")
    assert json.loads(capsys.readouterr().out)["images"] == 12


def test_predict_names_classes_and_agrees_with_test(place, capsys):
    trained()
    capsys.readouterr()
    Path("list.txt").write_text("data/toy/test/dark/1.png\n")
    main("predict", "cfg/toy.cfg", "data/toy/test/bright", "data/toy/test/dark/?.png", "list.txt", "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert [item["image"].split("/")[-2] for item in found] == ["bright"] * 5 + ["dark"] * 6
    for item in found:
        best, other = item["predictions"]
        assert best["class"] == item["image"].split("/")[-2] == ["bright", "dark"][best["index"]]
        assert best["probability"] > other["probability"] and best["probability"] + other["probability"] == \
            pytest.approx(1)
    main("test", "cfg/toy.cfg", "--json", "-")
    loss = json.loads(capsys.readouterr().out)["loss"]
    assert -np.mean([np.log(item["predictions"][0]["probability"]) for item in found[:10]]) == pytest.approx(loss, 1e-5)
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/1.png", "--top", "1")
    assert capsys.readouterr().out.split()[:2] == ["data/toy/test/dark/1.png", "dark"]


def test_images_that_cannot_be_read(place, capsys):
    trained()
    Path("data/toy/test/dark/7.png").write_bytes(b"no image")
    capsys.readouterr()
    main("predict", "cfg/toy.cfg", "data/toy/test", "--json", "-")
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 10 and "1 of 11 images could not be read" in err
    assert "data/toy/test/dark/7.png: this is not an image in any known format" in err
    main("predict", "cfg/toy.cfg", "data/toy/test", "--on-bad", "error", expect=2)
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/7.png", expect=2)
    capsys.readouterr()
    main("test", "cfg/toy.cfg", "--json", "-")
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 10 and "7.png" in err
    main("test", "cfg/toy.cfg", "--on-bad", "error", expect=2)


def test_names_of_classes(place, capsys):
    trained()
    shutil.copytree("weights/toy", "elsewhere")
    shutil.rmtree("weights")
    capsys.readouterr()
    dark = ("predict", "cfg/toy.cfg", "data/toy/test/dark/0.png", "--top", "1", "--weights", "elsewhere/best.weights")

    def answer(*words):
        main(*dark, *words)
        return capsys.readouterr().out.split()[1]
    assert answer() == "dark"                   # from run.yaml beside the weights
    Path("names.txt").write_text("hell\ndunkel\n")
    assert answer("--names", "names.txt") == "dunkel"
    Path("elsewhere/run.yaml").unlink()
    assert answer() == "1"
    Path("names.txt").write_text("hell\n")
    main(*dark, "--names", "names.txt", expect=2)
    assert "the network has 2 outputs, but the file has 1 names" in capsys.readouterr().err


def test_weights_trained_with_other_settings(place, capsys):
    trained("--set", "0.filters=5")
    capsys.readouterr()
    main("test", "cfg/toy.cfg", expect=2)
    assert capsys.readouterr().err.endswith("They were trained with --set 0.filters=5: use the same here\n")
    main("test", "cfg/toy.cfg", "--set", "0.filters=5")
    assert capsys.readouterr().err == ""
    main("test", "cfg/toy.cfg", "--set", "0.filters=5", "--compat", "pjreddie")
    assert capsys.readouterr().err == (f"warning: {BEST} was trained without --compat: use the same here\n")


# --- kinds of data -------------------------------------------------------------------------------------------

def test_a_share_is_kept_to_test_with_and_test_finds_it_again(place, capsys):
    shutil.rmtree("data/toy/test")
    main("train", "cfg/toy.cfg", "--split-share", ".34")
    out, err = capsys.readouterr()
    assert "8 images to train, 4 to test, 2 classes" in err and "nothing to test with" not in err
    assert "test accuracy: " in out
    main("test", "cfg/toy.cfg")
    assert capsys.readouterr().out.startswith("4 images, accuracy ")
    main("test", "cfg/toy.cfg", "--split-share", "1.5", expect=2)
    assert "split_share must be a number, at least 0, at most 0.9. Got '1.5'" in capsys.readouterr().err


def test_balance_is_a_word_of_train(place, capsys):
    for name in ("3", "4", "5"):
        Path(f"data/toy/train/dark/{name}.png").unlink()
    trained("--balance")
    assert yaml.safe_load(Path("weights/toy/run.yaml").read_text())["settings"] == ["net.balance=1"]
    balanced = LAST.read_bytes()
    trained()
    assert LAST.read_bytes() != balanced
    main("train", "cfg/toy.cfg", "--balance", "2", expect=2)
    assert "balance must be a number, at least 0, at most 1. Got '2'" in capsys.readouterr().err


def test_train_test_and_predict_from_a_file_of_many_images(place, capsys):
    rng = np.random.default_rng(1)
    labels = np.arange(20) % 2
    x = (np.where(labels, 20, 180)[:, None, None] + rng.integers(0, 50, (20, 6, 6))).astype(np.uint8)
    shutil.rmtree("data/toy")
    np.savez("data/toy.npz", x_train=x, y_train=labels, x_test=x[:6], y_test=labels[:6], names=["bright", "dark"])
    main("train", "cfg/toy.cfg")
    out, err = capsys.readouterr()
    assert "data/toy.npz: 20 images to train, 6 to test, 2 classes" in err
    command = out.splitlines()[-1].split()
    assert command[:3] == ["python", "run.py", "predict"] and command[-1] == "data/toy.npz:test#0"
    main(*command[2:])
    assert capsys.readouterr().out.startswith("data/toy.npz:test#0  bright ")


def test_mixed_training_is_repeatable(place):
    edit("flip=0", "flip=0\ncutmix=1\nmosaic=1\nblur=1")
    trained()
    first = LAST.read_bytes()
    trained()
    assert LAST.read_bytes() == first
