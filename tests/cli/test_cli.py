"""The command line in general (help, errors, exit statuses), and the verbs check, summary and explain."""
import io
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runner
from runner import __version__, ops
from runner.analysis import footprint
from runner.cli import VERBS, console, main
from tests.paths import ROOT

# --- help and errors of the command line ---------------------------------------------------------------

def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n    {verb} " in text for verb in VERBS) and "python run.py train cfg/net.cfg" in text


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"python run.py {verb}" in text.partition("positional arguments")[0]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"cfgrunner {__version__}"
    assert lines[1].startswith(f"Python {platform.python_version()}, NumPy {np.__version__} (BLAS ")
    assert lines[2].startswith("backends: numpy")


def test_an_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian", "cfg/net.cfg"]) == 2
    assert capsys.readouterr() == ("", "run.py: unknown verb 'trian' (did you mean 'train'?)\n")


@pytest.mark.parametrize(("words", "answer"), [
    (["train"], "the following arguments are required: cfg"),
    (["train", "x.cfg", "--seed", "-1"], "argument --seed: must be an integer, at least 0. Got '-1'"),
    (["train", "x.cfg", "--threads", "0"], "argument --threads: must be an integer, at least 1. Got '0'"),
    (["predict", "x.cfg", "a.png", "--top", "few"], "argument --top: must be an integer, at least 1. Got 'few'"),
    (["train", "x.cfg", "--compat", "pj"], "argument --compat: invalid choice: 'pj'"),
])
def test_invalid_arguments(words, answer, capsys):
    assert main(words) == 2
    assert answer in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train", "no.cfg"], ["test", "no.cfg", "--weights", "w"], ["summary", "no.cfg"]])
def test_a_missing_cfg(words, toy_dir, capsys):
    assert main(words) == 2
    assert capsys.readouterr() == ("", "run.py: no.cfg: the cfg file does not exist\n")


