"""Plot training runs in one figure: the test error, and the training and test loss.

    python tools/make_curves.py OUT.png "heading" LABEL=weights/a LABEL=weights/b ...
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from runner.errors import MissingExtra
from runner.training.log import read_rows

SMOOTHING = 0.98        # of the exponential moving average of the training loss


def column(rows: list[dict[str, str]], name: str) -> tuple[list[int], list[float]]:
    """(updates, values) of the rows that have a value in this column."""
    found = [(int(row["update"]), float(row[name])) for row in rows if row.get(name)]
    return [update for update, _ in found], [value for _, value in found]


def smoothed(values: list[float]) -> list[float]:
    """Exponential moving average with bias correction."""
    out, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = SMOOTHING * mean + (1 - SMOOTHING) * value, SMOOTHING * weight + (1 - SMOOTHING)
        out.append(mean / weight)
    return out


def main(target: str, heading: str, *runs: str) -> None:
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("matplotlib", "drawing curves", "requirements-plots.txt") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for number, run in enumerate(runs):
        label, _, folder = run.partition("=")
        rows, colour = read_rows(Path(folder) / "log.csv"), f"C{number}"
        updates, scores = column(rows, "score")
        left.plot(updates, [100 * (1 - score) for score in scores], color=colour, marker=".", label=label)
        updates, losses = column(rows, "loss")
        right.plot(updates, smoothed(losses), color=colour, linestyle=":", label=f"{label}: training")
        updates, losses = column(rows, "test_loss")
        right.plot(updates, losses, color=colour, label=f"{label}: test")
    left.set(title="test error, %", xlabel="update", yscale="log")
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    right.set(title="loss", xlabel="update", yscale="log")
    for panel in (left, right):
        panel.grid(alpha=.3, which="both")
        panel.legend(fontsize=8)
    figure.suptitle(heading)
    figure.savefig(target, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
