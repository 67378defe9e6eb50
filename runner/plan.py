"""A network made ready for inference: `net.optimized()`.

What does not depend on the images is worked out once.  Each layer says what it does with weights that stay (`prepare`:
batch norm goes into the weights, bias and activation into the last pass), what it does not do at all (`view`: a
dropout, a part of another output) and what it only puts together (`joins`: its sources write into it).  All outputs lie
in one piece of memory, those that do not live at the same time in the same place.

A plan is made for one image; images of a batch share the threads, one image each, so that an image gets the same bits
in any batch.  Only where rows of a batch depend on each other (recurrent layers) a plan is made for the whole batch.

Plans hold the weights as they were.  After a change of weights make a new one: of an old one's layers some may use
the old and some the new.  The state of recurrent layers is that of the network.
"""
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.layers.base import Layer, Shape
from runner.network import Network
from runner.ops import memory, parallel

INPUT = -1      # the store that is the caller's array
ALIGN = 64      # bytes
LIGHT = 1 << 23     # operations an image must be worth, or handing it to another thread costs more than it saves


@dataclass(frozen=True)
class Place:
    """Where an array lies: a store, and its layout in there."""
    store: int
    offset: int
    shape: Shape
    strides: tuple[int, ...]
    dtype: np.dtype

    def on(self, buffer: Any, start: int = 0) -> np.ndarray:
        """The array, in a buffer where the store begins at `start`."""
        return np.ndarray(self.shape, self.dtype, buffer, start + self.offset, self.strides)


@dataclass
class Store:
    """Bytes that live from step `first` to step `last`, perhaps as a part of another store."""
    size: int
    first: int
    last: int
    owner: int | None = None    # the store it is a part of
    at: int = 0                 # offset in the owner, or in the whole memory


@dataclass
class Recipe:
    """Steps for `rows` rows: what to call, and where everything lies."""
    rows: int
    calls: list[tuple[Callable[..., Any], list[Place]]]     # run, its arrays, the last one for the output
    stores: list[Store]
    size: int                                               # bytes of memory
    places: dict[int, Place]                                # of the outputs that are asked for
    direct: dict[int, int]                                  # output asked for -> the call that can write it at once
    idle: list["Instance"] = field(default_factory=list)    # memory that waits for the next image

    def start(self, place: Place) -> int:
        """Where the store of a place begins in the memory."""
        store, at = self.stores[place.store], 0
        while store.owner is not None:
            at, store = at + store.at, self.stores[store.owner]
        return at + store.at


class Instance:
    """A recipe with its memory: one image at a time goes through it."""

    def __init__(self, recipe: Recipe):
        self.direct = recipe.direct
        self.memory = memory.empty(max(recipe.size, 1), np.uint8)
        self.calls: list[tuple[Callable[..., Any], list[Any]]] = []
        self.from_input: list[tuple[list[Any], int, Place]] = []
        for run, places in recipe.calls:
            arrays: list[Any] = []
            for place in places:
                if place.store == INPUT:
                    self.from_input.append((arrays, len(arrays), place))
                    arrays.append(None)
                else:
                    arrays.append(place.on(self.memory, recipe.start(place)))
            self.calls.append((run, arrays))
        self.kept = [(index, None if place.store == INPUT else place.on(self.memory, recipe.start(place)), place)
                     for index, place in recipe.places.items() if index not in recipe.direct]

    def run(self, x: np.ndarray, outs: dict[int, np.ndarray]) -> None:
        """x (rows, *in_shape), C-contiguous; every output asked for is written into outs."""
        calls = self.calls
        for arrays, slot, place in self.from_input:
            arrays[slot] = x if place.shape == x.shape and not place.offset else place.on(x)
        for index, position in self.direct.items():
            calls[position][1][-1] = outs[index]
        for run, arrays in calls:
            run(*arrays)
        for index, array, place in self.kept:
            np.copyto(outs[index], place.on(x) if array is None else array)
        for arrays, slot, _ in self.from_input:     # the caller's arrays are not ours to keep
            arrays[slot] = None
        for position in self.direct.values():
            calls[position][1][-1] = None


class Plan:
    """Takes the place of a network where nothing is learned: the same methods, the same numbers but for rounding."""

    def __init__(self, net: Network):
        self.net = net
        self.options, self.layers, self.links, self.env = net.options, net.layers, net.links, net.env
        self.in_shape, self.out_shape, self.last, self.heads = net.in_shape, net.out_shape, net.last, net.heads
        self.progress = net.progress
        self._apart = all(layer.rows_apart for layer in net.layers)
        self._light = sum(max(layer.flops(), 2 * sum(spec.size for spec in layer.specs.values()))
                          for layer in net.layers) < LIGHT
        self._recipes: dict[tuple[tuple[int, ...], int], Recipe] = {}
        self._prepared: dict[tuple[int, int], Callable[..., Any]] = {}

    def optimized(self) -> "Plan":
        return self

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
        elif n and self._light:
            with self._instance(keep, 1) as instance, parallel.alone():
                for i in range(n):
                    instance.run(x[i:i + 1], {index: y[i:i + 1] for index, y in outs.items()})
        elif n:
            self._share(x, keep, outs)
        return outs

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
        if (index, rows) not in self._prepared:
            self._prepared[index, rows] = self.layers[index].prepare(rows)
        return self._prepared[index, rows]


