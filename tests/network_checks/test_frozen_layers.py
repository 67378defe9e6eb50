"""Layers that are not trained: networks in which nothing is left to learn, and options without an effect."""
from pathlib import Path

import pytest

import runner
from runner import network_checks
from runner.cli import main
from tests.paths import ROOT
from tests.test_network_checks import NET, conv, said


def test_a_network_that_is_all_frozen(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert said(tmp_path, NET + conv() + "[avgpool]\n[softmax]\nstopbackward=1\n") == ([], [])
    assert main(["train", str(tmp_path / "a.cfg"), "--data", str(ROOT / "data" / "digits")]) == 2
    assert "stopbackward=1 and onlyforward=1 keep every layer that could learn as it is" in capsys.readouterr().err
    (tmp_path / "a.cfg").write_text(NET + conv() + "[avgpool]\n[softmax]\ntrain_only_bn=1\n")
    assert network_checks.untrainable(runner.load(tmp_path / "a.cfg").layers) == \
        ("stopbackward=1, onlyforward=1 and train_only_bn=1 keep every layer that could learn as it is, so there is "
         "nothing to train")
    (tmp_path / "a.cfg").write_text(NET + conv() + "batch_normalize=1\n[avgpool]\n[softmax]\ntrain_only_bn=1\n")
    assert not network_checks.untrainable(runner.load(tmp_path / "a.cfg").layers), "its statistics change"
    (tmp_path / "a.cfg").write_text(NET + conv() + "stopbackward=1\n" + conv() + "[avgpool]\n[softmax]\n")
    assert not network_checks.untrainable(runner.load(tmp_path / "a.cfg").layers)
    (tmp_path / "a.cfg").write_text(NET + "[avgpool]\n[softmax]\n")
    assert not network_checks.untrainable(runner.load(tmp_path / "a.cfg").layers), "it may be measured so"


def test_burnin_update_without_burn_in(tmp_path: Path) -> None:
    text = NET + conv() + "burnin_update=2\n[avgpool]\n[softmax]\n"
    assert said(tmp_path, text)[1] == ["a.cfg:11: [convolutional] burnin_update has no effect without burn_in= in "
                                       "[net]"]
    assert not said(tmp_path, text.replace("[net]", "[net]\nburn_in=5", 1))[1]


def test_a_frozen_detection_head_still_means_boxes(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + conv(6) + "[yolo]\nclasses=1\nnum=1\n"
                                    "stopbackward=1\n" + conv() + "[softmax]\n")
    assert "[softmax] is compared with classes, and layer 1 [yolo] with boxes" in \
        network_checks.untrainable(runner.load(tmp_path / "a.cfg").layers)


def test_values_are_not_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.cfg").write_text("[net]\ninputs=4\n[connected]\noutput=3\n[softmax]\n")
    assert main(["check", str(tmp_path / "a.cfg")]) == 0
    assert "a.cfg: the network takes 4 values, not images" in capsys.readouterr().out
    (tmp_path / "a.cfg").write_text("[net]\ninputs=4\n[convolutional]\nfilters=6\nactivation=linear\n[yolo]\n"
                                    "classes=1\nrandom=1\n")
    assert main(["check", str(tmp_path / "a.cfg")]) == 0
    assert "in which a detection head could learn boxes" in capsys.readouterr().out
    assert main(["train", str(tmp_path / "a.cfg"), "--data", str(ROOT / "data" / "scenes")]) == 2
