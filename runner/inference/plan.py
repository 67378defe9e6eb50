"""A network made ready for inference: `net.optimized()`.

What does not depend on the images is worked out once.  Each layer says what it does with weights that stay (`prepare`:
batch norm goes into the weights, bias and activation into the last pass), what it does not do at all (`alias`: a
dropout, a part of another output) and what it only puts together (`concat_in_place`: its sources write into it);
memory_plan.py makes calls of that, and lays out the memory.

Several images go through the calls of a program together, as many as fit into ROOM.  Without programs a recipe is made
for one image, and images share the threads, one each.  Either way an image gets the same bits in any batch.  Only
where rows of a batch depend on each other (recurrent layers) the whole batch is one.

Plans hold the weights as they were.  After a change of weights make a new one: of an old one's layers some may use
the old and some the new.  The state of recurrent layers is that of the network.
"""
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from runner.inference.memory_plan import Instance, Recipe, make_recipe
from runner.network import Network
from runner.ops import memory, parallel
from runner.ops.inference_op import InferenceOp

LIGHT = 1 << 23     # operations a call must be worth, or handing it to another thread costs more than it saves
ROOM = 1 << 25      # bytes of memory the images of one call take together
SMALL = 1 << 20     # bytes that may wait for a call that perhaps never comes

MAX_BATCH = 32              # images computed together
OUTPUT_BUDGET = 128 << 20   # bytes the largest output of a batch may take


def batch_size(net: Network) -> int:
    """Images to compute together: MAX_BATCH, or fewer where the largest output would exceed OUTPUT_BUDGET."""
    largest = max((math.prod(layer.out_shape) for layer in net.layers), default=1)
    return max(1, min(MAX_BATCH, OUTPUT_BUDGET // (4 * largest)))


class Plan:
    """Takes the place of a network where nothing is learned: the same methods, the same numbers but for rounding."""

    def __init__(self, net: Network):
        self.net = net
        self.options, self.layers, self.links, self.env = net.options, net.layers, net.links, net.env
        self.in_shape, self.out_shape, self.last, self.heads = net.in_shape, net.out_shape, net.last, net.heads
        self.progress = net.progress
        self._apart = all(layer.batch_independent for layer in net.layers)
        self._flops = sum(max(layer.flops(), 2 * sum(spec.size for spec in layer.specs.values()))
                          for layer in net.layers)
        self._recipes: dict[tuple[tuple[int, ...], int], Recipe] = {}
        self._prepared: dict[tuple[int, int], Callable[..., Any]] = {}

    def predict(self, x: np.ndarray) -> np.ndarray:
        """x (n, c, h, w) -> the output of the last layer that is no [cost]."""
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

    @property
    def state(self) -> list[dict[str, np.ndarray]]:
        """What the recurrent layers carry from call to call: that of the network."""
        return self.net.state

    @state.setter
    def state(self, states: list[dict[str, np.ndarray]]) -> None:
        self.net.state = states

    def reset_state(self, streams: np.ndarray | None = None) -> None:
        """Let the next call be the first of a sequence; streams (n,) bool: only of some."""
        self.net.reset_state(streams)

    def _run(self, x: np.ndarray, keep: tuple[int, ...]) -> dict[int, np.ndarray]:
        x = self.net.as_input(x)
        n = len(x)
        outs = {index: memory.empty((n, *self.layers[index].out_shape), self.env.dtype) for index in keep}
        if not self._apart:
            with self._instance(keep, n) as instance:
                instance.run(x, outs)
        elif n and self._recipe(keep, 1).programs:
            self._together(x, keep, outs)
        elif n and self._flops < LIGHT:
            with self._instance(keep, 1) as instance, parallel.alone():
                for i in range(n):
                    instance.run(x[i:i + 1], {index: y[i:i + 1] for index, y in outs.items()})
        elif n:
            self._share(x, keep, outs)
        return outs

    def _together(self, x: np.ndarray, keep: tuple[int, ...], outs: dict[int, np.ndarray]) -> None:
        """As many images at a time as have room, about as many each time."""
        n, most = len(x), max(1, ROOM // max(1, self._recipe(keep, 1).size))
        each = -(-n // -(-n // most))
        for first in range(0, n, each):
            part = slice(first, min(first + each, n))
            rows = part.stop - first
            with (self._instance(keep, rows) as instance,
                  parallel.alone() if rows * self._flops < LIGHT else nullcontext()):
                instance.run(x[part], {index: y[part] for index, y in outs.items()})

    def _share(self, x: np.ndarray, keep: tuple[int, ...], outs: dict[int, np.ndarray]) -> None:
        """Each thread takes an image at a time; the last ones, if they would leave threads idle, take all threads."""
        def image(i: int) -> None:
            with self._instance(keep, 1) as instance:
                instance.run(x[i:i + 1], {index: y[i:i + 1] for index, y in outs.items()})
        self._recipe(keep, 1)       # made once, before the threads ask for it
        left = len(x) % parallel.threads()
        together = len(x) - left if 2 * left <= parallel.threads() else len(x)
        parallel.for_each(image, together)
        for i in range(together, len(x)):
            image(i)

    @contextmanager
    def _instance(self, keep: tuple[int, ...], rows: int) -> Iterator[Instance]:
        """Memory nobody else uses meanwhile."""
        recipe = self._recipe(keep, rows)
        for other in list(self._recipes.values()):
            if other is not recipe and other.size > SMALL:
                other.idle.clear()      # memory for another number of images, or other outputs
        try:
            instance = recipe.idle.pop()
        except IndexError:
            instance = Instance(recipe)
        yield instance
        recipe.idle.append(instance)

    def _recipe(self, keep: tuple[int, ...], rows: int) -> Recipe:
        recipe = self._recipes.get((keep, rows))
        if recipe is None:
            recipe = self._recipes[keep, rows] = make_recipe(self.net, keep, rows, self._prepare)
        return recipe

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
