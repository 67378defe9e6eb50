"""Runs on the command line: every command that is suggested is right, and every word that names a run finds it."""
import json
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.program import command
from runner.training import run as run_module
from tests import toy_boxes
from tests.verbs import RUN, edit, main, run_facts, train

PROGRAM = command()
Capture = pytest.CaptureFixture[str]


def suggested(out: str) -> list[list[str]]:
    """The words of the commands in an output, without the program."""
    lines = [line.partition(f"{PROGRAM} ")[2] for line in out.splitlines() if f"{PROGRAM} " in line]
    return [shlex.split(line) for line in lines]


def test_check_and_data_take_runs(toy_dir: Path, capsys: Capture) -> None:
    shutil.copytree("data/toy", "elsewhere")
    train("--data", "elsewhere", "--set", "net.width=8", "--no-report")
    capsys.readouterr()
    main("check", "toy", "weights/toy", "weights/toy/toy.cfg", "weights/toy/run.yaml", expect=1)     # a file is a cfg
    out = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("weights/toy/toy.cfg: ok ") for line in out) == 3 and "data=" not in "".join(out)
    main("data", "toy")
    assert capsys.readouterr().out.startswith("elsewhere: 12 images to train, 10 images to test, 2 classes")
    main("data", "none", expect=2)


def test_a_finished_run_is_not_warned_of_its_training(toy_dir: Path, capsys: Capture) -> None:
    train("--set", "net.burn_in=1000", "--no-report")
    assert "burn_in=1000 is not over" in capsys.readouterr().err
    main("test", "toy")
    main("predict", "toy", "data/toy/test/dark/0.png")
    assert "burn_in" not in capsys.readouterr().err
    main("check", "toy")
    assert "burn_in=1000 is not over" in capsys.readouterr().out


def test_next_commands_without_test_images(toy_dir: Path, capsys: Capture) -> None:
    shutil.rmtree("data/toy/test")
    train("--no-report", "--name", "only")
    for words in suggested(capsys.readouterr().out):
        main(*words)
    assert "12 images" in capsys.readouterr().out


def trained(*words: str, capsys: Capture) -> tuple[dict[str, Any], list[list[str]]]:
    """Train -> the metrics of its last evaluation, which are those of its best weights, and the suggested commands."""
    main("train", *words, "--quiet", "--no-report", "--json", "result.json")
    found = json.loads(Path("result.json").read_text())
    assert found["best"]["update"] == found["updates"]
    return found["metrics"], suggested(capsys.readouterr().out)


def measured(*words: str) -> dict[str, Any]:
    """The metrics that `test` computes."""
    main("test", *words, "--json", "measured.json")
    found: dict[str, Any] = json.loads(Path("measured.json").read_text())
    del found["schema_version"]
    return found


CASES = ["", "--name other", "--name 'a b'", "--data photos", "--data 'my photos' --name x", "--set 0.filters=5",
         "--set net.width=8 --set net.height=8 --name wide", "--compat alexeyab --data photos"]


@pytest.mark.parametrize(("cfg", "options"), [
    *(("cfg/toy.cfg", options) for options in CASES),
    *(("my nets/deep/toy.cfg", options) for options in ("", "--data 'my photos' --name x", "--set 0.filters=5"))])
def test_what_a_classifier_suggests(cfg: str, options: str, toy_dir: Path, capsys: Capture) -> None:
    for name in ("photos", "my photos"):
        shutil.copytree("data/toy", name)
        shutil.rmtree(f"{name}/test/dark")
        shutil.copytree(f"{name}/train/dark", f"{name}/test/dark")
    edit("[connected]", "[dropout]\nprobability=.2\n\n[connected]")     # it depends on --compat
    Path(cfg).parent.mkdir(parents=True, exist_ok=True)
    if cfg != "cfg/toy.cfg":
        Path("cfg/toy.cfg").rename(cfg)
    metrics, commands = trained(cfg, *shlex.split(options), capsys=capsys)
    assert [words[0] for words in commands] == ["test", "predict"]
    assert measured(*commands[0][1:]) == metrics
    capsys.readouterr()
    main(*commands[1])
    assert "test/bright/0.png  bright " in capsys.readouterr().out


