"""The folder of a run: its files, its name, and the run that was there before."""
from pathlib import Path

import pytest

from runner.training.log import curves
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
    train("--resume", "--name", "toy-before", "--set", "net.max_batches=33")
    assert run_facts("toy-before")["updates"] == 33


def test_a_name_gives_the_run_its_own_folder(capsys: pytest.CaptureFixture[str]) -> None:
    train("--name", "slow", "--set", "net.max_batches=3")
    train("--set", "net.max_batches=4")
    assert run_facts("slow")["updates"] == 3 and run_facts()["updates"] == 4
    assert Path("weights/slow/slow.cfg").exists()
    train("--name", "../out", expect=2)
    assert "--name is the name of a folder below weights/" in capsys.readouterr().err
