"""--resume: the result of an interrupted run is bit-identical to that of an uninterrupted one."""
import random
import shutil
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml

from runner import cli
from runner.cli import train as verb
from runner.errors import CheckpointError
from runner.training import checkpoint
from runner.training import run as run_module
from runner.training.log import read_rows
from runner.training.loop import train as original
from tests import toy
from tests.paths import ROOT

HERE = Path("weights/toy")
# everything that has state: momentum, dropout, rolling statistics, a drawn rate, an average, augmentation
CFG = toy.CFG.replace("momentum=0", "momentum=0.9\nsubdivisions=2\npolicy=random\npower=1\nema_alpha=0.9\nangle=9\n"
                      "exposure=1.5\nmax_grad_norm=1\nbackup_every=15").replace("flip=0", "flip=1").replace(
    "[connected]", "[dropout]\nprobability=.3\n[connected]").replace(
    "filters=3", "filters=3\nbatch_normalize=1\ndont_update=12")
WORDS = ("train", "cfg/toy.cfg", "--quiet", "--no-report", "--validate-every", "8", "--save-every", "5")
FILES = ("last.weights", "best.weights", "toy_15.weights", "toy_30.weights")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A folder with the toy dataset and, in whole/, an uninterrupted run; its files and its curve."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        toy.make(folder)
        Path("cfg/toy.cfg").write_text(CFG)
        assert cli.main(WORDS) == 0
        found = {name: (HERE / name).read_bytes() for name in FILES}, curve()
        assert len({*found[0].values()}) > 1
        HERE.rename("whole")
    return folder, found


@pytest.fixture
def whole(uninterrupted, tmp_path, monkeypatch):
    """A copy of that folder, in which another run can start; the files and the curve of the uninterrupted one."""
    folder, found = uninterrupted
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return found


def curve():
    return [{key: row[key] for key in ("update", "loss", "rate", "score", "test_loss")} for row in
            read_rows(HERE / "log.csv")]


def same_as(whole):
    files, log = whole
    assert {name: (HERE / name).read_bytes() for name in FILES} == files
    assert curve() == log


def resume(*words, expect=0):
    assert cli.main(["train", "cfg/toy.cfg", "--quiet", "--resume", *words]) == expect


class Crash(Exception):
    pass


def crash_after(monkeypatch, update):
    def breaking(net, batches, optimizer):
        for step in original(net, batches, optimizer=optimizer):
            yield step
            if step.number == update:
                raise Crash
    monkeypatch.setattr(run_module, "train", breaking)


@pytest.mark.parametrize("update", [1, 4, 5, 8, 14, 15, 29])
def test_a_crash_after_any_update(whole, monkeypatch, update):
    crash_after(monkeypatch, update)
    with pytest.raises(Crash):
        cli.main(WORDS)
    monkeypatch.setattr(run_module, "train", original)
    resume("--threads", "1")
    same_as(whole)


@pytest.mark.parametrize("update", [7, 8, 15, 30])
def test_ctrl_c_after_any_update(whole, monkeypatch, update):
    """Also when an evaluation (8) or a numbered copy (15) is due after it."""
    def pressed(net, batches, optimizer):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == update:
                signal.raise_signal(signal.SIGINT)
            yield step
    monkeypatch.setattr(run_module, "train", pressed)
    assert cli.main(WORDS) == 130
    monkeypatch.setattr(run_module, "train", original)
    resume()
    same_as(whole)


@pytest.mark.parametrize("optimizer", ["adam=1", "optimizer=adamw", "optimizer=adadelta"])
def test_the_optimizer_remembers(tmp_path, monkeypatch, optimizer):
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)
    Path("cfg/toy.cfg").write_text(CFG.replace("momentum=0.9", optimizer))
    assert cli.main(WORDS) == 0
    whole = {name: (HERE / name).read_bytes() for name in FILES}, curve()
    crash_after(monkeypatch, 18)
    with pytest.raises(Crash):
        cli.main(WORDS)
    monkeypatch.setattr(run_module, "train", original)
    resume()
    same_as(whole)


