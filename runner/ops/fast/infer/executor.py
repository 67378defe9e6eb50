"""An inference program: its instructions as one table, which all threads work through in a single call.

No Python runs between two instructions.  Threads take the parts of an instruction from a counter and continue with the
next one when all parts are done; a thread that joins late takes fewer parts.  A value is computed in the same way
whichever thread takes its part, so results do not depend on the number of threads.
"""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import TypingError

from runner.ops import memory, parallel
from runner.ops.fast.infer.instructions import FLOAT_ARRAY, RECORD, SLOT, Kind
from runner.ops.fast.jit import compiled, intrinsic
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.atomics import cpu_pause, fetch_add, load_acquire, yield_thread
from runner.ops.fast.simd.isa import FLOAT_BYTES
from runner.ops.fast.simd.math import f4
from runner.ops.fast.tuning import SPIN_LIMIT
from runner.ops.inference_op import Program


class CompiledProgram(Program):
    """Instructions for `rows` images.

    Operators append them; `bind` makes a function of them.  dry: only to know the memory it would take, nothing is
    compiled and no weights are packed.
    """

    def __init__(self, rows: int, dry: bool = False):
        self.rows, self.dry, self.scratch, self.held = rows, dry, 1, 0
        self._instructions: list[tuple[Kind, int, dict[str, Any]]] = []
        self._taps: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}
        self._kept: list[np.ndarray] = []           # arrays whose addresses are in the table

    def __len__(self) -> int:
        return len(self._instructions)

    def append(self, kind: Kind, parts: int, *, scratch: int = 0, **fields: Any) -> None:
        """Add an instruction of `parts` parts, of which each thread needs `scratch` values of temporary memory."""
        if set(fields) != set(kind.fields):
            raise TypeError(f"{kind.name}: these fields are missing or unknown: {set(fields) ^ set(kind.fields)}")
        self.scratch = max(self.scratch, scratch)
        self._instructions.append((kind, parts, fields))

    def taps(self, offsets: list[int]) -> int:
        """A list of offsets, for the field `taps`."""
        key = tuple(offsets)
        if key not in self._places:
            self._places[key] = len(self._taps)
            self._taps += offsets
        return self._places[key]

    def array(self, size: int, make: Callable[[], np.ndarray]) -> int:
        """The address of an array of `size` values, which is kept as long as the program."""
        self.held += FLOAT_BYTES * size
        if self.dry:
            return 0
        made = make()
        assert made.size == size and made.flags.c_contiguous
        self._kept.append(made)
        return int(made.ctypes.data)

    def zeros(self, size: int) -> int:
        """The address of `size` zeros."""
        return self.array(size, lambda: np.zeros(size, f4))

    def tile(self, operation: Callable[..., None]) -> int:
        """The address of an operation of simd/direct.py."""
        return 0 if self.dry else direct.address(operation)

    def bind(self, buffer: np.ndarray) -> Callable[[np.ndarray], None]:
        """-> run(x): computes everything for the images x (rows, c, h, w) in this memory (uint8)."""
        table, taps = np.zeros(len(self), RECORD), np.array(self._taps or [0])
        for i, (kind, parts, fields) in enumerate(self._instructions):
            record = table[i:i + 1].view(kind.dtype)[0]
            record["kernel"], record["parts"] = kind.address, parts
            for name, value in fields.items():
                record[name] = taps.ctypes.data + SLOT * value if name == "taps" else value
        return partial(self._run, table, taps, buffer.view(f4), list[np.ndarray]())

    def _run(self, table: np.ndarray, taps: np.ndarray, m: np.ndarray, scratch: list[np.ndarray],
             x: np.ndarray) -> None:
        """taps and the arrays in self are known to the table by their addresses: they must outlive the call."""
        external = x.reshape(-1)
        if not external.flags.writeable:        # read-only arrays are another type to the compiler
            external = external.copy()
        threads = 1 if parallel.inside_worker() else parallel.threads()
        while len(scratch) < threads:
            scratch.append(memory.empty(self.scratch))
        counters = np.zeros(2 * len(table), np.int64)
        parallel.for_each(lambda i: work(table, m, external, scratch[i], counters), threads)


@intrinsic
def run_part(typing: Any, kernel: Any, record: Any, part: Any, m: Any, external: Any, scratch: Any) -> Any:
    """kernel(record, part, m, external, scratch): the kernel and the record are known by their addresses."""
    if not m == external == scratch == FLOAT_ARRAY:
        raise TypingError("kernels of instructions are compiled for float32 arrays")

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, array = ir.IntType(8).as_pointer(), context.get_value_type(FLOAT_ARRAY)
        kind = ir.FunctionType(ir.VoidType(), [pointer, ir.IntType(64), *[array] * 3])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [builder.inttoptr(args[1], pointer), *args[2:]])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64, *[FLOAT_ARRAY] * 3), write


@compiled
def work(table, m, external, scratch, counters):
    """Take part in all instructions of table (k,); counters (2 k,): of each the parts taken and done, from zero."""
    for k in range(len(table)):
        parts, record = table[k].parts, table.ctypes.data + k * table.itemsize
        part = fetch_add(counters, 2 * k)
        while part < parts:
            run_part(table[k].kernel, record, part, m, external, scratch)
            fetch_add(counters, 2 * k + 1)
            part = fetch_add(counters, 2 * k)
        polls = 0
        while load_acquire(counters, 2 * k + 1) < parts:
            polls += 1
            cpu_pause()
            if polls > SPIN_LIMIT:
                yield_thread()