def test_a_bug_keeps_its_traceback(toy_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.cli.check.run", lambda args: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["check", "cfg/toy.cfg"])


def test_a_closed_pipe_is_not_an_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "run.py", "explain", "net"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colour_only_on_a_terminal_and_not_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console._printable(console.paint("ok", "green", Terminal())) == "\033[32mok\033[0m"
    assert console.paint("ok", "green", io.StringIO()) == "ok"
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.paint("ok", "green", Terminal()) == "ok"


# --- check -------------------------------------------------------------------------------------------------

HEAD = "[net]\nwidth=8\nheight=8\nchannels=3\n"


@pytest.mark.parametrize(("text", "answer"), [
    ("[conv]\nfilers=4\n", "my.cfg:6: [conv] unknown option 'filers' (did you mean 'filters'?)"),
    ("[conv]\nfilters=four\n", "my.cfg:6: [conv] filters must be an integer, at least 1. Got 'four'"),
    ("[conv]\nfilters 4\n", "my.cfg:6: [conv] an option is written key=value; an '=' is missing. Got 'filters 4'"),
    ("[convolutoinal]\nfilters=4\n", "my.cfg:5: [convolutoinal] unknown section (did you mean 'convolutional'?)"),
    ("[conv]\n[route]\n", "my.cfg:6: [route] needs the option 'layers' (integers separated by commas)"),
    ("[dropout]\nprobability=50\n",
     "my.cfg:6: [dropout] probability must be a number, at least 0, at most 1. Got '50'"),
])
def test_check_reports_an_error_in_one_line(text, answer, toy_dir, capsys):
    Path("my.cfg").write_text(HEAD + text)
    assert main(["check", "my.cfg"]) == 1
    assert capsys.readouterr().out.splitlines() == [answer, "my.cfg: 1 error"]


def test_check_suggests_a_similar_activation(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cfg").write_text(HEAD + "[conv]\nactivation=leeky\n")
    assert main(["check", "my.cfg"]) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("my.cfg:6: [conv] activation must be one of ")
    assert line.endswith("Got 'leeky' (did you mean 'leaky'?)")


def test_check_reports_all_errors_of_all_files_at_once(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cfg").write_text(HEAD + "[conv]\nfilers=4\nsize=x\n[soft]\ntemperature=-1\n")
    assert main(["check", "cfg/toy.cfg", "my.cfg"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cfg/toy.cfg: ok (3 layers, 248 parameters)"
    assert [line.split(" [")[0] for line in lines[1:4]] == ["my.cfg:6:", "my.cfg:7:", "my.cfg:9:"]
    assert lines[4:] == ["my.cfg: 3 errors"]


def test_check_warns_strictly_or_not(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cfg").write_text(HEAD + "[conv]\nfrobnicate=4\nsize=3\nsize=5\n")
    assert main(["check", "my.cfg"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "warning: my.cfg:8: [conv] size=5 is ignored: my.cfg:7 already says size=3"
    assert "warning: my.cfg:6: [conv] unknown option 'frobnicate' is ignored" in out
    assert main(["check", "--strict", "my.cfg"]) == 1
    assert main(["check", "--quiet", "cfg/toy.cfg"]) == 0


def test_check_of_missing_files_and_as_json(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.cfg").write_text(HEAD + "[conv]\nfilers=4\n")
    assert main(["check", "none.cfg", "cfg/toy.cfg"]) == 2
    assert capsys.readouterr() == ("cfg/toy.cfg: ok (3 layers, 248 parameters)\n",
                                   "run.py: none.cfg: no such file\n")
    assert main(["check", "cfg/toy.cfg", "my.cfg", "--json", "-"]) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert (good["file"], good["layers"], good["parameters"], good["errors"]) == ("cfg/toy.cfg", 3, 248, [])
    assert bad["layers"] is None and len(bad["errors"]) == 1


def test_check_weights_against_a_cfg(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("short.weights").write_bytes(bytes([0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0]) + bytes(8) + bytes(4 * 20))
    assert main(["check", "cfg/toy.cfg", "--weights", "short.weights"]) == 1
    assert "short.weights: the file ends in layer 0 [convolutional], at its weights: 27 values wanted, 17 left" \
        in capsys.readouterr().out
    assert main(["check", "cfg/toy.cfg", "--weights", "none.weights"]) == 2
    assert main(["check", "cfg/toy.cfg", "cfg/toy.cfg", "--weights", "short.weights"]) == 2


# --- summary and explain -----------------------------------------------------------------------------------

def test_summary(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "cfg/toy.cfg", "--set", "0.filters=4"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == "0 convolutional 6 x 6 x 1 6 x 6 x 4 40 0.000003 0.6 KB".split()
    assert "330 parameters (1.3 KB)" in out and "to train on 4 images at a time" in out


def test_summary_counts_what_is_in_memory_at_the_same_time(
        toy_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_in_use", "numpy")
    for name, function in ops.REFERENCE.items():        # the compiled backend has another memory layout
        monkeypatch.setattr(ops, name, function)
    Path("fork.cfg").write_text(HEAD + "[conv]\nfilters=2\n[conv]\nfilters=4\n[route]\nlayers=-2,-1\n[avgpool]\n")
    assert main(["summary", "fork.cfg", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [layer["reads"] for layer in found["layers"]] == [[-1], [0], [0, 1], [2]]
    assert found["parameters"] == (3 * 2 + 2) + (2 * 4 + 4)
    # a plan writes both outputs into their concatenation, 6 channels of 64
    net, _ = runner.check("fork.cfg")
    assert net
    need = footprint.inference(net)
    assert need.activations == 4 * (6 * 64 + 6 + 6) and found["inference_bytes"] == need.total


def test_explain_lists_the_sections(capsys: pytest.CaptureFixture[str]) -> None:
    from runner.layers import LAYERS
    assert main(["explain"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{kind.names[0]} " in out for kind in LAYERS.values()) and "\nnet " in out


@pytest.mark.parametrize("word", ["dropout", "drop", "[dropout]"])
def test_explain_a_section(word, capsys):
    assert main(["explain", word]) == 0
    out = capsys.readouterr().out
    assert out.startswith("[dropout] (also [drop])\n\nzeroes a random share of the inputs")
    assert "  probability  (a number, at least 0, at most 1; default 0.5 (0.2 with compat alexeyab))" in out
    assert out.index("probability  (") < out.index("options of every layer") < out.index("learning_rate  (")


def test_explain_one_option_and_suggest_similar_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "conv.pad"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "  pad  (0 or 1; default 0)"
    assert main(["explain", "dropuot"]) == 2
    assert capsys.readouterr().err == "run.py: unknown section [dropuot] (did you mean 'dropout'?)\n"
    assert main(["explain", "net.lerning_rate"]) == 2
    assert capsys.readouterr().err == "run.py: [net] has no option 'lerning_rate' (did you mean 'learning_rate'?)\n"
