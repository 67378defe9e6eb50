"""The cfg language: its grammar, and the exact sentence for every error."""
from pathlib import Path

import pytest

import runner
from runner.config import Report
from runner.errors import CfgError
from tests.config.cases import NET, problems


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
def test_errors_of_a_section(tmp_path: Path, text: str, says: str) -> None:
    assert problems(tmp_path, NET + text) == [says]


@pytest.mark.parametrize("text, says", [
    ("", "a.cfg:1: the file holds no section; the first must be [net]"),
    ("[maxpool]\n", "a.cfg:1: [maxpool] the first section must be [net] or [network]"),
    ("batch=1\n[net]\ninputs=3\n[softmax]\n", "a.cfg:1: 'batch=1' comes before the first [section]"),
    ("a\nb\n\nc\n[net]\ninputs=3\n[softmax]\n", "a.cfg:1: 'a' comes before the first [section] (and 2 more)"),
    ("a\nb\n", "a.cfg:1: 'a' is not a section, and the file holds no section; the first must be [net]"),
    ("[net]\n[softmax]\n",
     "a.cfg:1: [net] needs width, height and channels (or inputs, where the input is not an image)"),
    ("[net]\ninputs=3\npolicy=steps\n[softmax]\n", "a.cfg:3: [net] policy=steps needs steps= and scales=, a list of "
                                                   "updates and one of factors"),
    ("[net]\ninputs=3\npolicy=steps\nsteps=1,2\nscales=.1\n[softmax]\n",
     "a.cfg:5: [net] scales must have as many numbers as steps: 2. Got 1"),
])
def test_errors_of_the_whole_file(tmp_path: Path, text: str, says: str) -> None:
    assert problems(tmp_path, text) == [says]


def test_all_errors_are_reported_in_the_order_of_the_file(tmp_path: Path) -> None:
    said = problems(tmp_path, NET + "[maxpool]\nsize=two\nstrid=1\n[dropuot]\n[convolutional]\nfilters=-1\n[route]\n")
    assert [line.split(": ")[0] for line in said] == ["a.cfg:6", "a.cfg:7", "a.cfg:8", "a.cfg:10", "a.cfg:11"]


def test_a_missing_file_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match=r"b.cfg: the cfg file does not exist"):
        runner.load(tmp_path / "b.cfg")
    (tmp_path / "b.cfg").write_bytes(b"\x80\0\xff")
    with pytest.raises(CfgError, match=r"this is not a text file"):
        runner.load(tmp_path / "b.cfg")


def test_the_first_of_repeated_keys_wins_with_a_warning(tmp_path: Path) -> None:
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
def test_line_ends_comments_and_blanks(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.cfg").write_bytes(text.encode("utf-8"))
    net = runner.load(tmp_path / "a.cfg")
    assert net.layers[0].options.filters == 2 and net.layers[0].options.activation == "leaky"
