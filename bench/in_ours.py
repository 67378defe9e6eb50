"""Ours, as a program uses it: net.optimized() at inference, runner.train for a step."""
from itertools import islice

import numpy as np

import runner
from bench.networks import Case, batches, build, images, without_chance
from bench.peer import Missing, Ready
from runner import ops
from runner.errors import MissingExtra
from runner.ops import parallel


def prepare(case: Case, task: str, count: int, threads: int, kernels: str,
            settings: tuple[str, ...] = ()) -> Ready:
    """kernels: "numpy" or "fast"."""
    parallel.set_threads(threads)
    try:
        ops.use(kernels)
    except MissingExtra as error:
        raise Missing(str(error)) from None
    net = build(case, count, settings)
    if task == "train":
        steps = runner.train(net, batches(net, count))

        def losses() -> list[np.ndarray]:
            calm = without_chance(build(case, count, settings))
            return [np.array([step.loss for step in islice(runner.train(calm, batches(calm, count)), 2)])]
        return Ready(lambda: next(steps), losses, "all")
    x = images(net, count)
    plan, read = net.optimized(), [net.links[i][0] for i in net.heads]

    def outputs() -> list[np.ndarray]:
        net.reset_state()
        every = plan.wanted(x, sorted({*net.heads, *read}))
        return [every[i] for i in (*net.heads, *read)]
    return Ready(lambda: plan.head_outputs(x), outputs, "all")
