"""Sections -> layers -> forward and backward over the graph they name.

The network owns the graph: which output feeds which layer, when an output is let go, and the sum of the gradients of
an output that several layers read.  Layers know none of it.
"""
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runner import compat as compat_table
from runner import layers, ops
from runner.config import Report, Section, override, read
from runner.errors import CfgError, ShapeError
from runner.layers.convolutional import NOT_SHARED
from runner.layers.shared.base import Env, Head, Layer, Shape, shape_text
from runner.net_options import NetOptions

if TYPE_CHECKING:
    from runner.inference.plan import Plan

ALIASES = {name: kind.names[0] for name, kind in layers.LAYERS.items()} | {"net": "net", "network": "net"}


def load(cfg: str | Path, weights: str | Path | None = None, dtype: str = "float32", seed: int = 0, *,
         settings: Iterable[str] = (), compat: str | None = None, strict: bool = False, allocate: bool = True,
         report: Report | None = None) -> "Network":
    """The network a .cfg file describes.

    weights   a .weights file to read, or None for fresh random weights drawn from `seed`
    dtype     "float32", or "float64" for gradient checks
    settings  changes such as "net.batch=32" or "5.probability=0.3"
    compat    None: exact; "alexeyab" or "pjreddie": with that fork's formulas (see runner/compat.py)
    strict    an option nobody knows is an error
    allocate  False: shapes and counts only, without arrays
    report    collects the warnings; mistakes are raised as CfgError, all of them at once
    """
    report = report or Report(strict)
    sections = read(cfg, report)
    override(sections, settings, ALIASES, report)
    net = build(sections, report, dtype=dtype, seed=seed, compat=compat, allocate=allocate, folder=Path(cfg).parent)
    if weights is not None:
        from runner import weights as codec
        codec.load(net, weights)
    return net


def build(sections: Sequence[Section], report: Report, *, dtype: str = "float32", seed: int = 0,
          compat: str | None = None, allocate: bool = True, folder: str | Path = ".") -> "Network":
    """The network of parsed sections.  CfgError tells every mistake at once."""
    options = None
    if sections and sections[0].name in ("net", "network"):
        options = NetOptions.parse(sections[0], report)
        if options is not None:
            _check_net(options, sections[0], report)
    env = Env(dtype=np.dtype(dtype), rng=np.random.default_rng(seed), compat=compat_table.find(compat),
              folder=str(folder), allocate=allocate and not report.errors)
    if env.allocate:
        ops.choose_default_backend()
    if options is not None:
        env.time_steps, env.in_shape = options.time_steps, options.in_shape()
        env.progress.max_batches = options.max_batches
    stack = _stack(sections[1:], env, report)
    if len(sections) == 1 and not report.errors:
        report.error(f"{sections[0].where()} there is no layer after it")
    report.raise_errors()
    assert options is not None
    net = Network(options, [layer for layer, _ in stack if layer is not None], [links for _, links in stack], env)
    net.sections = list(sections)
    return net


def _check_net(options: NetOptions, section: Section, report: Report) -> None:
    if not all(options.in_shape()):
        report.error(f"{section.where()} needs width, height and channels (or inputs, where the input is no image)")
    if options.policy == "steps" and not options.steps:
        report.error(f"{section.where('policy')} policy=steps needs steps= and scales=, a list of updates and one of "
                     "factors")
    if len(options.steps) != len(options.scales) and options.policy == "steps" and options.steps:
        report.error(f"{section.where('scales')} scales must have as many numbers as steps: {len(options.steps)}. "
                     f"Got {len(options.scales)}")
    if options.adam and options.optimizer != "sgd":
        report.error(f"{section.where('optimizer')} adam=1 and optimizer={options.optimizer} are two rules for one "
                     "update: leave one of them out")
    if options.batch % options.subdivisions:
        report.warn(f"{section.where('subdivisions')} batch={options.batch} is no multiple of "
                    f"subdivisions={options.subdivisions}: an update sees "
                    f"{options.batch // options.subdivisions * options.subdivisions or 1} images, as in darknet")


def _stack(sections: Sequence[Section], env: Env, report: Report) -> list[tuple[Layer | None, tuple[int, ...]]]:
    """Build the layers one after another; one that fails leaves None, and its readers are not judged."""
    stack: list[tuple[Layer | None, tuple[int, ...]]] = []
    for index, section in enumerate(sections):
        kind = layers.find(section, report)
        options = kind.Options.parse(section, report) if kind else None
        layer: Layer | None = None
        links: tuple[int, ...] = ()
        if kind and options is not None:
            links = _links(kind.sources(options), index, section, report)
            feeding = [_feeding(link, stack, env) for link in links]
            if links and None not in feeding:
                try:
                    layer = kind.build(options, [shape for shape in feeding if shape is not None], env)
                    _share(layer, index, stack, section, report)
                except ShapeError as error:
                    report.error(f"{section.where()} layer {index}: {error}")
                except MemoryError:
                    report.error(f"{section.where()} layer {index}: its weights do not fit into memory")
        stack.append((layer, links))
    return stack


