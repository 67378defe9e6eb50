"""The weights that come with the program: what they are, when they are used, and that nothing overwrites them."""
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import runner
from runner import shipped
from runner.chosen_run import choose, or_shipped
from runner.run_folder import RunFolder
from tests.paths import ROOT
from tests.verbs import CFG, edit, main, train

SHIPPED = sorted(path.parent for path in (ROOT / "weights" / "shipped").glob("*/run.yaml"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_each_is_the_run_of_its_cfg(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    facts = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    cfg = f"cfg/{folder.name}.cfg"
    assert facts["command"].startswith(f"python run.py train {cfg} ") and facts["cfg"] == cfg
    assert facts["status"] == "finished" and facts["score"] and facts["versions"]
    assert runner.load(cfg, folder / "best.weights").param_count
    row, = [line for line in (ROOT / "weights" / "README.md").read_text(encoding="utf-8").splitlines()
            if line.startswith(f"| `shipped/{folder.name}`")]
    best, megabytes = facts["best_text"], (folder / "best.weights").stat().st_size / 1e6
    assert best.removesuffix("bits/character").strip() in row and row.endswith(f" {megabytes:.2f} MB |")
    command = facts["command"].removeprefix("python run.py ").replace(" --quiet", "")
    assert f"`{command}`" in row
    run = or_shipped(choose(cfg))
    assert run.shipped or RunFolder(cfg).best.exists()      # a run of the person who runs this test


def test_they_are_small_and_name_no_machine() -> None:
    assert {folder.name for folder in SHIPPED} == {"net", "scenes", "chars", "mnist"}
    files = [path for folder in SHIPPED for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) < 3e6
    absolute = re.compile(r"(^|[\s:='\"])(/|[A-Z]:\\)")
    assert not [path for path in files if path.suffix != ".weights" and absolute.search(path.read_text("utf-8"))]
    assert absolute.search("data: /home/me/photos")


def test_the_score_of_the_starter_is_what_test_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    main("test", "cfg/net.cfg", "--json", "-")
    output = capsys.readouterr()
    facts = yaml.safe_load((ROOT / "weights" / "shipped" / "net" / "run.yaml").read_text(encoding="utf-8"))
    assert json.loads(output.out)["top1"] == pytest.approx(facts["best"]["score"], abs=2 / 355)
    assert f"weights: {ROOT / 'weights' / 'shipped' / 'net' / 'best.weights'}, which came with" in output.err


@pytest.mark.parametrize("words, found", [
    (("predict", "cfg/net.cfg", "data/digits/test/7/0004.png"), "data/digits/test/7/0004.png  7 "),
    (("detect", "cfg/scenes.cfg", "data/scenes/images/test/0000.png"), "0000.png: 3 found"),
    (("generate", "cfg/chars.cfg", "--length", "40"), "\n"),
    (("predict", "cfg/mnist.cfg", "data/digits/test/7/0004.png"), "digit_")])
def test_a_fresh_clone_can_use_them(words: tuple[str, ...], found: str, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    main(*words)
    output = capsys.readouterr()
    assert found in output.out and "best.weights, which came with the program (" in output.err
    assert list(tmp_path.iterdir()) == []


# --- with the toy cfg, whose run is shipped ---------------------------------------------------------------------

@pytest.fixture
def toy_is_shipped(toy_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of cfg/toy.cfg, moved to weights/shipped/toy."""
    monkeypatch.setattr(shipped, "SHARE", toy_dir)
    train()
    Path("weights/shipped").mkdir()
    shutil.move("weights/toy", "weights/shipped/toy")
    return toy_dir / "weights" / "shipped" / "toy"


def used(capsys: pytest.CaptureFixture[str], word: str = CFG) -> str:
    capsys.readouterr()
    main("test", word)
    return "shipped" if "which came with the program" in capsys.readouterr().err else "own"


def test_a_run_of_ones_own_comes_first(toy_is_shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in toy_is_shipped.iterdir()}
    assert used(capsys) == "shipped"
    main("test", CFG, "--weights", "weights/shipped/toy/best.weights")
    train("--seed", "5")
    assert used(capsys) == "own"
    assert {path: path.read_bytes() for path in toy_is_shipped.iterdir()} == before
    assert used(capsys, "weights/shipped/toy") == "own", "named as a run, there is nothing to remark"


@pytest.mark.parametrize("old, new", [
    ("[softmax]", "[activation]\nactivation=relu\n[softmax]"), ("filters=", "stride=2\nfilters="),
    ("width=6", "width=7"), ("batch=4", "batch=4\ndata=data/toy")])
def test_they_must_fit_the_cfg(old: str, new: str, toy_is_shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit("learning_rate=0.1", "learning_rate=0.2")
    assert used(capsys) == "shipped", "how it is trained makes no difference"
    edit(old, new)
    main("test", CFG, expect=2)
    assert "there are no weights yet" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("train", CFG, "--name", "shipped/toy"), ("train", "weights/shipped/toy/toy.cfg"),
                                   ("train", "weights/shipped/toy/toy.cfg", "--resume"), ("report", "shipped/toy")])
def test_nothing_is_written_there(words: tuple[str, ...], toy_is_shipped: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in toy_is_shipped.iterdir()}
    main(*words, expect=2)
    assert "these weights come with the program, and nothing is written there" in capsys.readouterr().err
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in toy_is_shipped.iterdir()} == before
    run = RunFolder(CFG, "shipped/toy")
    with pytest.raises(runner.RunnerError, match="come with the program"):
        run.lock()


def test_an_unknown_cfg_has_none(toy_dir: Path) -> None:
    assert not or_shipped(choose(CFG)).shipped
    assert np.all([not or_shipped(choose(f"{name}.cfg")).shipped for name in ("none", "net")])
