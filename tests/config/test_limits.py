"""A cfg of any content is read or refused in bounded time, memory and words."""
from pathlib import Path

import pytest

import runner
from runner.config import Report, parse
from runner.config.diagnostics import LONGEST, MOST
from runner.errors import CfgError, closest, did_you_mean, misspelled
from runner.net_options import NetOptions
from tests.config.cases import NET, problems


@pytest.mark.parametrize("value", ["2147483648", "-2147483649", "9" * 400, "9" * 5000, "1e309", "inf", "nan", "²", "٣",
                                   "1_000", "1e39", "½", "+", "0x10"])
@pytest.mark.parametrize("key", ["batch", "learning_rate", "steps", "scales", "flip"])
def test_numbers_python_reads_or_cannot_hold_are_refused(key: str, value: str) -> None:
    if key in ("learning_rate", "scales") and value.startswith(("2147", "-2147")):
        value += "e30"      # an integer of this size is a float
    report = Report()
    section, = parse(f"[net]\n{key}={value}\n", "a.cfg", report)
    NetOptions.parse(section, report)
    error, = report.errors
    assert error.startswith(f"a.cfg:2: [net] {key} must be ") and len(error) < LONGEST + 100


def test_the_error_says_how_large_a_number_may_be(tmp_path: Path) -> None:
    assert problems(tmp_path, NET + "[convolutional]\nfilters=99999999999\n") == [
        "a.cfg:6: [convolutional] filters must be an integer, at least 1. Got '99999999999' (darknet's numbers have 32 "
        "bits: up to 2,147,483,647)"]


def test_many_errors_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "".join(f"[word{i}]\n" for i in range(3000)))
    net, report = runner.check(tmp_path / "a.cfg")
    assert net is None and report.count == 3000
    assert len(report.errors) == MOST + 1 and report.errors[-1] == "... and 2,900 more errors"
    with pytest.raises(CfgError) as caught:
        runner.load(tmp_path / "a.cfg")
    assert len(str(caught.value)) < MOST * 200


def test_many_warnings_and_unknown_options_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[avgpool]\n" + "".join(f"zz{i}=1\n" for i in range(2500)))
    net, report = runner.check(tmp_path / "a.cfg")
    assert net is None and report.warnings[-1] == "... and 1,900 more warnings"
    assert "too many to look for words that resemble them" in report.errors[0] and report.count == 500


def test_a_long_sentence_is_cut() -> None:
    report = Report()
    report.error("a.cfg:1: [net] " + "x" * 100_000 + " the end")
    error, = report.errors
    assert len(error) < LONGEST + 100 and "characters left out" in error and error.endswith(" the end")


def test_no_word_is_looked_for_that_is_too_long() -> None:
    known = ["convolutional", *map(str, range(1000))]
    assert closest("convolutional" * 1000, known) is None and misspelled("convolutional" * 1000, known) is None
    assert did_you_mean("x" * 1000, known).endswith("and 901 more)")


def test_a_setting_may_name_no_such_layer(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[avgpool]\n")
    for name in ("9" * 5000, "²", "٣", "-1", "99"):
        net, report = runner.check(tmp_path / "a.cfg", settings=[f"{name}.size=1"])
        assert net is None and report.count == 1
