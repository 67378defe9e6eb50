"""A network prepared for inference: `net.optimized()`, or Plan(net).

Whatever does not depend on the images is computed once.  Each layer says how it computes its output with fixed weights
(`prepare`: batch norm is folded into the weights, bias and activation into the last pass), whether the output is an
input or a part of it (`alias`: dropout, a group of channels), and whether it only concatenates (`concat_in_place`: its
sources write into it).  memory_plan.py makes calls of that and assigns the memory.

With programs (ops/inference_op.py), several images go through a call together, as many as fit into MEMORY_BUDGET.
Without, an execution plan is for one image, and each thread computes an image at a time.  Either way the result of
an image is bit-identical in any batch.  Only where the rows of a batch depend on each other (recurrent layers) are they
all one call.

A plan holds the weights as they were when it was made.  After they change, make a new one: in the old plan some layers
would use the old weights and some the new.  The state of recurrent layers is the network's.
"""
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from runner.inference.execution import ExecutionContext, ExecutionPlan
from runner.inference.memory_plan import plan_execution
from runner.network import LayerTimer, Network
from runner.ops import memory, parallel
from runner.ops.inference_op import InferenceOp

PARALLEL_FLOPS = 1 << 23    # operations of a call below which handing work to another thread costs more than it saves
MEMORY_BUDGET = 1 << 25     # bytes of memory that the images of one call take together
IDLE_BUDGET = 1 << 20       # bytes of an idle context that is kept while other outputs or batches are computed

MAX_BATCH = 32              # images computed together
OUTPUT_BUDGET = 128 << 20   # bytes the largest output of a batch may take


