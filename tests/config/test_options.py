"""The declarations of options: documented, checked, and the sentences for wrong values."""
from dataclasses import MISSING
from pathlib import Path

import pytest

import runner
from runner.config import Options, Report, parse
from runner.config.options import default_text
from runner.errors import UsageError
from runner.layers import LAYERS, Convolutional, Dropout
from runner.net_options import NetOptions
from tests.config.cases import NET, problems

SECTIONS = [*sorted({cls.names[0]: cls.Options for cls in LAYERS.values()}.items()), ("net", NetOptions)]


@pytest.mark.parametrize("name, options", SECTIONS)
def test_every_option_is_documented_and_checked(name: str, options: type[Options]) -> None:
    for key, f in options.declared().items():
        meta = f.metadata
        assert meta["doc"] and not meta["doc"].endswith("."), key
        assert default_text(f), key
        if f.type is str and not meta["choices"]:
            continue
        report = Report()
        section, = parse(f"[{name}]\n{key}=?!", "a.cfg", report)[-1:]
        assert options.parse(section, report) is None
        assert any(f"[{name}] {key} must be " in error and error.endswith("Got '?!'") for error in report.errors), key


@pytest.mark.parametrize("name, options", SECTIONS)
def test_defaults_pass_their_own_checks(name: str, options: type[Options]) -> None:
    from runner.config.options import _fits
    required = {f.name: (-2,) if "tuple" in str(f.type) else 1
                for f in options.declared().values() if f.metadata["default"] is MISSING}
    made = options.make(name, **required)
    for f in options.declared().values():
        value = getattr(made, f.name)
        assert value is None or _fits(value, f.metadata), f"{f.name}={value!r}"


def test_options_from_python() -> None:
    with pytest.raises(UsageError) as caught:
        Dropout(probability=3)
    assert str(caught.value) == "Dropout: probability must be a number, at least 0, at most 1. Got 3"
    with pytest.raises(UsageError, match=r"Dropout has no option 'prob' \(did you mean 'probability'\?\)"):
        Dropout(prob=.5)
    assert Convolutional((3, 8, 8), filters=2, size=3, pad=True).out_shape == (2, 8, 8)


def test_a_flag_is_given_as_a_cfg_says_it() -> None:
    layer = Convolutional((3, 8, 8), filters=4, size=3, pad=1)
    assert layer.options.pad is True and layer.out_shape == (4, 8, 8)
    with pytest.raises(UsageError, match=r"pad must be 0 or 1\. Got 2"):
        Convolutional((3, 8, 8), filters=4, size=3, pad=2)


def test_an_unknown_option_is_a_warning_or_with_strict_an_error(tmp_path: Path) -> None:
    text = NET + "[avgpool]\nzzz_private=3\n"
    (tmp_path / "a.cfg").write_text(text)
    net, report = runner.check(tmp_path / "a.cfg")
    assert net is not None and report.warnings[0].endswith(
        "[avgpool] unknown option 'zzz_private' is ignored: it resembles no option of [avgpool]")
    assert problems(tmp_path, text, strict=True) == [
        "a.cfg:6: [avgpool] unknown option 'zzz_private'. `explain avgpool` lists its options"]


def test_an_unknown_choice_names_the_near_one(tmp_path: Path) -> None:
    said, = problems(tmp_path, NET + "[convolutional]\nactivation=leeky")
    assert said.startswith("a.cfg:6: [convolutional] activation must be one of linear, logistic,")
    assert said.endswith("Got 'leeky' (did you mean 'leaky'?)")


def test_lists_and_flags_as_published_cfgs_write_them(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[convolutional]\nsize=3\npad=2\nstride=2,1\n[route]\nlayers = -1 , 0\n")
    report = Report()
    net = runner.load(tmp_path / "a.cfg", report=report)
    assert net.layers[0].out_shape == (1, 4, 4) and net.links[1] == (0, 0)
    assert [warning.split("] ")[1] for warning in report.warnings] == [
        "pad is 0 or 1; 2 counts as 1, as in darknet",
        "stride takes one number: the first of '2,1' is used, as in darknet"] or len(report.warnings) == 2
