"""The folder of a run: its files, its name, and the run that was there before."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.errors import CheckpointError, UsageError
from runner.training import Run, RunFolder, TaskOptions, open_task
from runner.training.log import curves
from tests.paths import ROOT
from tests.verbs import RUN, main, run_facts, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_the_folder_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    train("--set", "net.batch=6", "--backup-every", "10", "--seed", "4")
    names = sorted(path.name for path in RUN.iterdir())
    assert names == ["best.weights", "last.weights", "log.csv", "report.html", "run.yaml", "state-before.npz",
                     "state.npz", "toy.cfg", "toy_10.weights", "toy_20.weights", "toy_30.weights"]
    facts = run_facts()
    assert facts["command"] == "python run.py train cfg/toy.cfg --quiet --set net.batch=6 --backup-every 10 --seed 4"
    assert facts["status"] == "finished" and facts["seed"] == 4 and facts["data"] == "data/toy" and facts["seen"] == 180
    assert facts["settings"] == ["net.batch=6", "net.backup_every=10"]
    assert set(facts["versions"]) >= {"runner", "python", "numpy", "kernels", "blas"}
    columns = curves(RUN / "log.csv")
    assert columns["loss"][0] == list(range(1, 31)) and columns["score"][0] == [30] and columns["score"][1] == [1]
    capsys.readouterr()
    # the resolved cfg needs no --set, and finds its own weights
    main("test", "weights/toy/toy.cfg", "--data", "data/toy")
    assert "accuracy 100.00 %" in capsys.readouterr().out
    assert "batch=6\n" in (RUN / "toy.cfg").read_text()


def test_a_run_is_moved_aside_by_the_next_and_nothing_is_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    for updates in (30, 5, 40):
        main("train", "cfg/toy.cfg", "--set", f"net.max_batches={updates}")
        (RUN / f"notes-{updates}.txt").write_text("the user's own")
        if updates == 5:
            (RUN / "run.yaml").write_text("updates: 0")        # as after a kill: it decides nothing
    assert "the previous run in weights/toy has been moved to weights/toy-before" in capsys.readouterr().err
    assert run_facts()["updates"] == 40 and run_facts("toy-before")["updates"] == 30
    assert Path("weights/toy-before/notes-30.txt").exists() and Path("weights/toy-before-2/notes-5.txt").exists()
    assert Path("weights/toy-before-2/last.weights").exists()
    train("--resume", "--name", "toy-before", "--backup-every", "11", "--set", "net.max_batches=33")
    assert run_facts("toy-before")["updates"] == 33 and Path("weights/toy-before/toy_33.weights").exists()


def test_a_renamed_run_keeps_its_names() -> None:
    train("--set", "net.max_batches=3", "--backup-every", "3")
    Path("other.cfg").write_text("[net]")
    for name in ("renamed", "with another cfg", "of an older version"):
        RUN.rename(f"weights/{name}")
        if name == "with another cfg":
            Path("other.cfg").rename(f"weights/{name}/other.cfg")
        if name == "of an older version":
            Path(f"weights/{name}/run.yaml").write_text("updates: 3")
        cfg = RunFolder.cfg_of(f"weights/{name}/best.weights")
        assert cfg == Path(f"weights/{name}/toy.cfg") and RunFolder(cfg).path == cfg.parent
        assert RunFolder(cfg).resolved == cfg and RunFolder(cfg).backups() == [cfg.parent / "toy_3.weights"]
        Path(f"weights/{name}").rename(RUN)
        (RUN / "other.cfg").unlink(missing_ok=True)


def test_a_folder_in_use_is_refused_and_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    train("--set", "net.max_batches=3")
    program = "import sys\nfrom runner.lock import Lock\nwith Lock('weights/toy'):\n print('locked', flush=True)\n " \
              "sys.stdin.read()"
    lock = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True,
                            stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert lock.stdout is not None and lock.stdout.readline() == "locked\n"
    before = {path: path.read_bytes() for path in Path("weights").rglob("*") if path.is_file()}
    capsys.readouterr()
    for words in (("train", "cfg/toy.cfg"), ("train", "cfg/toy.cfg", "--resume"), ("report", "toy", "--no-measure")):
        main(*words, expect=2)
        assert capsys.readouterr().err.startswith("run.py: weights/toy: another run writes into this folder (process ")
    run = Run(open_task(runner.load("cfg/toy.cfg"), TaskOptions("cfg/toy.cfg")), RunFolder("cfg/toy.cfg"))
    for start in (run.begin, run.resume, lambda: next(run.updates())):
        with pytest.raises(UsageError, match="another run writes"):
            start()
    main("test", "cfg/toy.cfg")
    main("compare", "toy")
    assert {path: path.read_bytes() for path in Path("weights").rglob("*") if path.is_file()} == before
    lock.communicate()
    train("--name", "slow", "--set", "net.max_batches=3")
    train("--resume")


def test_a_run_from_python_is_locked_until_it_ends() -> None:
    folder, lock = RunFolder("cfg/toy.cfg"), Path("weights/.toy.lock")
    run = Run(open_task(runner.load("cfg/toy.cfg"), TaskOptions("cfg/toy.cfg")), folder)
    run.begin()
    assert lock.exists() and next(run.updates()) and lock.exists()
    run.finish()
    assert not lock.exists()
    run.resume()
    del run
    assert not lock.exists()
    Path("data/toy").rename("data/other")
    run = Run(open_task(runner.load("cfg/toy.cfg"), TaskOptions("cfg/toy.cfg", "data/other")), folder)
    (folder.path / "state.npz").unlink()
    with pytest.raises(CheckpointError):
        run.resume()
    assert not lock.exists()


def test_the_next_name_is_taken_where_a_run_with_the_name_of_the_moved_one_starts() -> None:
    train("--set", "net.max_batches=3")
    folder = RunFolder("cfg/toy.cfg")
    Path("weights/.toy-before.lock").write_text("the user's own")
    with folder.lock():
        assert folder.set_aside() == Path("weights/toy-before-2")


def test_temporary_files_of_a_killed_run_are_removed() -> None:
    train("--set", "net.max_batches=3")
    ours = [".last.weights.abcd_123.tmp", ".state.npz.new.abcdefgh.tmp", ".toy.cfg.0_000000.tmp"]
    others = [".notes.txt.abcd_123.tmp", ".last.weights.tmp", "last.weights.abcd_123.tmp", ".last.weights.ABCD.tmp"]
    for name in ours + others:
        (RUN / name).write_text("x")
    with RunFolder("cfg/toy.cfg").lock():
        assert {name for name in ours + others if (RUN / name).exists()} == set(others)


def test_data_in_the_folder_of_the_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    train("--set", "net.max_batches=3")
    Path("data/toy").rename("weights/toy/data")
    train("--data", "weights/toy/data", expect=2)
    assert "weights/toy/data: the data is in the folder of the run, weights/toy, which is renamed" in \
        capsys.readouterr().err
    Path("data/toy").mkdir()
    Path("data/toy/train.txt").write_text("".join(f"{path}\n" for path in Path("weights/toy/data").rglob("*.png")))
    Path("data/toy/toy.data").write_text("classes=2\ntrain=train.txt\nlabels=labels.txt")
    Path("data/toy/labels.txt").write_text("bright\ndark\n")
    train("--data", "data/toy/toy.data", expect=2)
    assert ".png: the data is in the folder of the run" in capsys.readouterr().err
    assert not Path("weights/toy-before").exists()
    train("--data", "weights/toy/data", "--name", "new", "--set", "net.max_batches=3")


def test_a_name_gives_the_run_its_own_folder(capsys: pytest.CaptureFixture[str]) -> None:
    train("--name", "slow", "--set", "net.max_batches=3")
    train("--set", "net.max_batches=4")
    assert run_facts("slow")["updates"] == 3 and run_facts()["updates"] == 4
    assert Path("weights/slow/slow.cfg").exists()
    train("--name", "../out", expect=2)
    assert "--name is the name of a folder below weights/" in capsys.readouterr().err


@pytest.mark.parametrize("beside, expected", [("several_labels: false\n", False), ("seed: 0\n", True)])
def test_whether_a_network_learned_several_labels(tmp_path: Path, beside: str, expected: bool) -> None:
    """The run.yaml beside the weights decides where it says so."""
    for name, text in (("own", "several_labels: true\n"), ("other", beside)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.yaml").write_text(text)
    folder = RunFolder(tmp_path / "own" / "a.cfg")
    assert folder.several_labels() is True and folder.several_labels(tmp_path / "other" / "x.weights") is expected
