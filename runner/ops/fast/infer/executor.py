"""An inference program: the steps of a plan as one table, which all threads work through in a single call.

Nothing of Python stands between two steps.  Threads take the parts of a step from a counter and go on to the next when
all parts are done; who comes late finds the counters ahead and has less to do.  A value is computed in the same way
whoever takes its part, so the results do not depend on the threads.
"""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from runner.ops import inference_op, memory, parallel
from runner.ops.fast.infer import instructions
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.atomics import cpu_pause, fetch_add, load_acquire, yield_thread
from runner.ops.fast.simd.math import f4

SPIN_LIMIT = 2000     # polls of a counter before yielding to the scheduler


class Program(inference_op.Program):
    """Steps for `rows` images; kernels add them, `bind` makes them ready to run.

    dry: only to know how much memory it would take; no weights are packed.
    """

    def __init__(self, rows: int, dry: bool = False):
        self.rows, self.dry = rows, dry
        self.scratch = 1                             # values of memory a thread needs for itself
        self.held = 0                               # bytes of arrays, weights above all, that it keeps
        self._steps: list[dict[str, Any]] = []
        self._taps: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}
        self._kept: list[np.ndarray] = []           # whose addresses are in the table

    def step(self, kind: int, parts: int, *, spare: int = 0, **numbers: Any) -> None:
        self.scratch = max(self.scratch, spare)
        self._steps.append({"kind": kind, "parts": parts, **numbers})

    def __len__(self) -> int:
        return len(self._steps)

    def taps(self, offsets: list[int]) -> int:
        """Where a list of offsets stands."""
        key = tuple(offsets)
        if key not in self._places:
            self._places[key] = len(self._taps)
            self._taps += offsets
        return self._places[key]

    def address(self, size: int, array: Callable[[], np.ndarray]) -> int:
        """Of an array of `size` values, which is kept as long as the program."""
        self.held += 4 * size
        if self.dry:
            return 0
        made = array()
        assert made.size == size and made.flags.c_contiguous
        self._kept.append(made)
        return int(made.ctypes.data)

    def tile(self, operation: Callable[..., None]) -> int:
        """The address of one of window's operations."""
        return 0 if self.dry else direct.address(operation)

    def zeros(self, size: int) -> int:
        """The address of so many zeros."""
        return self.address(size, lambda: np.zeros(size, f4))

    def bind(self, buffer: np.ndarray) -> Callable[[np.ndarray], None]:
        """-> run(given) with this memory; given (n, c, h, w), the images of the plan."""
        table = np.zeros(len(self._steps), instructions.STEP)
        for row, numbers in zip(table, self._steps, strict=True):
            for name, value in numbers.items():
                row[name] = value
        taps, spares = np.array(self._taps or [0]), list[np.ndarray]()
        table["taps"] = taps.ctypes.data + 8 * table["taps"]
        return partial(self._run, table, taps, buffer.view(f4), spares)

    def _run(self, table: np.ndarray, taps: np.ndarray, m: np.ndarray, spares: list[np.ndarray],
             given: np.ndarray) -> None:
        """taps and the arrays in self are known to the table by their addresses: they must outlive the call."""
        given = given.reshape(-1)
        if not given.flags.writeable:       # it would be another type to the compiler
            given = given.copy()
        threads = 1 if parallel.inside_worker() else parallel.threads()
        while len(spares) < threads:
            spares.append(memory.empty(self.scratch))
        counters = np.zeros((len(table), 2), np.int64)
        parallel.for_each(lambda i: work(table, m, given, spares[i], counters), threads)


@compiled
def work(table, m, given, spare, counters):
    """Take part in all steps; counters (steps, 2): parts taken and parts done, from zero."""
    flat = counters.reshape(-1)
    for k in range(len(table)):
        s = table[k]
        part = fetch_add(flat, 2 * k)
        while part < s.parts:
            kind = s.kind
            if kind == instructions.CONVOLVE:
                instructions.do_convolve(s, part, m, spare)
            elif kind == instructions.SCALE:
                instructions.do_scale(s, part, m, spare)
            elif kind == instructions.POOL:
                instructions.do_pool(s, part, m)
            elif kind == instructions.ADD:
                instructions.do_add(s, part, m, spare)
            elif kind == instructions.UPSAMPLE:
                instructions.do_upsample(s, part, m)
            elif kind == instructions.MEAN:
                instructions.do_mean(s, part, m, spare)
            elif kind == instructions.DENSE:
                instructions.do_dense(s, part, m, spare)
            elif kind == instructions.SOFTMAX:
                instructions.do_softmax(s, part, m)
            elif kind == instructions.PACK:
                instructions.do_pack(s, part, m, given)
            elif kind == instructions.UNPACK:
                instructions.do_unpack(s, part, m)
            elif kind == instructions.CURVED:
                instructions.do_logistic(s, part, m, spare)
            elif kind == instructions.COPY:
                instructions.do_copy(s, part, m)
            elif kind == instructions.WINOGRAD:
                instructions.do_winograd(s, part, m, spare)
            elif kind == instructions.TILES_IN:
                instructions.do_tiles_in(s, part, m, spare)
            elif kind == instructions.TILES_OUT:
                instructions.do_tiles_out(s, part, m, spare)
            fetch_add(flat, 2 * k + 1)
            part = fetch_add(flat, 2 * k)
        polls = 0
        while load_acquire(flat, 2 * k + 1) < s.parts:
            polls += 1
            cpu_pause()
            if polls > SPIN_LIMIT:
                yield_thread()
