"""--resume: options of a run.yaml that was edited."""
import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.cli import train
from runner.cli.restored import restore
from runner.errors import CheckpointError
from tests import toy, verbs


def restored(**options: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.arguments(parser)
    args = parser.parse_args(["a.cfg", "--resume"])
    restore(args, options, Path("run.yaml"), parser, train.NOT_RESTORED)
    return args


def test_options_are_restored_as_the_command_line_gives_them() -> None:
    args = restored(patience=3, save_every="10m", on_bad="error", kernels="numpy", data="a/b", seed=5)
    assert (args.patience, args.save_every, args.on_bad, args.backend, args.data, args.seed) == (
        3, "10m", "error", "numpy", "a/b", 5)


def test_options_of_a_single_call_and_unknown_ones_are_ignored() -> None:
    args = restored(weights=[1], cfg=5, run=1, settings=7, batch=[2], later_option={"a": 1})
    assert args.cfg == "a.cfg" and args.weights is None and args.batch is None and not hasattr(args, "later_option")


@pytest.mark.parametrize("key, value, rule", [
    ("patience", "many", "must be an integer, at least 1. Got 'many'"), ("patience", -3, "at least 1"),
    ("patience", [1], r"must be a number or a text. Got \[1\]"), ("patience", True, "must be a number"),
    ("patience", 10**5000, "a number of about 5,001 digits"), ("patience", 2.5, "must be an integer"),
    ("validate_every", "\u0663", "at least"),
    ("keep", float("nan"), "must be an integer"), ("seed", {}, "must be a number"), ("seed", 2**70, "at least 0"),
    ("save_every", 0, "must be a duration"), ("save_every", "9" * 5000, "5,000 characters"),
    ("on_bad", "ignore", "must be one of skip, error. Got 'ignore'"), ("on_bad", ["skip"], "must be one of"),
    ("compat", 5, "must be one of exact"), ("kernels", "gpu", "must be one of auto"),
    ("data", 7, "must be a text. Got 7"), ("data", None, "must be a text"), ("data", "a\0b", "must be a text")],
                         ids=lambda value: str(value)[:12] if isinstance(value, str) else "")
def test_other_values_are_refused(key: str, value: Any, rule: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^run\.yaml: options\.{key} .*{rule}"):
        restored(**{key: value})


def test_the_verb_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture) -> None:
    toy.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    verbs.train("--set", "net.max_batches=2", "--no-report")
    path = verbs.RUN / "run.yaml"
    path.write_text(yaml.safe_dump({**verbs.run_facts(), "options": {"patience": ["x"]}}))
    capsys.readouterr()
    verbs.train("--resume", expect=2)
    assert "weights/toy/run.yaml: options.patience must be a number or a text. Got ['x']" in capsys.readouterr().err
