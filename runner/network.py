"""A graph of layers: forward and backward over it.

The network owns the graph: which output feeds which layer, when an output is freed, and the sum of the gradients of an
output that several layers read.  Layers know none of it, and the network knows nothing that is built on top of it:
runner/model.py makes one from a .cfg and a .weights file.
"""
import math
from collections.abc import Callable, Container
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from runner.arguments import checked
from runner.config import Section
from runner.errors import ShapeError, counted
from runner.layers.convolutional import Convolutional
from runner.layers.shared.base import Env, Head, Layer, Shape, shape_text
from runner.net_options import NetOptions

# timer(layer, part) is entered around the work of a layer; part: "forward" or "backward", with the loss of a head
LayerTimer = Callable[[int, str], AbstractContextManager[Any]]
UNTIMED = nullcontext()


@dataclass(frozen=True)
class LayerSummary:
    """A layer in numbers; counts are for one image."""
    index: int
    name: str
    reads: tuple[int, ...]
    in_shape: str
    out_shape: str
    params: int
    bflops: float
    out_values: int


class Engine(Protocol):
    """Computes a network's outputs at inference in the place of its layers."""

    def outputs(self, x: np.ndarray, layers: tuple[int, ...]) -> dict[int, np.ndarray]:
        """x (n, *in_shape) -> the outputs of these layers, by their index."""


