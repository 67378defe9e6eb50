"""`compare`: results, and the settings that differ."""
import json
import re
from pathlib import Path

import pytest

from tests.training.report.page import read
from tests.verbs import main, train


def test_compare(toy_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train()
    train("--name", "slow", "--set", "net.learning_rate=.01", "--set", "net.max_batches=20", "--seed", "3",
          "--patience", "9")
    capsys.readouterr()
    main("compare", "toy", "weights/slow", "--save", "both.html", "--json", "both.json")
    out = capsys.readouterr().out
    assert re.search(r"toy +finished +30 +100.00 % +30", out)
    lines = {line.split("  ")[0].strip(): line.split()[-2:] for line in out.splitlines() if line}
    assert lines["[net] learning_rate"] == ["0.1", ".01"] and lines["[net] max_batches"] == ["30", "20"]
    assert lines["seed"] == ["0", "3"] and lines["--patience"] == ["set", "9"] and "[net] batch" not in lines
    found = json.loads(Path("both.json").read_text())
    assert found["differences"]["seed"] == {"toy": "0", "slow": "3"} and found["runs"]["slow"]["updates"] == 20
    page = read("both.html")
    assert not page.fetched and {"toy", "slow", "Loss", "[net] learning_rate"} <= set(page.words)
    main("compare", "toy", "toy")
    assert "the runs have the same settings" in capsys.readouterr().out
    main("compare", "toy", "other", expect=2)
