"""What newcomers read: the index of docs/ is complete, and the commands of docs/your-own-photos.md run."""
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import cli, weights
from runner.cli.init import CFG
from tests import toy_boxes
from tests.paths import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "your-own-photos.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[2:] for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)
            for line in block.splitlines()]
SHORT = ["--set", "net.max_batches=2", "--set", "net.batch=4", "--set", "net.burn_in=0"]


def listed(index: Path) -> list[str]:
    """The pages of an index: one line each."""
    return re.findall(r"(?m)^- \[([^]]+)\]\(\1\): \S", index.read_text(encoding="utf-8"))


def test_the_index_lists_every_page_once() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path != DOCS / "README.md"}
    names = listed(DOCS / "README.md")
    assert len(names) == len(set(names)) and set(names) == pages


def test_the_readme_lists_the_first_page_and_the_index() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/your-own-photos.md)" in text and "(docs/README.md)" in text


def photos(folder: Path, grey: int, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(grey)
    for number in range(count):
        pixels = rng.integers(0, 40, (48, 60, 3)) + grey
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")


def published() -> None:
    """A classifier of five classes with weights, and the cfg of it that the page describes: three classes."""
    text = CFG.format(classes="", count=5, check="", data="", train="")
    Path("efficientnet-lite0.cfg").write_text(text)
    weights.save(runner.load("efficientnet-lite0.cfg"), "efficientnet-lite0.weights")
    Path("birds/lite.cfg").write_text(text.replace("output=5", "output=3"))


def cells() -> None:
    """A detection dataset of two classes, and the copy of cfg/scenes.cfg that the page describes."""
    toy_boxes.make(Path())
    Path("data/squares").rename("cells")
    text = (ROOT / "cfg/scenes.cfg").read_text(encoding="utf-8")
    for line, new in [("data=data/scenes.yaml", "data=cells"),
                      ("classes=10", "classes=2"), ("filters=45", "filters=21")]:
        assert line in text
        text = text.replace(line, new)
    Path("cells.cfg").write_text(text)


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) > 15
    for words in COMMANDS:
        if "birds/lite.cfg" in words:
            published()
        if {"cells", "cells.cfg"} & {*words} and not Path("cells").exists():
            cells()
        short = [*SHORT, *(["--no-report"] if Path("weights").exists() else [])] if words[0] == "train" else []
        status = cli.main([*words, *short])
        out, err = capsys.readouterr()
        assert status == 0, f"{shlex.join(words)}\n{out}{err}"
        if words[0] == "init":
            for name, grey in (("crow", 20), ("owl", 100), ("robin", 180)):
                photos(Path("birds/images", name), grey, 5)
            photos(Path("new"), 100, 2)
        if "--partial" in words:
            assert re.search(r"(?m)layers loaded; initialized: \d+ \[connected\]$", out + err)
    for path in ("sheet.png", "augmented.png", "wrong.csv", "boxes.png", "weights/birds/report.html", "found"):
        assert Path(path).exists(), path


def test_what_the_table_suggests_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of [net] in the page are options of [net], with a value that is allowed."""
    monkeypatch.chdir(tmp_path)
    settings = set(re.findall(r"`(batch|subdivisions|learning_rate|burn_in|policy|power|balance|flip|split_share)="
                              r"([\w.]+)`", PAGE))
    assert {name for name, _ in settings} >= {"subdivisions", "balance", "flip", "policy"}
    for name, value in settings:
        Path("a.cfg").write_text(CFG.format(classes="", count=2, check="", data="", train=""))
        text = Path("a.cfg").read_text()
        lines = re.sub(rf"(?m)^{name}=.*\n", "", text).replace("[net]\n", f"[net]\n{name}={value}\n")
        Path("a.cfg").write_text(lines)
        assert cli.main(["check", "a.cfg"]) == 0, f"{name}={value}"


def test_ci_runs_the_slow_tests_that_the_short_command_leaves_out() -> None:
    """`python -m pytest` is for a newcomer, with requirements.txt only; CI passes -m "" to run everything."""
    assert 'addopts = ["-m", "not slow"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'python -m pytest -m ""' in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ours, package, public = (re.findall(r"-m pytest -q(.*)", (ROOT / path).read_text(encoding="utf-8"))
                             for path in (".ci/run", ".ci/package", ".github/workflows/test.yml"))
    assert ours == [' -m ""'] and package == [""]
    assert len(public) >= 2 and all(options == ' -m ""' for options in public)
