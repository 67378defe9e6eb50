"""Every option that names an output is declared as one, and is refused where it would replace a file of the user's."""
import argparse
import os
from pathlib import Path

import pytest
from PIL import Image

from runner import cli
from runner.cli import common, darknet
from runner.outputs import OURS
from tests.verbs import main, train

# options that name what is read, or where a new folder is made
READ = {"--weights", "--data", "--names", "--partial", "--of", "--from", "--to", "--check-on", "--annotations"}
WRITTEN = {"merge --to"}        # the same name, but a file that is written


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_option_that_names_a_file_is_declared(verb: str) -> None:
    _, parser = cli._parser(verb)
    for action in parser._actions:
        if action.option_strings and action.metavar in ("FILE", "FOLDER", "PATH", "CFG", "IMAGE", "ADDRESS"):
            name = action.option_strings[-1]
            read = name in READ and f"{verb} {name}" not in WRITTEN
            assert isinstance(action, common.Output) != read, f"{verb} {name}: an input or an output?"
            assert not isinstance(action, common.Output) or action.content in {*OURS, "folder"}


@pytest.mark.usefixtures("toy_dir")
def test_no_verb_replaces_a_file_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before anything is computed: here not even the cfg exists."""
    Path("notes.png").write_text("notes")
    for verb in cli.VERBS:
        for action in cli._parser(verb)[1]._actions:
            if not isinstance(action, common.Output):
                continue
            words = [verb, *positional(verb), action.option_strings[0], "notes.png"]
            main(*words, expect=2)
            assert capsys.readouterr().err.startswith(f"run.py: {action.option_strings[0]} notes.png: "), words
    assert Path("notes.png").read_text() == "notes"


def positional(verb: str) -> list[str]:
    found: list[str] = []
    for action in cli._parser(verb)[1]._actions:
        if isinstance(action, common.Output) and action.required:
            found += [action.option_strings[0], "new.png"]
        elif not action.option_strings and not isinstance(action, argparse._HelpAction):
            found.append("missing")
    return found


@pytest.mark.usefixtures("toy_dir")
def test_an_output_that_is_an_input_or_another_output_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    main("picture", "dropout", "data/toy/test/dark/0.png", "--save", "a.png")
    main("picture", "dropout", "data/toy/test/dark/0.png", "--save", "a.png")
    image = Path("a.png").read_bytes()
    capsys.readouterr()
    main("picture", "dropout", "a.png", "--save", "data/../a.png", expect=2)
    assert capsys.readouterr().err.startswith("run.py: --save data/../a.png: this command reads this file")
    main("data", "data/toy", "--json", "b.json", "--save", "./b.json", expect=2)
    assert "this is also the file of --" in capsys.readouterr().err
    assert Path("a.png").read_bytes() == image and not Path("b.json").exists()


@pytest.mark.usefixtures("toy_dir")
def test_outputs_of_ours_are_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        train("--set", "net.max_batches=3", "--json", "a.json", "--log-json", "a.log")
        main("compare", "toy", "--save", "a.html", "--json", "b.json")
        main("predict", "cfg/toy.cfg", "data/toy/test/dark", "--json", "c.json")
        main("data", "data/toy", "--save", "d.png", "--json", "e.json")
        main("rates", "cfg/toy.cfg", "--quiet", "--updates", "4", "--json", "f.json", expect=1)
    assert Path("a.log").read_text().count('"event": "start"') == 2
    main("compare", "toy", "--json", os.devnull)
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("extension", ["png", "svg", "pdf"])
@pytest.mark.usefixtures("toy_dir")
def test_charts_of_ours_are_written_again(extension: str) -> None:
    pytest.importorskip("matplotlib")
    from runner.cli.rates import _draw
    from runner.outputs import obstacle
    from runner.training.rates import RatePoint
    points = [RatePoint(10. ** -n, 1., 1.) for n in range(4, 0, -1)]
    _draw(f"a.{extension}", points, 1e-3)
    assert not obstacle(f"a.{extension}", "chart", [])


def test_darknet_commands_do_not_replace_a_file(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.weights").write_text("the user's")
    assert darknet.respond(["partial", "a.cfg", "a.weights", "b.weights", "2", "--run"]) == 2
    assert capsys.readouterr().err.endswith("b.weights exists, and is not overwritten: name another file\n")
    assert Path("b.weights").read_text() == "the user's"


@pytest.mark.usefixtures("toy_dir")
def test_a_photo_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (9, 9)).save("photo.png")
    for words in (["augment", "cfg/toy.cfg"], ["data", "data/toy"], ["picture", "dropout", "data/toy/test/dark/0.png"]):
        main(*words, "--save", "photo.png", expect=2)
        assert "photo.png: there is a file that this program did not write" in capsys.readouterr().err


@pytest.mark.parametrize("extension", ["onnx", "safetensors", "npz"])
@pytest.mark.usefixtures("toy_dir")
def test_an_exported_network_is_written_again(extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    for package in {"onnx": ("onnx", "onnxruntime"), "safetensors": ("safetensors",)}.get(extension, ()):
        pytest.importorskip(package)
    from runner import load, weights
    weights.save(load("cfg/toy.cfg"), "a.weights")
    words = ["export", "cfg/toy.cfg", "--weights", "a.weights", "--to", f"a.{extension}"]
    main(*words)
    main(*words)
    Path(f"a.{extension}").write_text("notes")
    main(*words, expect=2)
    assert "did not write" in capsys.readouterr().err
