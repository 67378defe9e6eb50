"""This project, as a program would use it: net.optimized() for inference, runner.train for a training step."""
from itertools import islice

import numpy as np

import runner
from bench.networks import Case, batches, build, images, without_dropout
from bench.peer import NotInstalled, Prepared
from runner import ops
from runner.errors import MissingExtra
from runner.ops import parallel


def prepare(case: Case, task: str, count: int, threads: int, backend: str,
            settings: tuple[str, ...] = ()) -> Prepared:
    """backend: "numpy" or "fast"."""
    parallel.set_threads(threads)
    try:
        ops.use(backend)
    except MissingExtra as error:
        raise NotInstalled(str(error)) from None
    net = build(case, count, settings)
    if task == "train":
        steps = runner.train(net, batches(net, count))

        def losses() -> list[np.ndarray]:
            fresh = without_dropout(build(case, count, settings))
            return [np.array([step.loss for step in islice(runner.train(fresh, batches(fresh, count)), 2)])]
        return Prepared(lambda: next(steps), losses, "all")
    x = images(net, count)
    plan, head_inputs = net.optimized(), [net.links[i][0] for i in net.heads]

    def outputs() -> list[np.ndarray]:
        net.reset_state()
        found = plan.wanted(x, sorted({*net.heads, *head_inputs}))
        return [found[i] for i in (*net.heads, *head_inputs)]
    return Prepared(lambda: plan.head_outputs(x), outputs, "all")
