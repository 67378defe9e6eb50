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