def make_recipe(net: Network, keep: Iterable[int], rows: int,
                prepare: Callable[[int, int], Callable[..., Any]]) -> Recipe:
    """The steps to the outputs in `keep`, and a place for every array."""
    keep, needed = tuple(keep), _needed(net, keep)
    readers = {index: max((i for i in needed if index in net.links[i]), default=-1) for index in (INPUT, *needed)}
    end = len(net.layers)
    for index in keep:
        readers[index] = end
    places: dict[int, Place] = {INPUT: _whole(INPUT, rows, net.in_shape, net.env.dtype)}
    stores: list[Store] = []
    calls: list[tuple[Callable[..., Any], list[Place]]] = []
    for index in needed:
        layer, links = net.layers[index], net.links[index]
        xs = [places[link] for link in links]
        place = _view(layer, xs)
        if place is None:
            place = _over(layer, index, xs, places, readers, stores)
            if place is None:
                place = _whole(len(stores), rows, layer.out_shape, net.env.dtype)
                stores.append(Store(math.prod(place.shape) * place.dtype.itemsize, index, index))
            if layer.joins(rows):
                calls += _join(xs, place, stores)
            else:
                calls.append((prepare(index, rows), [*xs, place]))
        places[index] = place
        if place.store != INPUT:
            store = stores[place.store]
            store.last = max(store.last, readers[index])
    recipe = Recipe(rows, calls, stores, 0, {index: places[index] for index in keep}, {})
    recipe.size = _lay_out(stores)
    recipe.direct = _direct(recipe)
    return recipe


def _needed(net: Network, keep: Iterable[int]) -> list[int]:
    """The layers the outputs depend on, and those that carry a state, in order."""
    wanted = set(keep) | {i for i, layer in enumerate(net.layers) if not layer.rows_apart}
    for index in reversed(range(len(net.layers))):
        if index in wanted:
            wanted |= {link for link in net.links[index] if link != INPUT}
    return sorted(wanted)


def _whole(store: int, rows: int, shape: Shape, dtype: np.dtype) -> Place:
    """An array that fills its store."""
    shape, strides = (rows, *shape), [dtype.itemsize]
    for side in reversed(shape[1:]):
        strides.insert(0, strides[0] * side)
    return Place(store, 0, shape, tuple(strides), dtype)


def _view(layer: Layer, xs: list[Place]) -> Place | None:
    """The place of an output that is an input, or a contiguous part of one."""
    trial = [np.empty(x.shape, x.dtype) for x in xs]     # never written to, so never given memory
    view = layer.view(*trial)
    if view is None or not view.flags.c_contiguous:
        return None
    for x, array in zip(xs, trial, strict=True):
        start = view.ctypes.data - array.ctypes.data
        if 0 <= start < array.nbytes:
            shape = (len(array), *layer.out_shape)
            return Place(x.store, x.offset + start, shape, view.reshape(shape).strides, x.dtype)
    return None


def _over(layer: Layer, index: int, xs: list[Place], places: dict[int, Place], readers: dict[int, int],
          stores: list[Store]) -> Place | None:
    """The place of the first input, where the layer may write over it and nobody reads it any more."""
    x = xs[0]
    if not layer.over_input or x.store == INPUT or math.prod(x.shape[1:]) != math.prod(layer.out_shape):
        return None
    if stores[x.store].owner is not None or any(store.owner == x.store for store in stores):
        return None     # it is a part of a joined output, or one itself: others may look at the same values
    if any(readers[i] > index for i, place in places.items() if place.store == x.store):
        return None
    if any(other.store == x.store for other in xs[1:]):
        return None
    return Place(x.store, x.offset, (x.shape[0], *layer.out_shape),
                 _whole(0, x.shape[0], layer.out_shape, x.dtype).strides, x.dtype)


def _join(xs: list[Place], out: Place, stores: list[Store]) -> list[tuple[Callable[..., Any], list[Place]]]:
    """Let the inputs lie in the output where that is possible; -> calls that copy the others."""
    calls: list[tuple[Callable[..., Any], list[Place]]] = []
    at = 0
    for x in xs:
        size = math.prod(x.shape) * x.dtype.itemsize
        store = None if x.store == INPUT else stores[x.store]
        if store is not None and store.owner is None and store.size == size and x.store != out.store:
            store.owner, store.at = out.store, at
        else:
            piece = Place(out.store, at, x.shape, x.strides, x.dtype)
            calls.append((_copy, [x, piece]))
        at += size
    return calls


def _copy(x: np.ndarray, out: np.ndarray) -> None:
    np.copyto(out, x)


def _lay_out(stores: list[Store]) -> int:
    """Give every store its place, large ones first, where no other lives at the same time; -> bytes in all."""
    for store in stores:
        root = store
        while root.owner is not None:
            root = stores[root.owner]
        root.first, root.last = min(root.first, store.first), max(root.last, store.last)
    placed: list[Store] = []
    for store in sorted((s for s in stores if s.owner is None), key=lambda s: (-s.size, s.first)):
        at = 0
        for other in sorted((p for p in placed if p.first <= store.last and store.first <= p.last), key=lambda p: p.at):
            if other.at - at >= store.size:
                break
            at = max(at, -(-(other.at + other.size) // ALIGN) * ALIGN)
        store.at = at
        placed.append(store)
    return max((store.at + store.size for store in placed), default=0)


def _direct(recipe: Recipe) -> dict[int, int]:
    """Outputs asked for that nobody else reads: the call that makes one may write it where the caller wants it."""
    touched: dict[int, list[int]] = {}
    for position, (_, places) in enumerate(recipe.calls):
        for place in places:
            touched.setdefault(place.store, []).append(position)
    shared = {store.owner for store in recipe.stores if store.owner is not None}
    direct: dict[int, int] = {}
    for index, place in recipe.places.items():
        if place.store == INPUT or place.store in shared or recipe.stores[place.store].owner is not None:
            continue
        users = touched.get(place.store, [])
        alone = sum(other.store == place.store for other in recipe.places.values()) == 1
        if len(users) == 1 and alone and recipe.calls[users[0]][1][-1] == place:
            direct[index] = users[0]
    return direct
