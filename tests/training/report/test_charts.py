"""Charts as SVG: colours of the page, unique ids, downsampled lines."""
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import numpy as np
import pytest

from runner.training.report import charts
from runner.training.report_items import LineChart


def test_charts_take_the_colour_of_the_page_and_have_unique_ids() -> None:
    pytest.importorskip("matplotlib")
    lines: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "one": (range(5000), np.sin(np.arange(5000) / 500).tolist()), "two": ([1, 2], [3, 4])}
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


def test_downsampling_keeps_the_shape() -> None:
    xs = np.arange(10_000.)
    x, y = charts.downsample(xs, 2 * xs)
    assert len(x) == charts.MAX_POINTS and np.allclose(y, 2 * x) and x[0] < 20 and x[-1] > 9970
    assert charts.downsample(xs[:5], xs[:5])[0] is not None and len(charts.downsample(xs[:5], xs[:5])[0]) == 5


def test_the_first_losses_do_not_flatten_the_curve() -> None:
    """The axis ends above the losses after the first tenth, and says how high the first ones are."""
    pytest.importorskip("matplotlib")
    losses = [900., 300., 20., *np.linspace(4, 1, 97).tolist()]
    chart = LineChart("Loss", "update", "loss", {"training": (range(100), losses)}, clip=True)
    axes = charts.draw(chart).axes[0]
    assert axes.get_ylim()[0] == 0 and 4 < axes.get_ylim()[1] < 5
    assert axes.get_ylabel() == "loss\n(first ones up to 900)"
    for whole in (chart._replace(clip=False), chart._replace(lines={"training": (range(97), losses[3:])})):
        axes = charts.draw(whole).axes[0]
        assert axes.get_ylim()[1] > max(whole.lines["training"][1]) and axes.get_ylabel() == "loss"
    spike_later = [*losses[3:], 500.]
    axes = charts.draw(chart._replace(lines={"training": (range(98), spike_later)})).axes[0]
    assert axes.get_ylim()[1] > 500


@pytest.mark.parametrize("name", ["_a", "$x$", "a $", "猫", "a" * 99])
def test_every_class_name_is_in_the_legend(name: str) -> None:
    pytest.importorskip("matplotlib")
    for count in (1, 6):
        lines = {name: ([0, 1], [0, 1]), **{str(i): ([0, 1], [1, 0]) for i in range(count)}}
        drawing = charts.svg(LineChart("t", "x", "y", lines))
        assert name[:charts.MAX_NAME - 3] in drawing


def test_many_lines_differ_in_colour_or_dashes() -> None:
    pytest.importorskip("matplotlib")
    axes = charts.draw(LineChart("t", "x", "y", {str(i): ([0, 1], [i, i]) for i in range(12)})).axes[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 12
