"""The cfg language: its grammar, and the exact sentence for every mistake."""
from dataclasses import MISSING
from pathlib import Path

import pytest

import runner
from runner.config import Options, Report, parse
from runner.config.options import default_text
from runner.errors import CfgError, UsageError
from runner.layers import LAYERS, Convolutional, Dropout
from runner.net_options import NetOptions

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
KINDS = [*sorted({kind.names[0]: kind.Options for kind in LAYERS.values()}.items()), ("net", NetOptions)]


def problems(tmp_path: Path, text: str, **more) -> list[str]:
    (tmp_path / "a.cfg").write_text(text)
    _, report = runner.check(tmp_path / "a.cfg", **more)
    return [error.replace(str(tmp_path) + "/", "") for error in report.errors]


@pytest.mark.parametrize("text, says", [
    ("[convolutional]\nfilers=4", "a.cfg:6: [convolutional] unknown option 'filers' (did you mean 'filters'?)"),
    ("[dropout]\nprobabilty=.9", "a.cfg:6: [dropout] unknown option 'probabilty' (did you mean 'probability'?)"),
    ("[convolutional]\nfilters=four", "a.cfg:6: [convolutional] filters must be an integer, at least 1. Got 'four'"),
    ("[convolutional]\nfilters=1.5", "a.cfg:6: [convolutional] filters must be an integer, at least 1. Got '1.5'"),
    ("[convolutional]\nfilters=0", "a.cfg:6: [convolutional] filters must be an integer, at least 1. Got '0'"),
    ("[dropout]\nprobability=50", "a.cfg:6: [dropout] probability must be a number, at least 0, at most 1. Got '50'"),
    ("[dropout]\nprobability=nan", "a.cfg:6: [dropout] probability must be a number, at least 0, at most 1. Got 'nan'"),
    ("[convolutional]\nfilters", "a.cfg:6: [convolutional] an option is written key=value; an '=' is missing. "
                                 "Got 'filters'"),
    ("[convolutional]\nfilters=", "a.cfg:6: [convolutional] an option is written key=value; a value after the '=' is "
                                  "missing. Got 'filters='"),
    ("[convolutonal]", "a.cfg:5: [convolutonal] unknown section (did you mean 'convolutional'?)"),
    ("[route]", "a.cfg:5: [route] needs the option 'layers' (integers separated by commas)"),
    ("[shortcut]", "a.cfg:5: [shortcut] needs the option 'from' (integers separated by commas)"),
    ("[dropout]\nprobability=0\n[shortcut]\nfrom=-7", "a.cfg:8: [shortcut] layer 1 reads layer -6; it can read 0 to 0, "
                                                     "or -1 to -1 counted back"),
    ("[route]\nlayers=3", "a.cfg:6: [route] layer 0 reads layer 3; it is the first and can read only the input"),
    ("[maxpool]\nsize=1\npadding=1", "a.cfg:5: [maxpool] layer 0: size=1 stride=1 padding=1 leaves a window that "
                                    "covers no pixel of a 8 x 8 image"),
    ("[convolutional]\nsize=9", "a.cfg:5: [convolutional] layer 0: size=9 does not fit into an image of 8 x 8 pixels "
                                "with 0 zeros on each side"),
    ("[convolutional]\nfilters=4\ngroups=2", "a.cfg:5: [convolutional] layer 0: groups=2 must divide both the 3 "
                                             "input channels and filters=4"),
    ("[net]", "a.cfg:5: [net] there can be only one [net], and it comes first"),
    ("", "a.cfg:1: [net] there is no layer after it"),
    ("[avgpool", "a.cfg:5: the section header '[avgpool' has no ']'"),
])
def test_mistakes(tmp_path: Path, text: str, says: str) -> None:
    assert problems(tmp_path, NET + text) == [says]


def test_a_wrong_word_names_the_near_one(tmp_path: Path) -> None:
    said, = problems(tmp_path, NET + "[convolutional]\nactivation=leeky")
    assert said.startswith("a.cfg:6: [convolutional] activation must be one of linear, logistic,")
    assert said.endswith("Got 'leeky' (did you mean 'leaky'?)")


