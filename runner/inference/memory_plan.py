"""What an inference plan is made of: the calls that compute the outputs, and a place in memory for every array.

All outputs lie in one piece of memory, those that do not live at the same time in the same place.  A layer may say
that its output is an input unchanged (`alias`), that it only concatenates its inputs (`concat_in_place`: they are then
written into it at once), or that it may write over its first input (`in_place`).

Where operations are operators (ops/inference_op.py), images have the layouts these want; what needs plain arrays in
between gets copies.  Operators that follow each other become one program, a single call.
"""
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np

from runner.layers.shared.base import Layer, Shape
from runner.network import Network
from runner.ops import inference_op, memory
from runner.ops.inference_op import InferenceOp, Program

INPUT = -1      # the store that is the caller's array
ALIGN = 64      # bytes


@dataclass(frozen=True)
class Place:
    """Where images (rows, ...) lie: a store, and the bytes before the first in there; in which layout."""
    store: int
    offset: int
    shape: Shape
    dtype: np.dtype
    layout: inference_op.Layout = inference_op.PLAIN

    def on(self, buffer: Any, start: int = 0) -> np.ndarray:
        """The plain array, in a buffer where the store begins at `start`."""
        return np.ndarray(self.shape, self.dtype, buffer, start + self.offset)


@dataclass
class Store:
    """Bytes that live from step `first` to step `last`, perhaps as a part of another store."""
    size: int
    first: int
    last: int
    image: int                  # bytes from one image to the next
    owner: int | None = None    # the store it is a part of
    at: int = 0                 # offset in the owner, or in the whole memory


@dataclass
class Recipe:
    """Steps for `rows` rows: what to call, and where everything lies."""
    rows: int
    calls: list[tuple[Any, list[Place]]]        # run and its arrays, the last one for the output
    stores: list[Store]
    places: dict[int, Place]                                # of the outputs that are asked for
    size: int = 0                                           # bytes of memory
    direct: dict[int, int] = field(default_factory=dict)    # output asked for -> the call that can write it at once
    idle: list["Instance"] = field(default_factory=list)    # memory that waits for the next image

    @property
    def programs(self) -> list[Program]:
        return [run for run, _ in self.calls if isinstance(run, Program)]

    def start(self, place: Place) -> int:
        """Where the store of a place begins in the memory."""
        store, at = self.stores[place.store], 0
        while store.owner is not None:
            at, store = at + store.at, self.stores[store.owner]
        return at + store.at

    def root(self, place: Place) -> Store:
        """The store that a place's store is a part of, in the end."""
        store = self.stores[place.store]
        while store.owner is not None:
            store = self.stores[store.owner]
        return store

    def view(self, place: Place) -> inference_op.View:
        """A place as operators see it."""
        wide, shape = place.dtype.itemsize, place.shape[1:]
        shape = shape if len(shape) == 3 else (math.prod(shape), 1, 1)
        if place.store == INPUT:
            return inference_op.View(place.offset // wide, math.prod(shape), shape, place.layout, self.rows,
                                     external_input=True)
        image = math.prod(shape) if place.layout == inference_op.PLAIN else self.root(place).image // wide
        return inference_op.View((self.start(place) + place.offset) // wide, image, shape, place.layout,
                                 place.shape[0])


