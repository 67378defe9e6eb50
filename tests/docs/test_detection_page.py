"""docs/detection.md: the commands about tiles run, and the numbers of their table are those of the program."""
import json
import re
import shlex
from pathlib import Path

import pytest

from runner import cli
from tests.paths import ROOT
from tools import make_canvases

PAGE = (ROOT / "docs/detection.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[1:] for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)
            for line in block.splitlines()]
NUMBERS = [[cell.strip() for cell in row.split("|")[1:-1]]
           for row in re.findall(r"(?m)^\| (?:without tiles|`--tiles [^`]*`) \| \d+ \| .*\|$", PAGE)]


def test_the_commands_about_tiles_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) == 9 and COMMANDS[0] == ["tools/make_canvases.py", "canvases"]
    make_canvases.main(Path("canvases"), canvases=1)
    for words in COMMANDS[1:]:
        assert cli.main(words[1:]) == 0, shlex.join(words)
    found, = json.loads(Path("found.json").read_text())
    assert len(found["objects"]) > 150 and Path("out/0.png").exists()


@pytest.mark.slow
def test_the_numbers_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    make_canvases.main(Path("canvases"))
    assert len(NUMBERS) == 6
    for options, _, *numbers in NUMBERS:
        words = [] if options == "without tiles" else options.strip("`").split()
        capsys.readouterr()
        assert cli.main(["test", "cfg/scenes.cfg", "--data", "canvases", *words, "--json", "-"]) == 0
        metrics = json.loads(capsys.readouterr().out)
        printed = [float(number.rstrip(" %")) for number in numbers]
        measured = [100 * metrics["map"], 100 * metrics["map50_95"], metrics["best"]["f1"]]
        assert measured == pytest.approx(printed, abs=.1), options
