"""Which learning rate: train a little while the rate rises, and look where the loss falls fastest  (Smith 2017)."""
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from runner.errors import Diverged
from runner.training.loop import train
from runner.training.tasks import Task

SMOOTH = 0.9        # part of the smoothed loss that an update keeps
LOST = 3.0          # the sweep ends when the smoothed loss is this many times the lowest so far


@dataclass(frozen=True)
class RatePoint:
    """One update of the sweep; smooth is the moving average of the loss, corrected for its beginning."""
    rate: float
    loss: float
    smooth: float


def sweep(task: Task, low: float, high: float, updates: int) -> Iterator[RatePoint]:
    """Train for at most `updates` updates while the rate rises evenly, in its logarithm, from low to high.

    Ends early when the loss explodes.  The network is spoilt afterwards: do not use it.
    """
    net = task.net
    factor = (high / low) ** (1 / max(updates - 1, 1))
    net.options = dataclasses.replace(net.options, policy="exp", gamma=factor, learning_rate=low / factor, burn_in=0,
                                      max_batches=updates)
    average, lowest = 0.0, math.inf
    with task.batches() as batches:
        steps = train(net, batches)
        while True:
            try:
                with np.errstate(all="ignore"):
                    step = next(steps)
            except (Diverged, StopIteration):
                return
            loss = task.loss(step)
            average = SMOOTH * average + (1 - SMOOTH) * loss
            smooth = average / (1 - SMOOTH ** step.number)
            lowest = min(lowest, smooth)
            yield RatePoint(step.rate, loss, smooth)
            if smooth > LOST * lowest and step.number > 10:
                return


def suggest(tried: Sequence[RatePoint]) -> float | None:
    """The rate at which the smoothed loss falls fastest; None when it never falls, or too little was tried."""
    if len(tried) < 10:
        return None
    logs = np.log([t.rate for t in tried])
    losses = np.array([t.smooth for t in tried])
    slope = np.gradient(losses, logs)
    first, last = len(tried) // 20, int(losses.argmin()) + 1       # beyond the lowest point it does not fall
    if last - first < 3:
        return None
    steepest = first + int(slope[first:last].argmin())
    return float(tried[steepest].rate) if slope[steepest] < 0 else None
