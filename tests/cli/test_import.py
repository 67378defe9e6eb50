"""`import`: what it writes, what it refuses, and the commands of docs/export.md."""
from pathlib import Path

import pytest

import runner
from runner.export.files import save_arrays
from tests.paths import ROOT
from tests.verbs import main

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.importing.graphs import NETWORKS, Build  # noqa: E402

Capture = pytest.CaptureFixture[str]
COMMANDS = [line.split()[2:] for line in (ROOT / "docs/export.md").read_text(encoding="utf-8").splitlines()
            if line.startswith("python run.py import ")]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_of_the_page(words: list[str], capsys: Capture) -> None:
    if "--cfg" in words:
        save_arrays(runner.load("cfg/net.cfg"), words[1])
        main(*words)
        assert ".convolutional" in capsys.readouterr().out
        runner.load("cfg/net.cfg", "digits.weights")
        return
    if "--size" in words:
        b = Build(("batch", 3, "height", "width"))
        onnx.save(b.model(b.conv("x", 3, 2, stride=16), rank=4), words[1])
    else:
        onnx.save(NETWORKS["residual"](), words[1])
    main(*words)
    printed = capsys.readouterr().out
    assert "net.cfg: " in printed and "net.weights: " in printed and " same" in printed
    runner.load("net.cfg", "net.weights")
    main("check", "net.cfg")


def test_nothing_is_overwritten(capsys: Capture) -> None:
    onnx.save(NETWORKS["fire"](), "model.onnx")
    for taken in ("net.cfg", "net.weights"):
        Path(taken).write_text("mine")
        main("import", "model.onnx", "--to", "net.cfg", "net.weights", expect=2)
        assert f"{taken} exists, and is not overwritten" in capsys.readouterr().err
        assert Path(taken).read_text() == "mine"
        Path(taken).unlink()
    main("import", "model.onnx", "--to", "net.weights", "net.cfg", expect=2)
    assert "--to needs a name that ends in .cfg" in capsys.readouterr().err
    main("import", "model.onnx", "--to", "a/net.cfg", "net.weights", expect=2)
    assert "there is no folder a" in capsys.readouterr().err


def test_a_network_that_computes_something_else_is_not_written(
        monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from runner.importing import onnx_network
    onnx.save(NETWORKS["vgg"](), "model.onnx")
    real = onnx_network.difference
    monkeypatch.setattr(onnx_network, "difference",
                        lambda name, ours, theirs, share: real(name, ours + 1, theirs, share))
    main("import", "model.onnx", "--to", "net.cfg", "net.weights", expect=1)
    captured = capsys.readouterr()
    assert "DIFFERS" in captured.out and "net.cfg is not written" in captured.err
    assert not Path("net.cfg").exists() and not Path("net.weights").exists()