def test_every_word_that_names_a_run(toy_dir: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("data/toy", "photos")
    metrics, _ = trained("cfg/toy.cfg", "--name", "slow", "--data", "photos", "--set", "0.filters=5", capsys=capsys)
    trained("cfg/toy.cfg", capsys=capsys)
    for word in ("slow", "weights/slow", "weights/slow/", "weights/slow/slow.cfg", "weights/slow/best.weights",
                 "weights/slow/run.yaml", str(Path("weights/slow").resolve())):
        assert measured(word) == metrics
    assert measured("cfg/toy.cfg", "--weights", "weights/slow/best.weights") == metrics
    capsys.readouterr()
    main("summary", "slow", "--json", "-")
    assert json.loads(capsys.readouterr().out)["layers"][0]["out_shape"].endswith("x 5")
    main("report", "slow")
    main("report", "cfg/toy.cfg")
    main("compare", "slow", "weights/toy")
    out, err = capsys.readouterr()
    assert err == "" and "weights/slow/report.html\n" + str(RUN / "report.html") in out
    trained("cfg/toy.cfg", "--name", "slow", capsys=capsys)         # moves it aside
    for word in ("slow-before", "weights/slow-before", "weights/slow-before/slow.cfg"):
        assert measured(word) == metrics
    (toy_dir / "far").mkdir()
    monkeypatch.chdir(toy_dir / "far")
    assert measured("../weights/slow-before") == metrics
    main("report", "../weights/slow-before")
    assert capsys.readouterr().err == ""


def test_options_of_the_call_come_first(toy_dir: Path, capsys: Capture) -> None:
    shutil.copytree("data/toy/train", "only/train")
    shutil.copytree("data/toy/train", "only/test")
    trained("cfg/toy.cfg", "--name", "slow", "--compat", "alexeyab", "--set", "net.batch=3", capsys=capsys)
    main("test", "slow", "--data", "only", "--compat", "exact", "--set", "net.batch=2")
    out, err = capsys.readouterr()
    assert out.startswith("12 images")
    assert err.splitlines() == [
        "weights/slow was trained with --set net.batch=3; here it is 2",
        "warning: weights/slow was trained with --compat alexeyab: use the same here",
        "weights/slow was trained on data/toy; here the data is only"]
    main("test", "slow", "--data", "./data/toy", "--compat", "alexeyab")
    assert capsys.readouterr().err == ""


def test_words_that_name_no_run(toy_dir: Path, capsys: Capture) -> None:
    def answer(*words: str) -> str:
        main(*words, expect=2)
        return capsys.readouterr().err.removeprefix("run.py: ").strip()
    assert answer("test", "slow") == "slow: neither a file nor a run (there are no runs in weights/)"
    train("--name", "slow", "--no-report")
    capsys.readouterr()
    assert answer("test", "slwo") == "slwo: neither a file nor a run (did you mean 'slow'?)"
    assert answer("test", "data") == "data: not a run: the folder of a run contains run.yaml"
    assert answer("compare", "cfg/toy.cfg") == "cfg/toy.cfg: there is no run of it in weights/toy"
    assert answer("test", "cfg/toy.cfg").endswith("or name a file with --weights. Runs of this cfg: slow")
    assert answer("test", "slow/best.weights", "--weights", "x").startswith("slow/best.weights: neither")
    assert answer("test", "weights/slow/best.weights", "--weights", "x").endswith("names weights already: omit "
                                                                                  "--weights")
    shutil.copy("weights/slow/best.weights", "a.weights")
    assert "a.weights: a .weights file does not describe its layers" in answer("test", "a.weights")
    Path("data/toy").rename("data/moved")
    assert answer("test", "slow") == ("weights/slow/run.yaml: the data of this run, data/toy, is not there any more. "
                                      "Use --data")
    main("test", "slow", "--data", "data/moved")
    assert "is a run. python run.py train slow --resume continues it" in answer("train", "slow")
    assert "so --name has no meaning" in answer("train", "slow", "--resume", "--name", "x")


def test_a_file_comes_before_a_run_of_that_name(toy_dir: Path, capsys: Capture) -> None:
    _, commands = trained("cfg/toy.cfg", "--name", "net", "--set", "0.filters=5", capsys=capsys)
    assert commands[0] == ["test", "net"]
    shutil.copy("cfg/toy.cfg", "net")
    Path("weights/net/run.yaml").rename("run.yaml")
    main("train", "net", "--quiet", "--name", "other", "--data", "data/toy", "--no-report")
    Path("run.yaml").rename("weights/net/run.yaml")
    capsys.readouterr()
    main("test", "net", "--weights", "weights/other/best.weights")
    assert capsys.readouterr().err == (
        "warning: net means the file of that name here; there is also the run weights/net\n")
    _, commands = trained("cfg/toy.cfg", "--name", "net", "--set", "0.filters=5", capsys=capsys)
    assert commands[0] == ["test", "weights/net"]


def test_a_cfg_that_has_changed_since(toy_dir: Path, capsys: Capture) -> None:
    train("--no-report")
    edit("activation=leaky", "activation=relu")
    edit("max_batches=30", "max_batches=50")
    capsys.readouterr()
    main("test", "cfg/toy.cfg")
    assert capsys.readouterr().err == (
        "warning: cfg/toy.cfg has changed since weights/toy was trained: layer 0 [convolutional] activation was "
        "leaky, now relu. weights/toy/toy.cfg is the cfg as it was\n")
    main("test", "toy")
    assert capsys.readouterr().err == ""
    Path("other").mkdir()
    shutil.copy("cfg/toy.cfg", "other/toy.cfg")
    main("test", "other/toy.cfg", "--data", "data/toy")
    assert capsys.readouterr().err == (
        "warning: weights/toy is a run of cfg/toy.cfg, not of other/toy.cfg: its settings and its data are not used\n")


def test_a_run_that_was_stopped(toy_dir: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("data/toy", "my photos")
    words = ("cfg/toy.cfg", "--data", "my photos", "--set", "net.batch=3", "--seed", "3", "--compat", "pjreddie")
    metrics, _ = trained(*words, "--name", "whole", capsys=capsys)
    original = run_module.train

    def pressed(net: Any, batches: Any, optimizer: Any) -> Any:
        for step in original(net, batches, optimizer=optimizer):
            if step.number == 12:
                signal.raise_signal(signal.SIGINT)
            yield step
    monkeypatch.setattr(run_module, "train", pressed)
    main("train", *words, "--name", "a b", "--quiet", expect=130)
    monkeypatch.setattr(run_module, "train", original)
    resume, *following = suggested(capsys.readouterr().out)
    assert resume == ["train", "a b", "--resume"]
    main("predict", *following[1][1:])      # last.weights
    again, following = trained(*resume[1:], capsys=capsys)
    assert again == metrics == measured(*following[0][1:])
    before, now = run_facts("whole"), run_facts("a b")
    same = ("cfg", "data", "seed", "compat", "settings", "classes", "best", "updates", "status")
    assert [before[key] for key in same] == [now[key] for key in same]
    assert now["command"].endswith("--name 'a b' --quiet")
    assert now["resumed"].startswith(f"{PROGRAM} train 'a b' --resume")


def test_a_longer_run_agrees_with_itself(toy_dir: Path, capsys: Capture) -> None:
    train("--set", "net.max_batches=20")
    capsys.readouterr()
    main("train", "toy", "--resume", "--set", "net.max_batches=24", "--quiet")
    assert "max_batches=24\n" in (RUN / "toy.cfg").read_text()
    facts = run_facts()
    assert (facts["settings"], facts["updates"], facts["cfg"]) == (["net.max_batches=24"], 24, "cfg/toy.cfg")
    assert "max_batches=24" in (RUN / "report.html").read_text()
    shutil.copytree(RUN, "weights/other")
    capsys.readouterr()
    main("compare", "toy", "other")
    assert "the runs have the same settings" in capsys.readouterr().out
    assert measured("cfg/toy.cfg")["images"] == 10


def test_what_a_detector_suggests(squares_dir: Path, capsys: Capture) -> None:
    Path("my data").mkdir()
    Path("data/squares").rename("my data/squares")
    edit("max_batches=200", "max_batches=40", "cfg/squares.cfg")
    metrics, commands = trained("cfg/squares.cfg", "--name", "boxes", "--data", "my data/squares", "--set",
                                "net.batch=16", "--validate-every", "40", capsys=capsys)
    assert [words[:2] for words in commands] == [["test", "boxes"], ["detect", "boxes"]]
    found = measured(*commands[0][1:])
    assert found.pop("threshold") > 0 and found == metrics
    main(*commands[1], "--thresh", "0")
    assert "bright" in capsys.readouterr().out and list(Path("out").iterdir())


def test_files_that_a_cfg_names_are_found_from_the_folder_of_the_run(squares_dir: Path, capsys: Capture) -> None:
    Path("cfg/anchor.tree").write_text("bright -1\ndark -1\n")
    text = toy_boxes.CFG.replace("max_batches=200", "max_batches=3").partition("[yolo]")[0]
    region = "[region]\nclasses=2\nnum=1\nanchors=2.5,2.5\ntree=anchor.tree\nsoftmax=1\n"
    Path("cfg/squares.cfg").write_text(text + region)
    _, commands = trained("cfg/squares.cfg", "--name", "tree", capsys=capsys)
    for words in (*commands, ["test", "weights/tree/tree.cfg"], ["summary", "tree"]):
        main(*words)
        assert "anchor.tree" not in capsys.readouterr().err


def test_what_a_character_model_suggests(toy_dir: Path, capsys: Capture) -> None:
    Path("my text.txt").write_text("to be or not to be, that is the question. " * 40)
    Path("chars.cfg").write_text("[net]\ninputs=256\nbatch=3\ntime_steps=5\nmax_batches=12\nlearning_rate=.1\n"
                                 "[lstm]\noutput=8\n[connected]\noutput=256\nactivation=linear\n[softmax]\n")
    metrics, commands = trained("chars.cfg", "--name", "text", "--data", "my text.txt", "--set", "net.time_steps=7",
                                capsys=capsys)
    assert [words[:2] for words in commands] == [["generate", "text"], ["test", "text"]]
    main(*commands[0])
    out, err = capsys.readouterr()
    assert out.startswith("To be") and len(out) > 400 and err == ""
    assert measured(*commands[1][1:]) == metrics


def test_the_learning_rate_that_rates_finds(toy_dir: Path, capsys: Capture) -> None:
    Path("data/toy").rename("my photos")
    main("rates", "cfg/toy.cfg", "--data", "my photos", "--set", "0.filters=5", "--compat", "pjreddie", "--quiet",
         "--updates", "40")
    (words,) = suggested(capsys.readouterr().out)
    main(*words, "--quiet", "--no-report")
    facts = run_facts()
    assert facts["data"] == "my photos" and facts["compat"] == "pjreddie" and len(facts["settings"]) == 2


@pytest.mark.parametrize(("package", "words"), [
    ("matplotlib.figure", ["rates", "cfg/toy.cfg", "--save", "rates.png"]),
    ("cv2", ["detect", "cfg/toy.cfg", "data/toy/test/dark", "clip.mp4"])])
def test_a_missing_package_is_reported_before_the_work(package: str, words: list[str], toy_dir: Path, capsys: Capture,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("runner.model.load", lambda *words, **options: pytest.fail("reads the cfg first"))
    monkeypatch.setattr("runner.load", lambda *words, **options: pytest.fail("reads the cfg first"), raising=False)
    main(*words, expect=2)
    assert "which is not installed: pip install" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "problem"), [
    ("settings: 3\n", "settings"), ("a: [1\n", "this is not YAML"), ("- 1\n", "run.yaml")])
def test_a_damaged_run_yaml_is_a_sentence(text: str, problem: str, toy_dir: Path, capsys: Capture) -> None:
    train("--no-report")
    (RUN / "run.yaml").write_text(text)
    for words in (["test", "toy"], ["summary", "weights/toy"], ["compare", "toy"], ["train", "toy", "--resume"]):
        capsys.readouterr()
        main(*words, expect=2)
        err = capsys.readouterr().err
        assert err.startswith("run.py: weights/toy/run.yaml") and problem in err and "Traceback" not in err