def _feeding(link: int, stack: Sequence[tuple[Layer | None, Any]], env: Env) -> Shape | None:
    """The shape of an output; None when its layer could not be built."""
    if link < 0:
        return env.in_shape or None     # empty while [net] itself is wrong
    layer = stack[link][0]
    return None if layer is None else layer.out_shape


def _links(sources: Iterable[int], index: int, section: Section, report: Report) -> tuple[int, ...]:
    """Absolute indices of the outputs a layer reads; -1 is the network's input."""
    links = tuple(s + index if s < 0 else s for s in sources)
    for link in links:
        if not -1 <= link < index or (link < 0 < index):
            there = f"it can read 0 to {index - 1}, or -1 to -{index} counted back" if index else \
                "it is the first and can read only the input"
            report.error(f"{section.where(_naming(section))} layer {index} reads layer {link}; {there}")
            return ()
    return links


def _naming(section: Section) -> str | None:
    return next((key for key in ("layers", "from") if key in section.lines), None)


def _share(layer: Layer, index: int, stack: Sequence[tuple[Layer | None, Any]], section: Section,
           report: Report) -> None:
    at = getattr(layer.options, "share_index", NOT_SHARED)
    if at == NOT_SHARED:
        return
    at = at + index if at < 0 else at
    other = stack[at][0] if 0 <= at < index else None
    if other is None or not hasattr(other, "share"):
        report.error(f"{section.where('share_index')} share_index must name an earlier [{section.name}] layer. "
                     f"Got {layer.options.share_index}")
    else:
        layer.share(other)      # type: ignore[attr-defined]


@dataclass(frozen=True)
class Row:
    """One line of the summary; counts are for one image."""
    index: int
    name: str
    reads: tuple[int, ...]
    in_shape: str
    out_shape: str
    params: int
    bflops: float
    out_values: int