@pytest.mark.parametrize("text, says", [
    ("", "a.cfg:1: the file holds no section; the first must be [net]"),
    ("[maxpool]\n", "a.cfg:1: [maxpool] the first section must be [net] or [network]"),
    ("batch=1\n[net]\ninputs=3\n[softmax]\n", "a.cfg:1: 'batch=1' comes before the first [section]"),
    ("[net]\n[softmax]\n",
     "a.cfg:1: [net] needs width, height and channels (or inputs, where the input is not an image)"),
    ("[net]\ninputs=3\npolicy=steps\n[softmax]\n", "a.cfg:3: [net] policy=steps needs steps= and scales=, a list of "
                                                   "updates and one of factors"),
    ("[net]\ninputs=3\npolicy=steps\nsteps=1,2\nscales=.1\n[softmax]\n",
     "a.cfg:5: [net] scales must have as many numbers as steps: 2. Got 1"),
])
def test_mistakes_of_the_whole_file(tmp_path: Path, text: str, says: str) -> None:
    assert problems(tmp_path, text) == [says]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    said = problems(tmp_path, NET + "[maxpool]\nsize=two\nstrid=1\n[dropuot]\n[convolutional]\nfilters=-1\n[route]\n")
    assert [line.split(": ")[0] for line in said] == ["a.cfg:6", "a.cfg:7", "a.cfg:8", "a.cfg:10", "a.cfg:11"]


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match=r"b.cfg: the cfg file does not exist"):
        runner.load(tmp_path / "b.cfg")
    (tmp_path / "b.cfg").write_bytes(b"\x89PNG\0\xff")
    with pytest.raises(CfgError, match=r"this is not a text file"):
        runner.load(tmp_path / "b.cfg")


def test_what_resembles_nothing_is_a_warning_and_strictly_an_error(tmp_path: Path) -> None:
    text = NET + "[avgpool]\nzzz_private=3\n"
    (tmp_path / "a.cfg").write_text(text)
    net, report = runner.check(tmp_path / "a.cfg")
    assert net is not None and report.warnings[0].endswith(
        "[avgpool] unknown option 'zzz_private' is ignored: it resembles no option of [avgpool]")
    assert problems(tmp_path, text, strict=True) == [
        "a.cfg:6: [avgpool] unknown option 'zzz_private'. `explain avgpool` lists its options"]


def test_the_first_of_two_wins_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[dropout]\nprobability=.25\nprobability=.5\n")
    report = Report()
    net = runner.load(tmp_path / "a.cfg", report=report)
    assert net.layers[0].options.probability == .25
    assert report.warnings[0].endswith("a.cfg:7: [dropout] probability=.5 is ignored: "
                                       f"{tmp_path}/a.cfg:6 already says probability=.25")


@pytest.mark.parametrize("text", [
    "[net]\r\nwidth = 8\r\nheight=8\r\nchannels=3\r\n[conv]\r\nfilters=2 # two\r\nactivation = leaky#comment",
    "\ufeff[network]\nwidth=8\nheight=8\n; a comment\nchannels=3\n# another\n\n [ conv ] # named\n filters = 2\n"
    "activation=leaky",
])
def test_what_darknet_reads_only_by_luck(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.cfg").write_bytes(text.encode("utf-8"))
    net = runner.load(tmp_path / "a.cfg")
    assert net.layers[0].options.filters == 2 and net.layers[0].options.activation == "leaky"


def test_lists_and_flags_as_the_wild_writes_them(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[convolutional]\nsize=3\npad=2\nstride=2,1\n[route]\nlayers = -1 , 0\n")
    report = Report()
    net = runner.load(tmp_path / "a.cfg", report=report)
    assert net.layers[0].out_shape == (1, 4, 4) and net.links[1] == (0, 0)
    assert [warning.split("] ")[1] for warning in report.warnings] == [
        "pad is 0 or 1; 2 counts as 1, as in darknet",
        "stride takes one number: the first of '2,1' is used, as in darknet"] or len(report.warnings) == 2


@pytest.mark.parametrize("setting, says", [
    ("net.batch=x", "--set net.batch=x: [net] batch must be an integer, at least 1. Got 'x'"),
    ("0.filters=0", "--set 0.filters=0: [convolutional] filters must be an integer, at least 1. Got '0'"),
    ("7.filters=1", "--set 7.filters=1: layers are numbered 0 to 0"),
    ("droput.probability=1", "--set droput.probability=1: the cfg has no section [droput] (known: convolutional, net)"),
    ("batch=4", "--set batch=4: expected SECTION.OPTION=VALUE, for instance net.batch=32 or 5.probability=0.3"),
    ("net.bach=4", "--set net.bach=4: [net] unknown option 'bach' (did you mean 'batch'?)"),
])
def test_wrong_settings(tmp_path: Path, setting: str, says: str) -> None:
    assert problems(tmp_path, NET + "[convolutional]\n", settings=[setting]) == [says]


def test_settings_by_index_by_name_and_by_alias(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(NET + "[conv]\n[convolutional]\nfilters=9\n")
    net = runner.load(tmp_path / "a.cfg", settings=["conv.filters=5", "1.size=3", "net.learning_rate=0.5"])
    assert [layer.options.filters for layer in net.layers] == [5, 5]
    assert net.layers[1].options.size == 3 and net.options.learning_rate == 0.5


@pytest.mark.parametrize("name, options", KINDS)
def test_every_option_is_documented_and_refuses_nonsense(name: str, options: type[Options]) -> None:
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


@pytest.mark.parametrize("name, options", KINDS)
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