class Instance:
    """A recipe with its memory: one call at a time goes through it."""

    def __init__(self, recipe: Recipe):
        self.direct = recipe.direct
        self.memory = memory.empty(max(-(-recipe.size // ALIGN), 1) * ALIGN, np.uint8)
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
            self.calls.append((run.bind(self.memory) if isinstance(run, Program) else run, arrays))
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


def make_recipe(net: Network, keep: Iterable[int], rows: int, prepare: Callable[[int, int], Callable[..., Any]],
                dry: bool = False) -> Recipe:
    """The steps to the outputs in `keep`, and a place for every array; dry: it is not going to run."""
    return _Maker(net, tuple(keep), rows, prepare, dry).make()


class _Maker:
    """A recipe under way."""

    def __init__(self, net: Network, keep: tuple[int, ...], rows: int,
                 prepare: Callable[[int, int], Callable[..., Any]], dry: bool):
        self.net, self.keep, self.rows, self.dry = net, keep, rows, dry
        self.needed = _needed(net, keep)
        self.runs: dict[int, Any] = {index: prepare(index, rows) for index in self.needed}
        self.readers = {index: max((i for i in self.needed if index in net.links[i]), default=-1)
                        for index in (INPUT, *self.needed)}
        self.readers |= dict.fromkeys(keep, len(net.layers))
        operators = [run for run in self.runs.values() if self._is_operator(run)]
        self.operator = operators[0] if operators else None
        # one border for all blocked images, so that any of them can be joined
        self.border = max((run.border for run in operators), default=0)
        self.stores: list[Store] = []
        self.calls: list[tuple[Any, list[Place]]] = []
        self.rooms: dict[int, Place] = {}       # call -> memory it needs while it runs
        self.places = {INPUT: Place(INPUT, 0, (rows, *net.in_shape), net.env.dtype)}
        self.copies: dict[tuple[Place, inference_op.Layout], Place] = {}

    def make(self) -> Recipe:
        for index in self.needed:
            place = self.places[index] = self._place(index)
            if place.store != INPUT:
                store = self.stores[place.store]
                store.last = max(store.last, self.readers[index])
        end = len(self.net.layers)
        recipe = Recipe(self.rows, self.calls, self.stores,
                        {index: self._in(self.places[index], inference_op.PLAIN, end) for index in self.keep})
        recipe.size = _lay_out(self.stores)
        direct = _direct(recipe)
        moved = self._weave(recipe)
        recipe.direct = {index: moved[position] for index, position in direct.items() if position in moved}
        return recipe

    def _place(self, index: int) -> Place:
        """The place of a layer's output; adds the calls that fill it."""
        layer, run = self.net.layers[index], self.runs[index]
        xs = [self.places[link] for link in self.net.links[index]]
        joined = self._blocked_view(layer, xs) or self._blocked_join(layer, xs, index)
        if joined is not None:
            return joined
        takes, gives = [inference_op.PLAIN] * len(xs), inference_op.PLAIN
        if self._is_operator(run):
            takes, gives = run.layouts([x.shape[1:] for x in xs], self.border)
        if any(layout != inference_op.PLAIN and len(x.shape) < 4 for x, layout in zip(xs, takes, strict=True)):
            takes, gives = [inference_op.PLAIN] * len(xs), inference_op.PLAIN
            run = run.__call__      # what comes is no image: as on any plain array
        if not self._is_operator(run):
            xs = [self._in(x, inference_op.PLAIN, index) for x in xs]
            place = _view(layer, xs)
            if place is not None:
                return place
            if layer.concat_in_place(self.rows):
                place = self._new(layer.out_shape, inference_op.PLAIN, index)
                self._join(xs, place, index)
                return place
            place = (self._over(layer, index, xs, inference_op.PLAIN)
                     or self._new(layer.out_shape, inference_op.PLAIN, index))
            self.calls.append((run, [*xs, place]))
            return place
        xs = [self._in(x, layout, index, inside=True) for x, layout in zip(xs, takes, strict=True)]
        place = self._over(layer, index, xs, gives) or self._new(layer.out_shape, gives, index)
        if room := run.scratch(self.rows):
            self.rooms[len(self.calls)] = self._new((room,), inference_op.PLAIN, index, rows=1)
        self.calls.append((run, [*xs, place]))
        return place

    def _convert(self, source: inference_op.Layout, target: inference_op.Layout) -> InferenceOp:
        assert self.operator is not None        # only operators have layouts that are not plain
        return self.operator.convert(source, target)

    def _is_operator(self, run: Any) -> TypeGuard[InferenceOp]:
        return isinstance(run, InferenceOp) and self.net.env.dtype == np.float32

    def _weave(self, recipe: Recipe) -> dict[int, int]:
        """Make one program of operators that follow each other; -> the new positions of the other calls."""
        calls: list[tuple[Any, list[Place]]] = []
        moved: dict[int, int] = {}
        program: Program | None = None
        for position, (run, places) in enumerate(self.calls):
            if not self._is_operator(run):
                moved[position] = len(calls)
                calls.append((run, places))
                program = None
                continue
            if program is None or run.own_program:
                program = run.new_program(self.rows, self.dry)
                calls.append((program, [self.places[INPUT]]))      # a step may read the images themselves
            room = self.rooms.get(position)
            *xs, y = (recipe.view(place) for place in places)
            run.emit(program, xs, y, 0 if room is None else recipe.view(room).offset)
            program = None if run.own_program else program
        recipe.calls = calls
        return moved

    def _new(self, shape: Shape, layout: inference_op.Layout, index: int, rows: int | None = None) -> Place:
        """A store of its own for images of this shape."""
        rows, image = self.rows if rows is None else rows, self._bytes(shape, layout)
        self.stores.append(Store(rows * image, index, index, image))
        return Place(len(self.stores) - 1, 0, (rows, *shape), self.net.env.dtype, layout)

    def _bytes(self, shape: Shape, layout: inference_op.Layout) -> int:
        """Of an image."""
        return (math.prod(shape) if layout == inference_op.PLAIN else layout.size(shape)) * self.net.env.dtype.itemsize

    def _in(self, place: Place, layout: inference_op.Layout, index: int, inside: bool = False) -> Place:
        """The images of a place in a layout: themselves, or a copy.  inside: in the plan's memory."""
        if place.layout == layout and not (inside and place.store == INPUT):
            return place
        if place.layout != inference_op.PLAIN and layout != inference_op.PLAIN:
            return self._in(self._in(place, inference_op.PLAIN, index), layout, index)
        copy = self.copies.get((place, layout))
        if copy is None:
            copy = self.copies[place, layout] = self._new(place.shape[1:], layout, index)
            self.calls.append((self._convert(place.layout, layout), [place, copy]))
        self.stores[copy.store].last = max(self.stores[copy.store].last, index)
        return copy

    def _blocked_view(self, layer: Layer, xs: list[Place]) -> Place | None:
        """Of a blocked image, all of it or whole blocks of its channels."""
        if len(xs) != 1 or xs[0].layout == inference_op.PLAIN:
            return None
        x = xs[0]
        trial = np.empty((1, *x.shape[1:]), x.dtype)     # never written to
        view = layer.alias(trial)
        if view is None or not view.flags.c_contiguous or len(layer.out_shape) != 3:
            return None
        first, rest = divmod((view.ctypes.data - trial.ctypes.data) // x.dtype.itemsize, math.prod(x.shape[2:]))
        if layer.out_shape[1:] != x.shape[2:] or rest or first % x.layout.block:
            return None
        before = first // x.layout.block * x.layout.plane(*x.shape[2:]) * x.dtype.itemsize
        return replace(x, offset=x.offset + before, shape=(x.shape[0], *layer.out_shape))

    def _blocked_join(self, layer: Layer, xs: list[Place], index: int) -> Place | None:
        """Blocked images one behind the other, where blocks end with the images."""
        layout = xs[0].layout if xs else inference_op.PLAIN
        if layout == inference_op.PLAIN or not layer.concat_in_place(1) or any(x.layout != layout for x in xs):
            return None
        if any(x.shape[1] % layout.block for x in xs[:-1]):
            return None
        place = self._new(layer.out_shape, layout, index)
        self._join(xs, place, index)
        return place

    def _join(self, xs: list[Place], out: Place, index: int) -> None:
        """Let the inputs lie in the output where that is possible; the others are copied."""
        at = 0
        for x in xs:
            size = self._bytes(x.shape[1:], x.layout)
            store = None if x.store == INPUT else self.stores[x.store]
            if store is not None and store.owner is None and store.image == size and x.store != out.store:
                store.owner, store.at = out.store, at
            else:
                piece = Place(out.store, at, x.shape, x.dtype, x.layout)
                copy = _copy if x.layout == inference_op.PLAIN else self._convert(x.layout, x.layout)
                self.calls.append((copy, [x, piece]))
            at += size

    def _over(self, layer: Layer, index: int, xs: list[Place], layout: inference_op.Layout) -> Place | None:
        """The place of the first input, where the layer may write over it and nobody reads it any more."""
        x = xs[0]
        if not layer.in_place or x.store == INPUT or math.prod(x.shape[1:]) != math.prod(layer.out_shape):
            return None
        if x.layout != layout or self.stores[x.store].owner is not None or any(
                store.owner == x.store for store in self.stores):
            return None     # it is a part of a joined output, or one itself: others may look at the same values
        if any(self.readers[i] > index for i, place in self.places.items() if place.store == x.store):
            return None
        if x in self.copies.values() or any(other.store == x.store for other in xs[1:]):
            return None
        for old in [key for key in self.copies if key[0].store == x.store]:
            del self.copies[old]        # of values that are gone now
        return Place(x.store, x.offset, (x.shape[0], *layer.out_shape), x.dtype, layout)


def _needed(net: Network, keep: Iterable[int]) -> list[int]:
    """The layers the outputs depend on, and those that carry a state, in order."""
    wanted = set(keep) | {i for i, layer in enumerate(net.layers) if not layer.batch_independent}
    for index in reversed(range(len(net.layers))):
        if index in wanted:
            wanted |= {link for link in net.links[index] if link != INPUT}
    return sorted(wanted)


def _view(layer: Layer, xs: list[Place]) -> Place | None:
    """The place of an output that is a plain input, or a contiguous part of one."""
    trial = [np.empty(x.shape, x.dtype) for x in xs]     # never written to, so never given memory
    view = layer.alias(*trial)
    if view is None or not view.flags.c_contiguous:
        return None
    for x, array in zip(xs, trial, strict=True):
        start = view.ctypes.data - array.ctypes.data
        if 0 <= start < array.nbytes:
            return Place(x.store, x.offset + start, (len(array), *layer.out_shape), x.dtype)
    return None


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
