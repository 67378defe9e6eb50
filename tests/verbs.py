"""Running verbs on the toy datasets, for tests of the command line and of training."""
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import runner
from runner import cli

CFG = "cfg/toy.cfg"
RUN = Path("weights/toy")
BEST, LAST = RUN / "best.weights", RUN / "last.weights"


def main(*words: str, expect: int = 0) -> None:
    """Run a verb, which must return this exit status."""
    assert cli.main(words) == expect


def train(*words: str, expect: int = 0) -> None:
    """Train cfg/toy.cfg without progress."""
    main("train", CFG, "--quiet", *words, expect=expect)


def run_facts(name: str = "toy") -> dict[str, Any]:
    """The run.yaml of weights/name."""
    facts: dict[str, Any] = yaml.safe_load(Path("weights", name, "run.yaml").read_text())
    return facts


def layer_weights(path: str | Path) -> list[np.ndarray]:
    """The weights of the two layers of cfg/toy.cfg in a .weights file."""
    net = runner.load(CFG, path)
    return [net.layers[i].params["weights"] for i in (0, 1)]


def edit(old: str, new: str, path: str = CFG) -> None:
    """Replace a text that the file must contain."""
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))
