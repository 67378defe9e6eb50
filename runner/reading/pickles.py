"""The values of a pickle, without loading it: numbers, texts, lists, dictionaries and plain arrays.

A pickle is a program for a stack machine.  This one executes only the operations that build plain values; names of
functions and classes stay names, and calls are followed for the few that a plain array needs.  Nothing is imported, and
memory is taken for values in the file only.
"""
import math
import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.errors import DataError, RunnerError
from runner.reading.numbers import shown
from runner.reading.text import Path_, name_of, read_bytes

RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
FROM_BUFFER = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
TYPES = ("u1", "|u1", "uint8", "i8", "i4")
MARK = object()
MOST_VALUES = 10_000_000

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
         "BYTEARRAY8"}
STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}        # of Python 2: bytes
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(ValueError):
    """What the pickle asks for is not a plain value."""


@dataclass(eq=False)
class Name:
    """A function or class that the pickle names, "module name"."""
    text: str


@dataclass(eq=False)
class DType:
    """numpy.dtype: its name, and whether its bytes are big-endian."""
    name: str
    big: bool = False


@dataclass(eq=False)
class Array:
    """numpy.ndarray before its values are known."""
    state: Any = None

    def values(self) -> np.ndarray:
        """The array.  ValueError where shape, type and bytes do not agree."""
        if not (isinstance(self.state, tuple) and len(self.state) == 5):
            raise ValueError("an array of the pickle is not complete")
        _, shape, dtype, fortran, content = self.state
        if not (isinstance(dtype, DType) and dtype.name in TYPES and isinstance(content, bytes | bytearray)):
            raise ValueError(f"an array of the pickle is invalid: its type is {shown(getattr(dtype, 'name', dtype))}")
        kind = np.dtype(dtype.name).newbyteorder(">" if dtype.big else "=")
        if not (isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
                and len(shape) <= 32 and 0 not in shape and math.prod(shape) * kind.itemsize == len(content)):
            raise ValueError(f"an array of the pickle is invalid: {len(content):,} bytes for the shape {shown(shape)}")
        return np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")


def read_pickle(path: Path_, error: type[RunnerError] = DataError) -> Any:
    """The value of a pickle; arrays are `Array`s.  `error` for anything but plain values."""
    content = read_bytes(path, error)
    try:
        return _Machine().run(content)
    except Refused as problem:
        raise error(f"{name_of(path)}: {problem}") from None
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError, AttributeError) as problem:
        raise error(f"{name_of(path)}: not a pickle of plain values ({problem or type(problem).__name__})") from None


class _Machine:
    """The stack, and the values that are referred to later."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count > MOST_VALUES:
                raise Refused(f"a pickle of more than {MOST_VALUES:,} values is not read")
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        value, = self._pop(1)
        return value

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in NUMBERS or name in TEXTS:
            stack.append(argument)
        elif name in STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name in TUPLES:
            items = self._pop(TUPLES[name])
            stack.append(tuple(items))
        elif name in ("MARK", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            stack.append({"MARK": MARK, "EMPTY_LIST": [], "EMPTY_DICT": {}, "EMPTY_TUPLE": ()}[name])
        elif name in ("LIST", "TUPLE", "DICT", "APPENDS", "SETITEMS", "POP_MARK"):
            self._with_mark(name)
        elif name == "APPEND":
            item, = self._pop(1)
            _list(stack[-1]).append(item)
        elif name == "SETITEM":
            pair = self._pop(2)
            _fill(stack[-1], pair)
        elif name == "POP":
            stack.pop()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "GLOBAL":
            stack.append(Name(argument))
        elif name == "STACK_GLOBAL":
            module, function = self._pop(2)
            stack.append(Name(f"{module} {function}"))
        elif name == "REDUCE":
            function, arguments = self._pop(2)
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            state, = self._pop(1)
            _build(stack[-1], state)
        elif name not in ("PROTO", "FRAME"):
            raise Refused(f"the pickle has the operation {name}, which plain values do not need: it is not loaded")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count or any(item is MARK for item in self.stack[-count:]):
            raise ValueError("the stack is too short")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _with_mark(self, name: str) -> None:
        """The operations that take everything behind the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:       # IndexError without one
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        items = self.stack[at + 1:]
        del self.stack[at:]
        if name == "LIST":
            self.stack.append(items)
        elif name == "TUPLE":
            self.stack.append(tuple(items))
        elif name == "DICT":
            self.stack.append({})
            _fill(self.stack[-1], items)
        elif name == "APPENDS":
            _list(self.stack[-1]).extend(items)
        elif name == "SETITEMS":
            _fill(self.stack[-1], items)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"values are appended to {shown(value)}")
    return value


def _fill(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("keys and values do not pair")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | bytes | int):
            raise ValueError(f"a key is {shown(key)}")
        target[key] = value


def _call(function: Any, arguments: Any) -> Any:
    """What a call returns that a plain array needs; Refused for all others."""
    name = function.text if isinstance(function, Name) else shown(function)
    if not isinstance(arguments, tuple):
        raise ValueError("the arguments of a call are missing")
    if name in RECONSTRUCT:
        return Array()
    if name in FROM_BUFFER and len(arguments) == 4:
        content, dtype, shape, order = arguments
        return Array((1, shape, dtype, order == "F", content))
    if name == "numpy dtype" and arguments and isinstance(arguments[0], str | bytes):
        first = arguments[0]
        return DType(first.decode("latin-1") if isinstance(first, bytes) else first)
    if name == "_codecs encode" and len(arguments) == 2 and isinstance(arguments[0], str) \
            and arguments[1] in ("latin1", b"latin1"):
        return arguments[0].encode("latin1")
    raise Refused(f"the pickle asks for {shown(name)[1:-1].replace(' ', '.')}, which plain values do not need: it is "
                  "not loaded")


def _build(target: Any, state: Any) -> None:
    if isinstance(target, Array):
        target.state = state
    elif isinstance(target, DType):
        target.big = isinstance(state, tuple) and len(state) > 1 and state[1] in (">", b">")
    else:
        raise Refused("the pickle sets the state of an object that is not a plain value: it is not loaded")
