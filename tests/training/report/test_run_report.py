"""report.html of a run: what it contains, with and without data, matplotlib and images."""
import sys
from pathlib import Path

import pytest

from tests.training.report.page import read
from tests.verbs import RUN, main, train

pytestmark = pytest.mark.usefixtures("toy_dir")


def test_a_report_has_everything_and_fetches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    train("--validate-every", "10")
    assert f"report:  {RUN}/report.html" in capsys.readouterr().out
    page = read(RUN / "report.html")
    text = " ".join(page.words)
    for part in ("data/toy: 12 images to train, 10 to test, 2 classes", "Loss", "Score", "Learning rate",
                 "accuracy 100.00", "Confusion matrix", "Wrong images", "Correct, with the lowest", "The network",
                 "convolutional", "max_batches=30"):
        assert part in text, part
    assert not page.fetched
    assert len(page.images) == 20       # 10 correct ones, by lowest and by highest probability; none is wrong
    assert {max(image.size) for image in page.images} <= {6, 7}
    before = (RUN / "report.html").read_bytes()
    for name in ("toy", str(RUN)):
        (RUN / "report.html").unlink()
        main("report", name)
        assert capsys.readouterr().out == f"{RUN}/report.html\n"
        assert (RUN / "report.html").read_bytes() == before


def test_wrong_predictions_are_shown_with_both_classes() -> None:
    (Path("data/toy/test/dark") / "9.png").write_bytes(Path("data/toy/test/bright/1.png").read_bytes())
    train("--validate-every", "10")
    text = " ".join(read(RUN / "report.html").words)
    assert "dark, predicted as bright" in text and "(1 wrong)" in text
    assert "The files of 1 wrong image" in text and "data/toy/test/dark/9.png" in text


def test_a_report_without_data_contains_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    train("--no-report")
    assert not (RUN / "report.html").exists()
    Path("data").rename("elsewhere")
    capsys.readouterr()
    main("report", "toy")
    assert "This report contains no evaluation: " in capsys.readouterr().err
    text = " ".join(read(RUN / "report.html").words)
    assert "This report contains no evaluation" in text and "Loss" in text and "The network" in text
    main("report", "none", expect=2)
    assert "none: neither a file nor a run (runs in weights/: toy)" in capsys.readouterr().err


def test_a_report_without_matplotlib_has_tables_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    train()
    text = " ".join(read(RUN / "report.html").words)
    assert text.count("pip install -r requirements-plots.txt") == 3 and "precision" in text


def test_a_character_model_has_a_report_too() -> None:
    Path("novel.txt").write_text("to be or not to be, that is the question. " * 40)
    Path("text.cfg").write_text("[net]\ninputs=256\nbatch=4\ntime_steps=5\nmax_batches=12\n[gru]\noutput=6\n[connected]\n"
                                "output=256\n[softmax]\n")
    main("train", "text.cfg", "--data", "novel.txt", "--quiet", "--validate-every", "5")
    text = " ".join(read("weights/text/report.html").words)
    assert "bits/character (perplexity" in text and "Score" in text and "Confusion" not in text
