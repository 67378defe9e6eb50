"""Line charts as SVG, drawn by matplotlib; text and axes take the colour of the page."""
import io
import itertools
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.errors import MissingExtra
from runner.training.report_items import LineChart

INK = "#010203"                 # placeholder for the text colour of the page
COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#64748b")     # visible on white and on black
DASHES = ("-", "--", ":", "-.")         # of the first lines in these colours, of the next ones ...
WIDTH, HEIGHT, LETTERS = 5, 2.5, 10.5   # inches and points: on a phone, a chart is as wide as the screen
NO_GLYPH = "Glyph .* missing"   # a warning of matplotlib: the browser that shows the text has its own fonts
MAX_NAME = 24                   # characters of a name in a legend
IN_CHART = 4                    # lines whose legend has room in the chart; of more, it is below
START, TALLER = .1, 1.5         # a chart may be clipped in its first tenth, if that is so much taller than the rest
MAX_POINTS = 600                # of a line; longer ones are averaged in intervals


def svg(chart: LineChart, height: float = HEIGHT) -> str:
    """The chart as an <svg> element.  MissingExtra without matplotlib."""
    figure = draw(chart, height)
    import matplotlib
    file, style = io.StringIO(), {"svg.fonttype": "none", "svg.hashsalt": chart.title}      # text remains text
    with matplotlib.rc_context(style), warnings.catch_warnings():      # type: ignore[arg-type]
        warnings.filterwarnings("ignore", NO_GLYPH)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"(?s)^.*?(?=<svg)", "", file.getvalue()).replace(INK, "currentColor")
    # ids must be unique on a page with several charts
    prefix = re.sub(r"\W+", "-", chart.title).lower()
    text = re.sub(r'(?<=id=")(?=[\w-])', f"{prefix}-", text)
    return re.sub(r"(?<=#)(?=[\w-]+[\")])", f"{prefix}-", text)


def figure_class() -> Any:
    """The class of matplotlib that draws.  MissingExtra without matplotlib."""
    try:
        import matplotlib  # noqa: F401
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "drawing a chart", "plots") from None
    return Figure


def draw(chart: LineChart, height: float = HEIGHT, ink: str = INK) -> "Figure":    # type: ignore[name-defined]  # noqa: F821
    """The chart as a matplotlib Figure, `height` inches and a legend below.  MissingExtra without matplotlib."""
    Figure = figure_class()
    import matplotlib
    style: Any = {"text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink, "xtick.color": ink,
                  "ytick.color": ink, "font.family": "sans-serif", "font.size": LETTERS, "legend.frameon": False,
                  "legend.fontsize": LETTERS - .5, "text.parse_math": False}
    names = [shortened(name) for name in chart.lines]
    columns = 3 if max(map(len, names), default=0) <= MAX_NAME // 2 else 2
    below = -(-len(names) // columns) if len(names) > IN_CHART else 0
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", NO_GLYPH)
        figure = Figure(figsize=(WIDTH, height + .21 * below), layout="constrained")
        axes = figure.add_subplot()
        lines = []
        styles = itertools.cycle(itertools.product(DASHES, COLOURS))
        for name, (xs, ys) in chart.lines.items():
            x, y = downsample(np.asarray(xs, float), np.asarray(ys, float))
            dashes, colour = ("-", ink) if name == chart.main else next(styles)
            lines += axes.plot(x, y, color=colour, linestyle=dashes, linewidth=2.5 if name == chart.main else 1.5,
                               marker="o" if len(x) < 30 else "", markersize=3)
        axes.set_xlabel(chart.x)
        axes.set_ylabel(chart.y)
        top, highest = limit(list(chart.lines.values())) if chart.clip else (0, 0)
        if top < highest:
            axes.set_ylim(min(0, *(1.05 * np.nanmin(line.get_ydata()) for line in lines)), top)
            axes.set_ylabel(f"{chart.y}\n(first ones up to {highest:.3g})")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=.2, color="#888888")
        if below:
            figure.legend(lines, names, loc="outside lower center", ncols=columns)
        elif len(names) > 1:
            axes.legend(lines, names)
        figure.canvas.draw()        # while the style is active
    return figure


def shortened(name: str) -> str:
    """A name as matplotlib takes it into a legend, where names with an underscore at the start are left out."""
    name = name if len(name) <= MAX_NAME else f"{name[:MAX_NAME - 3]}..."
    return f" {name}" if name.startswith("_") else name


def limit(lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[float, float]:
    """Where the y axis should end, and the highest value: the first is less if the values of the first tenth of the
    lines would flatten the rest."""
    later, highest = [], []
    for xs, ys in lines:
        x, y = downsample(np.asarray(xs, float), np.asarray(ys, float))
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        if len(y):
            later.append(float(y[x >= x[0] + START * (x[-1] - x[0])].max()))
            highest.append(float(y.max()))
    top = 1.1 * max(later, default=0)
    return (top if 0 < TALLER * top < max(highest, default=0) else math.inf), max(highest, default=0)


def downsample(xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MAX_POINTS points: the means over equal intervals of a longer line."""
    if len(xs) <= MAX_POINTS:
        return xs, ys
    cuts = np.linspace(0, len(xs), MAX_POINTS + 1).astype(int)
    count = np.diff(cuts)
    return np.add.reduceat(xs, cuts[:-1]) / count, np.add.reduceat(ys, cuts[:-1]) / count
