"""Short forms of --set, and options that people know from other programs."""
import argparse
import importlib
import shutil
from pathlib import Path

import pytest

from runner.cli import VERBS, module_of
from runner.cli.neighbours import NEIGHBOURS
from tests.verbs import RUN, main, run_facts, train

pytestmark = pytest.mark.usefixtures("toy_dir")
Capture = pytest.CaptureFixture[str]


def test_short_forms_are_settings() -> None:
    train("--batch", "3", "--lr", ".05", "--size", "8x7", "--epochs", "5", "--no-report")
    facts = run_facts()     # 12 images in batches of 3: 4 updates in an epoch
    assert facts["settings"] == ["net.batch=3", "net.learning_rate=.05", "net.width=8", "net.height=7",
                                 "net.max_batches=20"]
    assert facts["updates"] == 20 and "width=8\nheight=7\n" in (RUN / "toy.cfg").read_text()
    train("--resume", "--epochs", "6", "--no-report")
    assert run_facts()["updates"] == 24 and run_facts()["settings"][-1] == "net.max_batches=24"


def test_the_epochs_of_a_text(capsys: Capture) -> None:
    Path("text.txt").write_text("to be or not to be. " * 20)        # 400 characters, of which 360 are to train on
    Path("chars.cfg").write_text("[net]\ninputs=256\nbatch=3\ntime_steps=6\nlearning_rate=.1\n[rnn]\noutput=8\n"
                                 "[connected]\noutput=256\nactivation=linear\n[softmax]\n")
    main("train", "chars.cfg", "--data", "text.txt", "--quiet", "--no-report", "--epochs", "2")
    assert run_facts("chars")["updates"] == 40


def test_errors_of_short_forms(capsys: Capture) -> None:
    for words, answer in (
            (("--epochs", "2", "--set", "net.max_batches=9"), "--epochs sets net.max_batches: give only one of them"),
            (("--epochs", "0"), "--epochs: must be an integer, at least 1. Got '0'"),
            (("--size", "8x"), "--size: must be N or WxH, in pixels. Got '8x'"),
            (("--batch", "x"), "--set net.batch=x: [net] batch must be an integer, at least 1")):
        train(*words, expect=2)
        assert answer in capsys.readouterr().err
    assert not Path("weights").exists()


def test_another_input_size_for_trained_weights(capsys: Capture) -> None:
    text = Path("cfg/toy.cfg").read_text()
    Path("cfg/toy.cfg").write_text(text.replace("[connected]\noutput=2\n", "[conv]\nfilters=2\nsize=1\n\n[avgpool]\n"))
    train("--no-report")
    capsys.readouterr()
    main("test", "toy", "--size", "9")
    assert capsys.readouterr().out.startswith("10 images")
    main("predict", "toy", "data/toy/test/dark/0.png", "--size", "8x12")
    assert "0.png  " in capsys.readouterr().out


@pytest.mark.parametrize(("words", "answer"), [
    ("train cfg/toy.cfg --learning-rate .1", "unknown option --learning-rate: here it is --lr"),
    ("train cfg/toy.cfg --lr0=.1", "unknown option --lr0: here it is --lr"),
    ("train cfg/toy.cfg --batch_size 4", "unknown option --batch_size: here it is --batch"),
    ("train cfg/toy.cfg --imgsz 8", "unknown option --imgsz: here it is --size"),
    ("train cfg/toy.cfg --model toy", "unknown option --model: the cfg, or the run, is the first argument: it has no "
                                      "option"),
    ("train cfg/toy.cfg -gpus 0,1", "unknown option -gpus: everything is computed on the CPU; --threads says on how "
                                    "many cores"),
    ("train cfg/toy.cfg -dont_show", "unknown option -dont_show: no option is needed: nothing is shown on a screen; "
                                     "--save writes what is drawn"),
    ("test cfg/toy.cfg --conf .4", "unknown option --conf: here it is --thresh"),
    ("test cfg/toy.cfg -thresh .4", "unknown option -thresh: did you mean --thresh?"),
    ("train cfg/toy.cfg --patiense 3", "unknown option --patiense: did you mean --patience?"),
    ("train cfg/toy.cfg --cos_lr", "unknown option --cos_lr: here it is --set net.policy=sgdr"),
    ("detect cfg/toy.cfg x.png --iou .5", "unknown option --iou: here it is --nms"),
    ("detect cfg/toy.cfg x.png --vid_stride 2", "unknown option --vid_stride: here it is --every"),
    ("detect cfg/toy.cfg x.png -http_port 80", "unknown option -http_port: nothing is sent anywhere; --json writes the "
                                               "results into a file"),
    ("detect cfg/toy.cfg x.png --name slow", "unknown option --name: a run is named in place of the cfg"),
    ("test cfg/toy.cfg --name slow", "unknown option --name: a run is named in place of the cfg"),
])
def test_options_of_other_programs(words: str, answer: str, capsys: Capture) -> None:
    main(*words.split(), expect=2)
    assert capsys.readouterr().err == f"run.py: {answer}\n"


def test_the_table_names_options_that_exist() -> None:
    own = set()
    for verb in VERBS:
        parser = argparse.ArgumentParser()
        importlib.import_module(module_of(verb)).arguments(parser)
        own |= {flag for action in parser._actions for flag in action.option_strings}
    for name, here in NEIGHBOURS.items():
        assert not here.startswith("--") or here.split()[0] in own, name


def test_predict_takes_a_names_file_that_fits(capsys: Capture) -> None:
    train("--no-report")
    shutil.copy("weights/toy/best.weights", "cfg/published.weights")
    Path("cfg/toy.names").write_text("day\nnight\n")
    Path("cfg/more.names").write_text("a\nb\nc\n")
    capsys.readouterr()
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/0.png", "--weights", "cfg/published.weights")
    assert capsys.readouterr().out.split()[1] == "dark", "the run of the cfg comes first"
    Path("weights/toy").rename("weights/else")
    main("predict", "cfg/toy.cfg", "data/toy/test/dark/0.png", "--weights", "cfg/published.weights")
    assert capsys.readouterr().out.split()[1] == "night"
