"""report, compare, rates, and who else watches a run."""
import base64
import io
import json
import re
import struct
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner import cli
from runner.errors import Diverged, MissingExtra
from runner.training import TaskOptions, open_task
from runner.training import rates as rates_module
from runner.training.metrics import Table
from runner.training.rates import RatePoint, suggest, sweep
from runner.training.report import charts, html
from runner.training.report_items import CaptionedImage, ConfusionMatrix, ImageGrid, LineChart
from tests import toy

HERE = Path("weights/toy")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path)


def main(*words, expect=0):
    assert cli.main(words) == expect


def train(*words, expect=0):
    main("train", "cfg/toy.cfg", "--quiet", *words, expect=expect)


class Page(HTMLParser):
    """The text of a page, its pictures, and every address it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.pictures, self.fetched = [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and not value.startswith(("#", "data:")):
                self.fetched.append(value)
            if name == "src" and value.startswith("data:image/png;base64,"):
                self.pictures.append(Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2]))))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in ("meta", "img", "br", "link"):
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(path):
    return Page(Path(path).read_text())


# --- report ------------------------------------------------------------------------------------------------------

def test_a_report_has_everything_and_fetches_nothing(capsys):
    train("--validate-every", "10")
    assert f"report:  {HERE}/report.html" in capsys.readouterr().out
    page = read(HERE / "report.html")
    text = " ".join(page.words)
    for part in ("data/toy: 12 images to train, 10 to test, 2 classes", "Loss", "Score", "Learning rate",
                 "accuracy 100.00", "Confusion matrix", "Worst images", "Best images", "The network",
                 "convolutional", "max_batches=30"):
        assert part in text, part
    assert not page.fetched and len(page.pictures) == 20       # 10 right ones, least and most sure; none is wrong
    assert {max(picture.size) for picture in page.pictures} <= {6, 7}
    before = (HERE / "report.html").read_bytes()
    for name in ("toy", str(HERE)):
        (HERE / "report.html").unlink()
        main("report", name)
        assert capsys.readouterr().out == f"{HERE}/report.html\n"
        assert (HERE / "report.html").read_bytes() == before


def test_what_is_wrong_is_shown_with_what_it_was_taken_for():
    (Path("data/toy/test/dark") / "9.png").write_bytes(Path("data/toy/test/bright/1.png").read_bytes())
    train("--validate-every", "10")
    text = " ".join(read(HERE / "report.html").words)
    assert "dark, predicted as bright" in text and "(1 wrong)" in text


def test_a_report_without_data_tells_what_it_can(capsys):
    train("--no-report")
    assert not (HERE / "report.html").exists()
    Path("data").rename("elsewhere")
    capsys.readouterr()
    main("report", "toy")
    assert "This report contains no evaluation: " in capsys.readouterr().err
    text = " ".join(read(HERE / "report.html").words)
    assert "This report contains no evaluation" in text and "Loss" in text and "The network" in text
    main("report", "none", expect=2)
    assert "none: not a run" in capsys.readouterr().err


def test_a_report_without_matplotlib_has_tables_and_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    train()
    text = " ".join(read(HERE / "report.html").words)
    assert text.count("pip install -r requirements-plots.txt") == 3 and "precision" in text


def test_a_character_model_has_a_report_too():
    Path("novel.txt").write_text("to be or not to be, that is the question. " * 40)
    Path("text.cfg").write_text("[net]\ninputs=256\nbatch=4\ntime_steps=5\nmax_batches=12\n[gru]\noutput=6\n[connected]\n"
                                "output=256\n[softmax]\n")
    main("train", "text.cfg", "--data", "novel.txt", "--quiet", "--validate-every", "5")
    text = " ".join(read("weights/text/report.html").words)
    assert "bits/character (perplexity" in text and "Score" in text and "Confusion" not in text


def test_drawings_take_the_colour_of_the_page_and_share_no_names():
    pytest.importorskip("matplotlib")
    lines = {"one": (range(5000), np.sin(np.arange(5000) / 500)), "two": ([1, 2], [3, 4])}
    drawings = [charts.svg(LineChart(title, "x", "y", lines)) for title in ("First one", "Second")]
    names = []
    for drawing in drawings:
        assert charts.INK not in drawing and "currentColor" in drawing and len(drawing) < 60_000
        root = ElementTree.fromstring(drawing)
        own = {element.get("id") for element in root.iter() if element.get("id")}
        used = set(re.findall(r"url\(#(.*?)\)|href=\"#(.*?)\"", drawing))
        assert {a or b for a, b in used} <= own
        names.append(own)
    assert not names[0] & names[1]


def test_thinning_keeps_the_shape():
    xs = np.arange(10_000.)
    x, y = charts.downsample(xs, 2 * xs)
    assert len(x) == charts.MAX_POINTS and np.allclose(y, 2 * x) and x[0] < 20 and x[-1] > 9970
    assert charts.downsample(xs[:5], xs[:5])[0] is not None and len(charts.downsample(xs[:5], xs[:5])[0]) == 5


def test_text_of_the_user_is_text():
    for thing in (Table("<b>", [("<i>",), ("&",)]), ConfusionMatrix("<b>", ["<i>"], np.array([[3]])),
                  ImageGrid("<b>", [CaptionedImage(np.zeros((4, 5, 3), np.uint8), "<i>\n&")])):
        made = html.render(thing)
        assert "<b>" not in made and "<i>" not in made and "&lt;i&gt;" in made


def test_large_pictures_are_reduced():
    made = html.render(ImageGrid("p", [CaptionedImage(np.zeros((400, 1000, 3), np.uint8), "")], 50))
    image = Image.open(io.BytesIO(base64.b64decode(re.search("base64,(.*?)\"", made)[1])))
    assert image.size == (100, 40) and 'width="50"' in made


# --- compare -----------------------------------------------------------------------------------------------------

def test_compare(capsys):
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


# --- rates -------------------------------------------------------------------------------------------------------

def test_a_sweep_rises_evenly():
    net = runner.load("cfg/toy.cfg")
    tried = list(sweep(open_task(net, TaskOptions("cfg/toy.cfg")), 1e-3, 1e3, 61))
    ratios = [b.rate / a.rate for a, b in pairwise(tried)]
    assert tried[0].rate == pytest.approx(1e-3) and np.allclose(ratios, 10 ** .1)
    assert tried[0].smooth == pytest.approx(tried[0].loss)
    assert .1 < suggest(tried) < 10 and tried[-1].smooth < tried[0].smooth


def test_the_suggestion_is_where_it_falls_fastest():
    logs = np.linspace(-4, 1, 101)
    losses = 2 - 1 / (1 + np.exp(-4 * (logs + 2))) + np.where(logs > 0, logs * 9, 0)
    tried = [RatePoint(10 ** x, y, y) for x, y in zip(logs, losses, strict=True)]
    assert suggest(tried) == pytest.approx(1e-2, rel=.2)
    assert suggest(tried[:5]) is None
    assert suggest([RatePoint(10 ** x, x + 9, x + 9) for x in logs]) is None


def test_rates(capsys, monkeypatch):
    main("rates", "cfg/toy.cfg", "--from", "1e-3", "--to", "100", "--json", "r.json", "--quiet")
    out, found = capsys.readouterr().out, json.loads(Path("r.json").read_text())
    assert out.splitlines()[-1] == ("python run.py train cfg/toy.cfg --set net.learning_rate="
                                    f"{found['suggested']:.2g}")
    assert not Path("weights").exists()
    main("rates", "cfg/toy.cfg", "--from", "2", "--to", "1", expect=2)
    main("rates", "cfg/toy.cfg", "--save", "x.doc", expect=2)
    pytest.importorskip("matplotlib")
    main("rates", "cfg/toy.cfg", "--quiet", "--save", "r.png")
    with Image.open("r.png") as image:
        assert image.size[0] > 800

    def lost(net, batches):
        yield from ()
        raise Diverged("no number")
    monkeypatch.setattr(rates_module, "train", lost)
    capsys.readouterr()
    main("rates", "cfg/toy.cfg", "--quiet", expect=1)
    assert "the loss never falls clearly" in capsys.readouterr().out


# --- watchers ----------------------------------------------------------------------------------------------------

def test_json_lines(capsys):
    train("--validate-every", "10", "--log-json", "-")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "update"] == ["start", *["measured"] * 3, "end"]
    updates = [line for line in lines if line["event"] == "update"]
    assert [line["update"] for line in updates] == list(range(1, 31))
    assert set(updates[0]) == {"event", "update", "seen", "loss", "smooth", "rate", "images", "seconds", "waited"}
    assert lines[-1]["ended"] == "finished" and lines[-2]["score"] == lines[-1]["best"]["score"] == 1
    train("--log-json", "log.jsonl", "--set", "net.max_batches=3")
    assert "3 updates" in capsys.readouterr().out and len(Path("log.jsonl").read_text().splitlines()) == 6


def test_tensorboard_files():
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install -r "
                                               "requirements-tensorboard.txt")
    from tensorboardX.proto.event_pb2 import Event
    train("--tensorboard", "--validate-every", "10")
    file, = (HERE / "tensorboard").iterdir()
    data, at, found = file.read_bytes(), 0, {}
    while at < len(data):
        length, = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12:at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert [step for step, _ in found["train/loss"]] == list(range(1, 31))
    assert [step for step, _ in found["test/score"]] == [10, 20, 30] and found["test/score"][-1][1] == 1
    assert "train/images_per_second" in found and "test/test_loss" in found


def test_tensorboard_is_an_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    train("--tensorboard", expect=2)
    assert "--tensorboard needs the package 'tensorboardX', which is not installed: pip install -r " \
           "requirements-tensorboard.txt" in capsys.readouterr().err
    assert issubclass(MissingExtra, runner.RunnerError)
