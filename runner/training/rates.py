"""Learning-rate finder: train for a few updates while the rate rises, and see where the loss falls fastest.

(Smith 2017, "Cyclical Learning Rates for Training Neural Networks", the learning-rate range test.)
"""
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from runner.errors import Diverged
from runner.training.loop import train
from runner.training.tasks import Task

LOSS_DECAY = 0.9    # share of the previous value in the moving average of the loss
EXPLODED = 3.0      # the sweep ends when the smoothed loss exceeds its minimum by this factor


@dataclass(frozen=True)
class RatePoint:
    """One update of the sweep; smooth is the bias-corrected moving average of the loss."""
    rate: float
    loss: float
    smooth: float


def sweep(task: Task, low: float, high: float, updates: int) -> Iterator[RatePoint]:
    """Train for at most `updates` updates while the learning rate rises exponentially from low to high.

    Ends early when the loss explodes.  The network's weights are unusable afterwards; reload them.
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
            average = LOSS_DECAY * average + (1 - LOSS_DECAY) * loss
            smooth = average / (1 - LOSS_DECAY ** step.number)
            lowest = min(lowest, smooth)
            yield RatePoint(step.rate, loss, smooth)
            if smooth > EXPLODED * lowest and step.number > 10:
                return


def suggest(points: Sequence[RatePoint]) -> float | None:
    """The rate at which the smoothed loss falls fastest; None if it never falls, or there are too few points."""
    if len(points) < 10:
        return None
    logs = np.log([point.rate for point in points])
    losses = np.array([point.smooth for point in points])
    slope = np.gradient(losses, logs)
    first, last = len(points) // 20, int(losses.argmin()) + 1       # beyond the minimum the loss rises
    if last - first < 3:
        return None
    steepest = first + int(slope[first:last].argmin())
    return float(points[steepest].rate) if slope[steepest] < 0 else None
