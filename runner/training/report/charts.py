"""Curves as SVG, drawn by matplotlib; text and axes take the colour of the page."""
import io
import re
from typing import Any

import numpy as np

from runner.errors import MissingExtra
from runner.training.report_items import Curves

INK = "#010203"                 # stands for the colour of the page's text until the drawing is in the page
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#64748b")     # seen on white and on black
MOST = 600                      # points of a line; more are put together


def svg(curves: Curves, height: float = 2.6) -> str:
    """The drawing as an <svg> element.  MissingExtra without matplotlib."""
    figure = draw(curves, height)
    import matplotlib
    file, style = io.StringIO(), {"svg.fonttype": "none", "svg.hashsalt": curves.title}     # text stays text
    with matplotlib.rc_context(style):      # type: ignore[arg-type]
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"(?s)^.*?(?=<svg)", "", file.getvalue()).replace(INK, "currentColor")
    # several drawings on one page: each has its own names
    mark = re.sub(r"\W+", "-", curves.title).lower()
    text = re.sub(r'(?<=id=")(?=[\w-])', f"{mark}-", text)
    return re.sub(r"(?<=#)(?=[\w-]+[\")])", f"{mark}-", text)


def draw(curves: Curves, height: float = 2.6, ink: str = INK) -> "Figure":     # type: ignore[name-defined]  # noqa: F821
    """The drawing as matplotlib's Figure."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "drawing curves", "requirements-plots.txt") from None
    style: Any = {"text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink, "xtick.color": ink,
                  "ytick.color": ink, "font.family": "sans-serif", "font.size": 9, "legend.frameon": False}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.5, height), layout="constrained")
        axes = figure.add_subplot()
        for (name, (xs, ys)), colour in zip(curves.lines.items(), COLOURS * len(curves.lines), strict=False):
            x, y = thin(np.asarray(xs, float), np.asarray(ys, float))
            axes.plot(x, y, color=colour, linewidth=1.3, label=name, marker="o" if len(x) < 30 else "", markersize=3)
        axes.set_xlabel(curves.x)
        axes.set_ylabel(curves.y)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=.2, color="#888888")
        if len(curves.lines) > 1:
            axes.legend()
        figure.canvas.draw()        # while the style holds
    return figure


def thin(xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST points: the means of stretches of the line."""
    if len(xs) <= MOST:
        return xs, ys
    cuts = np.linspace(0, len(xs), MOST + 1).astype(int)
    count = np.diff(cuts)
    return np.add.reduceat(xs, cuts[:-1]) / count, np.add.reduceat(ys, cuts[:-1]) / count