@pytest.mark.parametrize("moment", ["atomic_write", "os.replace", "write_facts", "folder.save"])
def test_a_crash_while_it_saves(whole, monkeypatch, moment):
    calls = []

    def breaking(*args, real, at, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise Crash
        return real(*args, **kwargs)
    for at in (6, 7, 8, 9, 11) if moment == "os.replace" else (2, 3, 4, 6):     # the first checkpoint exists by then
        calls.clear()
        with monkeypatch.context() as patch:
            target, name = {"atomic_write": (checkpoint, "atomic_write"), "os.replace": (checkpoint.os, "replace"),
                            "write_facts": (run_module.RunFolder, "write_facts"),
                            "folder.save": (run_module.RunFolder, "save")}[moment]
            real = getattr(target, name)
            patch.setattr(target, name, lambda *a, real=real, at=at, **k: breaking(*a, real=real, at=at, **k))
            with pytest.raises(Crash):
                cli.main(WORDS)
        resume()
        same_as(whole)


def test_a_character_model_continues_at_its_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("novel.txt").write_text("to be or not to be, that is the question. " * 40)
    Path("toy.cfg").write_text("[net]\ninputs=256\nbatch=4\ntime_steps=5\nmax_batches=12\nadam=1\nreposition=.2\n"
                               "learning_rate=.01\n[lstm]\noutput=6\nbatch_normalize=1\n[connected]\noutput=256\n"
                               "[softmax]\n")
    words = ("train", "toy.cfg", "--data", "novel.txt", "--quiet", "--save-every", "3")
    assert cli.main(words) == 0
    files = [(HERE / name).read_bytes() for name in ("last.weights", "best.weights")]
    crash_after(monkeypatch, 8)
    with pytest.raises(Crash):
        cli.main(words)
    monkeypatch.setattr(run_module, "train", original)
    assert cli.main(["train", "toy.cfg", "--resume", "--quiet"]) == 0
    assert [(HERE / name).read_bytes() for name in ("last.weights", "best.weights")] == files


def test_a_damaged_checkpoint_is_refused_and_the_previous_one_used(whole, monkeypatch, capsys):
    crash_after(monkeypatch, 17)
    with pytest.raises(Crash):
        cli.main(WORDS)
    monkeypatch.setattr(run_module, "train", original)
    good, before = (HERE / "state.npz").read_bytes(), (HERE / "state-before.npz").read_bytes()
    rng = random.Random(1)
    for damage in ("half", "empty", "zeros", *["flip"] * 3):
        at = rng.randrange(200, len(good) - 200)
        bad = {"half": good[:len(good) // 2], "empty": b"", "zeros": good[:3000] + bytes(len(good) - 3000),
               "flip": good[:at] + bytes([good[at] ^ 255]) + good[at + 1:]}[damage]
        (HERE / "state.npz").write_bytes(bad)
        (HERE / "state-before.npz").write_bytes(before)
        capsys.readouterr()
        resume()
        err = capsys.readouterr().err
        if damage != "flip" or err:         # a flipped byte of the zip container may go unnoticed
            assert f"{HERE}/state.npz: " in err and "; using the previous checkpoint" in err
        same_as(whole)
    for name in ("state.npz", "state-before.npz"):
        (HERE / name).write_bytes(good[:500])
    capsys.readouterr()
    resume(expect=2)
    assert capsys.readouterr().err.count("not a complete checkpoint") == 2


def test_the_checksum_covers_every_array(whole):
    arrays, facts = checkpoint.read(Path("whole/state.npz"))
    with np.load("whole/state.npz") as file:
        members = dict(file)
    assert facts["update"] == 30 and {name.split("/")[0] for name in arrays} == {"params", "buffers", "optimizer",
                                                                                 "average"}
    for name in members:
        if name == "digest":
            continue
        changed = {key: value.copy() for key, value in members.items()}
        changed[name].reshape(-1).view(np.uint8)[-1] ^= 1
        np.savez("changed.npz", **changed)
        with pytest.raises(CheckpointError, match="checksum is wrong"):
            checkpoint.read(Path("changed.npz"))


def test_a_different_run_is_refused_with_its_differences(whole, capsys):
    assert cli.main([*WORDS, "--time-limit", "1s"]) == 0
    capsys.readouterr()
    for words, answer in (
            (("--set", "net.learning_rate=.2"), "[net] learning_rate was 0.1, now .2"),
            (("--set", "1.probability=.4"), "layer 1 [dropout] probability was .3, now .4"),
            (("--seed", "4"), "the seed was 0, now 4"),
            (("--data", "data/toy/test"), "the training data has changed")):
        resume(*words, expect=2)
        err = capsys.readouterr().err
        assert answer in err and f"--weights {HERE / 'last.weights'} starts a new run" in err
    Path("cfg/toy.cfg").write_text(CFG.replace("[softmax]", "[softmax]\n[cost]"))
    resume(expect=2)
    assert "the cfg has different layers" in capsys.readouterr().err
    resume("--weights", "x", expect=2)
    resume("--name", "other", expect=2)
    assert "weights/other: there is no run to resume" in capsys.readouterr().err


def test_a_longer_run_and_another_backend_are_reported(whole, capsys, monkeypatch):
    assert cli.main(WORDS) == 0
    monkeypatch.setattr(checkpoint, "computed_by", lambda: {"kernels": "other"})
    capsys.readouterr()
    resume("--set", "net.max_batches=33")
    err = capsys.readouterr().err
    assert "[net] max_batches was 30, now 33: the learning-rate schedule may change with it" in err
    assert "started with a different backend or other libraries: backend " in err and "last bits" in err
    assert yaml.safe_load((HERE / "run.yaml").read_text())["updates"] == 33


def test_a_finished_run_has_nothing_left_to_do(whole, capsys):
    assert cli.main(WORDS) == 0
    resume()
    same_as(whole)
    assert "30 updates, " in capsys.readouterr().out


def test_the_options_of_the_run_are_restored(whole, monkeypatch):
    crash_after(monkeypatch, 12)
    with pytest.raises(Crash):
        cli.main([*WORDS, "--seed", "3", "--set", "net.decay=.01", "--name", "other", "--patience", "99"])
    monkeypatch.setattr(run_module, "train", original)
    seen = []
    monkeypatch.setattr(verb.train_results, "print_results", lambda args, run: seen.append((args, run)))
    resume("--name", "other")
    (args, run), = seen
    assert (args.seed, args.settings, args.validate_every, args.patience) == (3, ["net.decay=.01"], 8, 99)
    assert run.control.save_updates == 5 and run.folder.path == Path("weights/other")


@pytest.mark.parametrize("kinds", ["kill,error at a write", pytest.param(
    "kill at a write,set aside,two at once,full disk,term", marks=pytest.mark.slow)])
def test_faults(kinds: str, tmp_path: Path) -> None:
    """tools/faults.py with few of each; in a process of its own, because it forks."""
    done = subprocess.run([sys.executable, str(ROOT / "tools/faults.py"), "--times", "2", "--models", "classifier",
                           "--kinds", kinds], cwd=tmp_path, text=True, capture_output=True, check=False)
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert (done.returncode, done.stderr, [line[0] for line in lines]) == (0, "", kinds.split(","))
    assert all(line[2] == line[3] == "2" or line[0] == "full disk" for line in lines)


def test_the_folder_is_deleted_while_it_trains(whole, monkeypatch, capsys):
    """What is known is written again: weights, cfg, checkpoint, and the log from then on."""
    def deleting(net, batches, optimizer):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 12:
                shutil.rmtree(HERE)
            yield step
    monkeypatch.setattr(run_module, "train", deleting)
    assert cli.main(WORDS) == 0
    monkeypatch.setattr(run_module, "train", original)
    for name in ("last.weights", "toy_15.weights", "toy_30.weights"):
        assert (HERE / name).read_bytes() == whole[0][name]
    assert (HERE / "toy.cfg").exists() and [row["update"] for row in curve()] == [str(n) for n in range(11, 31)]
    resume()


def test_images_that_are_damaged_or_deleted_while_it_trains_are_skipped(whole, monkeypatch, capsys):
    def changing(net, batches, optimizer):
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 3:
                first, second, *_ = sorted(Path("data/toy/train/dark").iterdir())
                first.unlink()
                second.write_bytes(second.read_bytes()[:50])
            yield step
    monkeypatch.setattr(run_module, "train", changing)
    monkeypatch.setattr("runner.datasets.pipeline.cache.FREE", 0)
    monkeypatch.setattr("runner.datasets.pipeline.cache.available_memory", lambda: 0)
    assert cli.main(WORDS) == 0
    err = capsys.readouterr().err
    assert err.count("the image is skipped") == 2 and "dark/0.png" in err and "dark/1.png" in err


def test_a_run_that_is_stopped_early_can_be_resumed(whole):
    """islice of a run's updates leaves a folder that can be resumed."""
    import runner
    from runner.training import Run, RunFolder, TaskOptions, open_task
    net = runner.load("cfg/toy.cfg")
    run = Run(open_task(net, TaskOptions("cfg/toy.cfg")), RunFolder("cfg/toy.cfg"))
    run.begin()
    assert [update.step.number for update in islice(run.updates(), 3)] == [1, 2, 3]
    run.stop("enough")
    run.finish()
    resume("--validate-every", "8")
    same_as(whole)