class Network:
    """A graph of layers: `layers[i]` reads the outputs `links[i]`; -1 in links is the network's input.

    options   the [net] section
    last      index of the layer whose output is the network's: the last that is not a [cost]
    progress  updates and images seen so far
    losses    layer -> loss, of the last backward
    sections  of the cfg, with settings applied; empty for a network that was built without one
    engine    what an inference plan computes the outputs with; None: the layers
    """

    def __init__(self, options: NetOptions, layers: list[Layer], links: list[tuple[int, ...]], env: Env):
        self.options, self.layers, self.links, self.env = options, layers, links, env
        self.in_shape = env.in_shape
        self.progress = env.progress
        self.losses: dict[int, float] = {}
        self.sections: list[Section] = []
        self.engine: Engine | None = None
        self.last = max((i for i, layer in enumerate(layers) if layer.names[0] != "cost"), default=len(layers) - 1)
        self._last_consumer = {link: i for i, reads in enumerate(links) for link in reads}

    @property
    def heads(self) -> list[int]:
        """Indices of the layers that are compared with the truth."""
        return [i for i, layer in enumerate(self.layers) if isinstance(layer, Head)]

    @property
    def out_shape(self) -> Shape:
        return self.layers[self.last].out_shape

    def require_images(self, cfg: str = "") -> tuple[int, int, int]:
        """-> (channels, height, width) of its input.  ShapeError, naming the cfg, where the input is not an image."""
        if len(self.in_shape) != 3:
            raise ShapeError(f"{cfg}{': ' if cfg else ''}the network takes {counted(self.in_shape[0], 'value')}, not "
                             "images: [net] needs width, height and channels")
        return self.in_shape[0], self.in_shape[1], self.in_shape[2]

    # --- inference -----------------------------------------------------------------------------------

    def predict(self, x: np.ndarray) -> np.ndarray:
        """x (n, c, h, w) -> the output of the last layer that is not a [cost], in inference mode."""
        return self.forward(x)[0]

    def sample(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As predict, with [dropout] active as in training, drawn from `rng`; everything else, batch norm too, stays in
        inference mode.  The spread of many samples of an image is the network's uncertainty (Gal and Ghahramani,
        ICML 2016)."""
        before = self.env.rng
        self.env.rng, self.env.sampling = rng, True
        try:
            return self.predict(x)
        finally:
            self.env.rng, self.env.sampling = before, False

    def outputs(self, x: np.ndarray, train: bool = False) -> list[np.ndarray]:
        """Every layer's output, in order."""
        return list(self._run(self.as_input(x), train, range(len(self.layers)))[2].values())

    def head_outputs(self, x: np.ndarray) -> dict[int, np.ndarray]:
        """The outputs of the layers that are compared with the truth, by their index; all others are freed."""
        return self._run(self.as_input(x), False, self.heads)[2]

    def forward(self, x: np.ndarray, *, train: bool = False,
                timer: LayerTimer | None = None) -> tuple[np.ndarray, list[Any]]:
        """x (n, *in_shape) -> y, tape: what backward needs.  At inference the tape is empty, and each output is freed
        after its last consumer.  timer: see LayerTimer."""
        return self._run(self.as_input(x), train, timer=timer)[:2]

    def _run(self, x: np.ndarray, train: bool, keep: Container[int] = (),
             timer: LayerTimer | None = None) -> tuple[np.ndarray, list[Any], dict[int, np.ndarray]]:
        """-> the last output, the tape, and the outputs of the layers in `keep`."""
        if train:
            self._freeze()
            if self.env.compat.dropout_in_place:
                x = x.copy()        # a dropout that comes first would write into the caller's array
        outputs, tape, kept, y = {-1: x}, [], {}, x
        for index, (layer, links) in enumerate(zip(self.layers, self.links, strict=True)):
            with timer(index, "forward") if timer else UNTIMED:
                out, saved = layer.forward(*(outputs[i] for i in links), train=train)
            outputs[index] = out
            if train:
                tape.append(saved)
            if index == self.last:
                y = out
            if index in keep:
                # a later layer may write over it (darknet's dropout does): keep a copy
                kept[index] = out.copy() if train else out
            for link in set(links):
                if self._last_consumer[link] == index:
                    del outputs[link]
        return y, tape, kept

    def as_input(self, x: np.ndarray) -> np.ndarray:
        """x as the first layer takes it: (n, *in_shape), contiguous, of the network's type."""
        x = np.asarray(x)
        if x.shape[1:] != self.in_shape:
            if x.ndim < 2 or x[0].size != np.prod(self.in_shape):
                raise ShapeError(f"the network takes (images, {', '.join(map(str, self.in_shape))}). "
                                 f"Got an array of shape {x.shape}")
            x = x.reshape(len(x), *self.in_shape)
        return np.ascontiguousarray(x, self.env.dtype)

    @checked
    def resize(self, width: int, height: int) -> None:
        """Change the size of the input; every weight stays (darknet's resize_network).

        ShapeError, with nothing changed, where weights depend on the size (as those of [connected] do), or outputs
        that are combined no longer fit together.
        """
        before = self.require_images()
        after = before[0], height, width
        if after == before:
            return
        try:
            self._reshape(after)
        except ShapeError:
            self._reshape(before)
            raise

    def _reshape(self, in_shape: Shape) -> None:
        self.in_shape = self.env.in_shape = in_shape
        for index, (layer, links) in enumerate(zip(self.layers, self.links, strict=True)):
            shapes = tuple(in_shape if link < 0 else self.layers[link].out_shape for link in links)
            try:
                layer.reshape(*shapes)
            except ShapeError as error:
                raise ShapeError(f"the network cannot take {shape_text(in_shape)}: layer {index} "
                                 f"[{layer.names[0]}]: {error}") from None

    # --- recurrent layers ----------------------------------------------------------------------------

    @property
    def state(self) -> list[dict[str, np.ndarray]]:
        """What the recurrent layers carry from call to call, one dictionary per layer; it can be assigned later."""
        return [dict(layer.state) for layer in self.layers]

    @state.setter
    def state(self, states: list[dict[str, np.ndarray]]) -> None:
        for layer, state in zip(self.layers, states, strict=True):
            layer.state = dict(state)

    def reset_state(self, streams: np.ndarray | None = None) -> None:
        """Make the next call the first of a sequence; streams (n,) bool: only for these."""
        for layer in self.layers:
            layer.reset_state(streams)

    # --- training ------------------------------------------------------------------------------------

    def backward(self, tape: list[Any], truth: np.ndarray | None = None, dy: np.ndarray | None = None, *,
                 input_gradient: bool = False, timer: LayerTimer | None = None) -> tuple[float, np.ndarray | None]:
        """-> loss, the gradient of the network's input (None unless asked for).  Consumes the tape.

        Every head starts from the truth; `dy` is a gradient of the last layer's output to start from as well.
        loss is the mean over the heads of their sums over the images, as darknet counts it; the gradients are those
        of the sums.  They are added to `layer.grads`.  timer: see LayerTimer.
        """
        if truth is not None:
            truth = np.asarray(truth, self.env.dtype)
        stop, end = self._stop(), self._want(input_gradient)
        pending: dict[int, np.ndarray] = {} if dy is None else {self.last: dy}
        self.losses = {}
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if index <= end:
                pending.pop(index, None)
                saved = tape.pop()
                if index > stop and isinstance(layer, Head) and truth is not None:      # train_only_bn reports it
                    self.losses[index] = layer.loss(saved, truth)[0]
                continue
            with timer(index, "backward") if timer else UNTIMED:
                dxs = self._back(index, layer, tape, truth, pending)
            if layer.options.onlyforward or dxs is None:
                continue
            self._add(pending, self.links[index], list(dxs), dy)
            del dxs
        loss = sum(self.losses.values()) / len(self.losses) if self.losses else 0.0
        return loss, pending.get(-1)

    @staticmethod
    def _add(pending: dict[int, np.ndarray], links: tuple[int, ...], dxs: list[np.ndarray | None],
             given: np.ndarray | None) -> None:
        """Sum the gradients of an output that several layers read: into the existing array, unless another gradient
        shares its memory (a layer may return the dy it was given, for several inputs too)."""
        for k, link in enumerate(links):
            dx, dxs[k] = dxs[k], None
            if dx is None or link not in pending:
                if dx is not None:
                    pending[link] = dx
                continue
            total = pending[link]
            others = [array for i, array in pending.items() if i != link] + [given, *dxs]
            shared = any(other is not None and np.may_share_memory(total, other) for other in others)
            pending[link] = total + dx if shared else np.add(total, dx, out=total)

    def _back(self, index: int, layer: Layer, tape: list[Any], truth: np.ndarray | None,
              pending: dict[int, np.ndarray]) -> tuple[np.ndarray | None, ...] | None:
        """-> the gradients of a layer's inputs.  No reference to dy and to what the layer saved is held here: they are
        freed as soon as the layer has used them."""
        dy = pending.pop(index, None)
        if dy is not None and dy.shape[1:] != layer.out_shape:
            dy = dy.reshape(len(dy), *layer.out_shape)
        own = None
        if isinstance(layer, Head) and truth is not None:
            self.losses[index], own = layer.loss(tape[-1], truth)
        if layer.options.onlyforward or (own is None and dy is None):
            tape.pop()
            return None
        if own is not None:
            saved = tape.pop()
            total = own if dy is None else own + layer.backward(dy, saved)[0]
            layer.show("delta_in", total)
            return (total,)
        assert dy is not None
        layer.show("delta_in", dy)
        pending[index] = dy
        del dy
        return layer.backward(pending.pop(index), tape.pop())

    def _freeze(self) -> None:
        """Set which layers do not learn: stopbackward freezes a layer and all before it.  train_only_bn holds the
        weights of a layer and of all before it, dont_update and burnin_update those of a layer at the start."""
        stop, fixed, update = self._stop(), self._fixed(), self.progress.iteration + 1
        for index, layer in enumerate(self.layers):
            o = layer.options
            layer.frozen = index <= stop or o.onlyforward
            layer.held = index <= fixed or o.dont_update >= update or o.burnin_update * self.options.burn_in > update

    def _fixed(self) -> int:
        """The last layer with train_only_bn; -1 where there is none."""
        return max((i for i, layer in enumerate(self.layers) if layer.options.train_only_bn), default=-1)

    def _stop(self) -> int:
        """The last layer the backward pass does not reach; -1 when it goes all the way."""
        def stops(k: int) -> bool:
            return k == 1 or k > self.progress.iteration
        return max((i for i, layer in enumerate(self.layers)
                    if layer.options.stopbackward and stops(layer.options.stopbackward)), default=-1)

    def _want(self, input_gradient: bool) -> int:
        """Set for each layer whether an earlier one needs the gradient of its input -> where to stop: no layer up to
        this one has weights that will be updated."""
        stop = max(self._stop(), -1 if input_gradient else self._fixed())
        learns = {-1: input_gradient}
        for index, (layer, links) in enumerate(zip(self.layers, self.links, strict=True)):
            below = index > stop and any(learns[link] for link in links)
            layer.wants_dx = below
            learns[index] = index > stop and (below or bool(layer.params))
        return stop

    def zero_grads(self) -> None:
        for layer in self.layers:
            for grad in layer.grads.values():
                grad[...] = 0

    # --- properties --------------------------------------------------------------------------------

    @property
    def param_count(self) -> int:
        """Learned and stored values, each counted once."""
        return sum(spec.size for layer in self.owners for spec in layer.specs.values())

    @property
    def owners(self) -> list[Layer]:
        """The layers whose arrays are their own; one with share_index borrows those of an earlier layer."""
        return [layer for layer in self.layers if layer.stored or not isinstance(layer, Convolutional)]

    def summary(self) -> list[LayerSummary]:
        """Every layer in numbers."""
        return [LayerSummary(index, layer.names[0], links, " + ".join(map(shape_text, layer.in_shapes)),
                             shape_text(layer.out_shape), sum(spec.size for spec in layer.specs.values()),
                             layer.flops() / 1e9, math.prod(layer.out_shape))
                for index, (layer, links) in enumerate(zip(self.layers, self.links, strict=True))]
