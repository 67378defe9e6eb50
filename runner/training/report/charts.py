"""Line charts as SVG, drawn by matplotlib; text and axes take the colour of the page."""
import io
import re
from typing import Any

import numpy as np

from runner.errors import MissingExtra
from runner.training.report_items import LineChart

INK = "#010203"                 # placeholder for the text colour of the page
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#64748b")     # visible on white and on black
MAX_POINTS = 600                # of a line; longer ones are averaged in intervals


def svg(chart: LineChart, height: float = 2.6) -> str:
    """The chart as an <svg> element.  MissingExtra without matplotlib."""
    figure = draw(chart, height)
    import matplotlib
    file, style = io.StringIO(), {"svg.fonttype": "none", "svg.hashsalt": chart.title}      # text remains text
    with matplotlib.rc_context(style):      # type: ignore[arg-type]
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"(?s)^.*?(?=<svg)", "", file.getvalue()).replace(INK, "currentColor")
    # ids must be unique on a page with several charts
    prefix = re.sub(r"\W+", "-", chart.title).lower()
    text = re.sub(r'(?<=id=")(?=[\w-])', f"{prefix}-", text)
    return re.sub(r"(?<=#)(?=[\w-]+[\")])", f"{prefix}-", text)


def figure_class() -> Any:
    """The class of matplotlib that draws.  MissingExtra without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "drawing a chart", "plots") from None
    return Figure


def draw(chart: LineChart, height: float = 2.6, ink: str = INK) -> "Figure":     # type: ignore[name-defined]  # noqa: F821
    """The chart as a matplotlib Figure.  MissingExtra without matplotlib."""
    Figure = figure_class()
    import matplotlib
    style: Any = {"text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink, "xtick.color": ink,
                  "ytick.color": ink, "font.family": "sans-serif", "font.size": 9, "legend.frameon": False}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.5, height), layout="constrained")
        axes = figure.add_subplot()
        for (name, (xs, ys)), colour in zip(chart.lines.items(), COLOURS * len(chart.lines), strict=False):
            x, y = downsample(np.asarray(xs, float), np.asarray(ys, float))
            axes.plot(x, y, color=colour, linewidth=1.3, label=name, marker="o" if len(x) < 30 else "", markersize=3)
        axes.set_xlabel(chart.x)
        axes.set_ylabel(chart.y)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=.2, color="#888888")
        if len(chart.lines) > 1:
            axes.legend()
        figure.canvas.draw()        # while the style is active
    return figure


def downsample(xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MAX_POINTS points: the means over equal intervals of a longer line."""
    if len(xs) <= MAX_POINTS:
        return xs, ys
    cuts = np.linspace(0, len(xs), MAX_POINTS + 1).astype(int)
    count = np.diff(cuts)
    return np.add.reduceat(xs, cuts[:-1]) / count, np.add.reduceat(ys, cuts[:-1]) / count