def batch_size(net: Network) -> int:
    """Images to compute together: MAX_BATCH, or fewer where the largest output would exceed OUTPUT_BUDGET."""
    largest = max(math.prod(net.in_shape), *(math.prod(layer.out_shape) for layer in net.layers))
    return max(1, min(MAX_BATCH, OUTPUT_BUDGET // (4 * largest)))


class Plan:
    """The inference methods of a network, faster; the same numbers but for rounding.

    timer  called around the work of each layer, which is then a call of its own; None: nothing is timed
    """

    def __init__(self, net: Network, *, timer: LayerTimer | None = None):
        self.net, self.timer = net, timer
        self.options, self.layers, self.links, self.env = net.options, net.layers, net.links, net.env
        self.in_shape, self.out_shape, self.last, self.heads = net.in_shape, net.out_shape, net.last, net.heads
        self.progress = net.progress
        self._batch_independent = all(layer.batch_independent for layer in net.layers)
        self._keeps_rows = all(layer.keeps_rows for layer in net.layers)
        self._flops = sum(max(layer.flops(), 2 * sum(spec.size for spec in layer.specs.values()))
                          for layer in net.layers)
        self._execution_plans: dict[tuple[tuple[int, ...], int], ExecutionPlan] = {}
        self._prepared: dict[tuple[int, int], Callable[..., Any]] = {}

    def predict(self, x: np.ndarray) -> np.ndarray:
        """x (n, c, h, w) -> the output of the last layer that is not a [cost]."""
        return self._run(x, (self.last,))[self.last]

    def outputs(self, x: np.ndarray) -> list[np.ndarray]:
        """Every layer's output, in order."""
        return list(self._run(x, tuple(range(len(self.layers)))).values())

    def head_outputs(self, x: np.ndarray) -> dict[int, np.ndarray]:
        """The outputs of the layers that are compared with the truth, by their index."""
        return self._run(x, tuple(self.heads))

    def wanted(self, x: np.ndarray, layers: Iterable[int]) -> dict[int, np.ndarray]:
        """The outputs of some layers, by their index."""
        return self._run(x, tuple(layers))

    def execution_plan(self, layers: Iterable[int], rows: int) -> ExecutionPlan:
        """The calls and the memory that compute the outputs of some layers, for this number of rows."""
        key = tuple(layers), rows
        plan = self._execution_plans.get(key)
        if plan is None:
            plan = self._execution_plans[key] = plan_execution(self.net, key[0], rows, self._prepare,
                                                               fuse=self.timer is None)
        return plan

    @property
    def state(self) -> list[dict[str, np.ndarray]]:
        """What the recurrent layers carry from call to call: that of the network."""
        return self.net.state

    @state.setter
    def state(self, states: list[dict[str, np.ndarray]]) -> None:
        self.net.state = states

    def reset_state(self, streams: np.ndarray | None = None) -> None:
        """Make the next call the first of a sequence; streams (n,) bool: only for these."""
        self.net.reset_state(streams)

    def _run(self, x: np.ndarray, layers: tuple[int, ...]) -> dict[int, np.ndarray]:
        x = self.net.as_input(x)
        if self.net.engine is not None:
            return self.net.engine.outputs(x, layers)
        if not self._keeps_rows:
            ys = self.net.outputs(x)
            return {index: ys[index] for index in layers}
        n = len(x)
        outs = {index: memory.empty((n, *self.layers[index].out_shape), self.env.dtype) for index in layers}
        if not self._batch_independent:
            with self._context(layers, n) as context:
                context.run(x, outs)
        elif n and self.execution_plan(layers, 1).programs:
            self._run_batches(x, layers, outs)
        elif n and self._flops < PARALLEL_FLOPS:
            with self._context(layers, 1) as context, parallel.serial():
                for i in range(n):
                    context.run(x[i:i + 1], {index: y[i:i + 1] for index, y in outs.items()})
        elif n:
            self._run_images_in_parallel(x, layers, outs)
        return outs

    def _run_batches(self, x: np.ndarray, layers: tuple[int, ...], outs: dict[int, np.ndarray]) -> None:
        """As many images at a time as fit into MEMORY_BUDGET, in batches of about the same size."""
        n, most = len(x), max(1, MEMORY_BUDGET // max(1, self.execution_plan(layers, 1).size))
        each = -(-n // -(-n // most))
        for first in range(0, n, each):
            batch = slice(first, min(first + each, n))
            rows = batch.stop - first
            with (self._context(layers, rows) as context,
                  parallel.serial() if rows * self._flops < PARALLEL_FLOPS else nullcontext()):
                context.run(x[batch], {index: y[batch] for index, y in outs.items()})

    def _run_images_in_parallel(self, x: np.ndarray, layers: tuple[int, ...], outs: dict[int, np.ndarray]) -> None:
        """Each thread computes an image at a time; the last ones, if they would leave threads idle, use all threads."""
        def image(i: int) -> None:
            with self._context(layers, 1) as context:
                context.run(x[i:i + 1], {index: y[i:i + 1] for index, y in outs.items()})
        self.execution_plan(layers, 1)      # made here, not by several threads at once
        left = len(x) % parallel.threads()
        together = len(x) - left if 2 * left <= parallel.threads() else len(x)
        parallel.for_each(image, together)
        for i in range(together, len(x)):
            image(i)

    @contextmanager
    def _context(self, layers: tuple[int, ...], rows: int) -> Iterator[ExecutionContext]:
        """A context that no other thread uses meanwhile."""
        plan = self.execution_plan(layers, rows)
        for other in list(self._execution_plans.values()):
            if other is not plan and other.size > IDLE_BUDGET:
                other.idle.clear()      # memory for another number of images, or other outputs
        try:
            context = plan.idle.pop()
        except IndexError:
            context = ExecutionContext(plan, self.timer)
        yield context
        plan.idle.append(context)

    def _prepare(self, index: int, rows: int) -> Callable[..., Any]:
        layer = self.layers[index]
        key = index, 1 if layer.batch_independent else rows
        run = self._prepared.get(key)
        if run is None or (key[1] != rows and not isinstance(run, InferenceOp)):     # an operator is for any rows
            key = index, rows
            if key not in self._prepared:
                run = self._prepared[key] = layer.prepare(rows)
                if isinstance(run, InferenceOp):
                    run.pack_weights()
            run = self._prepared[key]
        return run