class Network:
    """A stack of layers: `layers[i]` reads the outputs `links[i]`; -1 in links is the network's input.

    options   the [net] section
    progress  updates and images seen so far
    losses    layer -> loss, of the last backward
    sections  of the cfg, settings applied; empty for a network put together by hand
    """

    def __init__(self, options: NetOptions, layers: list[Layer], links: list[tuple[int, ...]], env: Env):
        self.options, self.layers, self.links, self.env = options, layers, links, env
        self.in_shape = env.in_shape
        self.progress = env.progress
        self.losses: dict[int, float] = {}
        self.sections: list[Section] = []
        self.last = max((i for i, layer in enumerate(layers) if layer.names[0] != "cost"), default=len(layers) - 1)
        self._last_reader = {link: i for i, reads in enumerate(links) for link in reads}

    @property
    def heads(self) -> list[int]:
        """Indices of the layers that are compared with the truth."""
        return [i for i, layer in enumerate(self.layers) if isinstance(layer, Head)]

    @property
    def out_shape(self) -> Shape:
        return self.layers[self.last].out_shape

    # --- inference -----------------------------------------------------------------------------------

    def predict(self, x: np.ndarray) -> np.ndarray:
        """x (n, c, h, w) -> the output of the last layer that is no [cost], in inference mode."""
        return self.forward(x)[0]

    def sample(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As predict, with [dropout] at work as in training, drawn from `rng`; batch norm and all else stay
        in inference mode.  Many samples of one image tell how sure the network is (Gal and Ghahramani, ICML 2016)."""
        before = self.env.rng
        self.env.rng, self.env.sampling = rng, True
        try:
            return self.predict(x)
        finally:
            self.env.rng, self.env.sampling = before, False

    def optimized(self) -> "Plan":
        """A runner.inference.plan.Plan: this network made ready for inference, with the weights as they are now."""
        from runner.inference.plan import Plan
        return Plan(self)

    def outputs(self, x: np.ndarray, train: bool = False) -> list[np.ndarray]:
        """Every layer's output, in order."""
        return list(self._run(self.as_input(x), train, range(len(self.layers)))[2].values())

    def head_outputs(self, x: np.ndarray) -> dict[int, np.ndarray]:
        """The outputs of the layers that are compared with the truth, by their index; all others are let go."""
        return self._run(self.as_input(x), False, self.heads)[2]

    def forward(self, x: np.ndarray, *, train: bool = False) -> tuple[np.ndarray, list[Any]]:
        """x (n, *in_shape) -> y, tape: what backward needs.  Outside training the tape is empty and each output is
        let go after its last reader."""
        return self._run(self.as_input(x), train)[:2]

    def _run(self, x: np.ndarray, train: bool,
             keep: Container[int] = ()) -> tuple[np.ndarray, list[Any], dict[int, np.ndarray]]:
        """-> the last output, the tape, and the outputs of the layers in `keep`."""
        if train:
            self._freeze()
            if self.env.compat.dropout_in_place:
                x = x.copy()        # a dropout that comes first would write into the caller's array
        outputs, tape, kept, y = {-1: x}, [], {}, x
        for index, (layer, links) in enumerate(zip(self.layers, self.links, strict=True)):
            out, saved = layer.forward(*(outputs[i] for i in links), train=train)
            outputs[index] = out
            if train:
                tape.append(saved)
            if index == self.last:
                y = out
            if index in keep:
                # a later layer may work in place (dropout as darknet does it): keep what it was
                kept[index] = out.copy() if train else out
            for link in set(links):
                if self._last_reader[link] == index:
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

    def resize(self, width: int, height: int) -> None:
        """Take images of that size from now on; every weight stays (darknet's resize_network).

        ShapeError, and nothing is changed, where a weight depends on the size (as those of [connected] do), or outputs
        that are joined no longer fit.
        """
        before, after = self.in_shape, (self.in_shape[0], height, width)
        if len(before) != 3:
            raise ShapeError(f"the network takes {before[0]} values, no images: it has no width and height to change")
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
        """What the recurrent layers carry from call to call, one dictionary a layer; it can be put back later."""
        return [dict(layer.state) for layer in self.layers]

    @state.setter
    def state(self, states: list[dict[str, np.ndarray]]) -> None:
        for layer, state in zip(self.layers, states, strict=True):
            layer.state = dict(state)

    def reset_state(self, streams: np.ndarray | None = None) -> None:
        """Let the next call be the first of a sequence; streams (n,) bool: only of some."""
        for layer in self.layers:
            layer.reset_state(streams)

    # --- training ------------------------------------------------------------------------------------

    def backward(self, tape: list[Any], truth: np.ndarray | None = None, dy: np.ndarray | None = None, *,
                 input_gradient: bool = False) -> tuple[float, np.ndarray | None]:
        """-> loss, the gradient of the network's input (None unless asked for).  Uses the tape up.

        Every head starts from the truth; `dy` is a gradient of the last layer's output to start from as well.
        loss is the mean over the heads of their sums over the images, as darknet counts it; the gradients are those
        of the sums.  They are added to `layer.grads`.
        """
        if truth is not None:
            truth = np.asarray(truth, self.env.dtype)
        stop = self._want(input_gradient)
        pending: dict[int, np.ndarray] = {} if dy is None else {self.last: dy}
        self.losses = {}
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if index <= stop:
                pending.pop(index, None)
                tape.pop()
                continue
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
        """Add up the gradients of outputs that several layers read: into the sum there is, unless somebody else's
        gradient lies in the same memory (a layer may hand on what it was given, to several inputs too)."""
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
        """-> the gradients of a layer's inputs.  What it saved and was given is handed over, not held here: it can go
        as soon as the layer has used it."""
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
        """Tell each layer whether it learns: stopbackward freezes a layer and all before it."""
        stop = self._stop()
        for index, layer in enumerate(self.layers):
            layer.frozen = index <= stop or layer.options.onlyforward

    def _stop(self) -> int:
        """The last layer the backward pass does not reach; -1 when it goes all the way."""
        def stops(k: int) -> bool:
            return k == 1 or k > self.progress.iteration
        return max((i for i, layer in enumerate(self.layers)
                    if layer.options.stopbackward and stops(layer.options.stopbackward)), default=-1)

    def _want(self, input_gradient: bool) -> int:
        """Tell each layer whether anything below it uses the gradient of its input; -> where to stop."""
        stop = self._stop()
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

    # --- what it is --------------------------------------------------------------------------------

    @property
    def param_count(self) -> int:
        """Learned and kept values, each counted once."""
        return sum(spec.size for layer in self.layers if layer.stored or not hasattr(layer, "share")
                   for spec in layer.specs.values())

    def rows(self) -> list[Row]:
        """The summary's table as data."""
        rows = []
        for index, (layer, links) in enumerate(zip(self.layers, self.links, strict=True)):
            rows.append(Row(index, layer.names[0], links, " + ".join(map(shape_text, layer.in_shapes)),
                            shape_text(layer.out_shape), sum(s.size for s in layer.specs.values()),
                            layer.flops() / 1e9, int(np.prod(layer.out_shape))))
        return rows


def check(cfg: str | Path, *, settings: Iterable[str] = (),
          strict: bool = False) -> "tuple[Network | None, Report]":
    """Read a cfg and work out every shape without allocating weights -> the network if it can be built, and the
    report with all mistakes and warnings."""
    report = Report(strict)
    try:
        return load(cfg, settings=settings, strict=strict, allocate=False, report=report), report
    except CfgError as error:
        report.errors = list(error.messages)
        return None, report
