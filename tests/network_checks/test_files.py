"""Files that a cfg names: `check` and `train` refuse those that are missing or do not fit."""
from pathlib import Path

import pytest

from runner.cli import main
from tests.paths import ROOT
from tests.test_network_checks import HEAD, NET, conv, said


def test_files_a_head_will_need(tmp_path: Path) -> None:
    text = NET + conv(12) + HEAD + "map=classes.map\n"
    missing = "is neither in the folder of the cfg nor in the working directory: training and detecting need it"
    assert said(tmp_path, text) == ([f"a.cfg:15: [yolo] map=classes.map {missing}"], [])
    (tmp_path / "classes.map").write_text("0\n")
    assert said(tmp_path, text) == ([], [])
    (tmp_path / "classes.map").write_text("1\n")
    assert said(tmp_path, text)[0] == ["a.cfg:15: [yolo] classes.map:1: a class map has one class on each line, 0 to 0 "
                                       "(classes=1): it must be a whole number, at least 0, at most 0. Got '1'"]
    text = NET + conv(7) + "[region]\nclasses=2\ntree=a.tree\nmap=classes.map\n"
    assert said(tmp_path, text)[0] == [f"a.cfg:13: [region] tree=a.tree {missing}"]
    (tmp_path / "a.tree").write_text("one -1\n")
    assert said(tmp_path, text)[0] == ["a.cfg:13: [region] classes=2 in [region], and a.tree has 1 class"]
    (tmp_path / "a.tree").write_text("one -1\ntwo 4\n")
    assert said(tmp_path, text)[0] == ["a.cfg:13: [region] a.tree:2: expected 'name parent', parent being the "
                                       "number of an earlier line, from 0, or -1. Got 'two 4'"]
    (tmp_path / "a.tree").write_text("one -1\ntwo 0\n")
    assert said(tmp_path, text)[0] == []


def test_train_refuses_a_missing_file_as_check_does(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.cfg").write_text(NET + conv(7) + "[region]\nclasses=2\ntree=a.tree\n")
    assert main(["check", str(tmp_path / "a.cfg")]) == 1
    says = f"{tmp_path}/a.cfg:13: [region] tree=a.tree is neither in the folder of the cfg nor in the working directory"
    assert says in capsys.readouterr().out
    assert main(["train", str(tmp_path / "a.cfg"), "--data", str(ROOT / "data" / "scenes.yaml")]) != 0
    assert says in capsys.readouterr().err
    assert main(["summary", str(tmp_path / "a.cfg")]) == 0      # shapes do not need the file


def test_check_warns_of_data_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.cfg").write_text(f"{NET}data=nowhere\n[connected]\noutput=3\n[softmax]\n")
    assert main(["check", str(tmp_path / "a.cfg")]) == 0
    assert "[net] data=nowhere does not exist" in capsys.readouterr().out
