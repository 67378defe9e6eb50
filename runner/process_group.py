"""The processes that do one piece of work together, over MPI: exchange of arrays and objects, sums in a fixed order.

MPI is imported only in a process that a launcher has started as one of several.  Every wait is a loop of tests that
gives up the processor: MPI itself would spin, and with more processes than cores those that compute would stand still.
"""
import atexit
import os
import pickle
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from runner.distributed import launched_rank
from runner.errors import MissingExtra, RunnerError, UsageError

SPIN = 2e-3         # seconds of waiting in which only the processor is given up; then the process sleeps
LONGEST = 5e-3      # seconds of one sleep
Result = TypeVar("Result")


class Elsewhere(RunnerError):
    """The error of another process, which reports it: this one only ends."""


class Group:
    """rank: of this process, from 0.  size: how many there are.  here: how many of them are on this machine.

    left: whether the common work is done; then this process waits for the others only when it ends.

    Every method that exchanges something must be called by all processes, in the same order.
    """

    def __init__(self, world: Any):
        from mpi4py import MPI
        self.rank, self.size, self._mpi, self._world = world.rank, world.size, MPI, world
        self.left = False
        atexit.register(self._wait_at_end)
        self.here: int = world.Split_type(MPI.COMM_TYPE_SHARED).size
        # calls on one communicator are matched by their order; sums are exchanged while others are under way
        self._control, self._exchange, self._collect = world.Dup(), world.Dup(), world.Dup()

    @property
    def is_root(self) -> bool:
        return self.rank == 0

    # --- arrays --------------------------------------------------------------------------------------

    def stack(self, array: np.ndarray) -> np.ndarray:
        """(...) -> (size, ...): the arrays of all processes, of equal shape, by rank."""
        every = np.empty((self.size, *array.shape), array.dtype)
        self.wait(self._control.Iallgather(np.ascontiguousarray(array), every))
        return every

    def total(self, array: np.ndarray) -> np.ndarray:
        """The sum over the processes, added by rank: bit-identical in all of them, and when it is repeated."""
        total, *others = self.stack(array)
        for other in others:
            total += other
        return total

    def start_exchange(self, parts: np.ndarray, received: np.ndarray) -> Any:
        """parts (size, k): part i goes to process i -> a request; received (size, k) then has a part of each."""
        return self._exchange.Ialltoall(parts, received)

    def start_collect(self, part: np.ndarray, every: np.ndarray) -> Any:
        """part (k,) -> a request; every (size, k) then has the parts of all."""
        return self._collect.Iallgather(part, every)

    @staticmethod
    def wait(request: Any) -> None:
        started = time.perf_counter()
        while not request.Test():
            waited = time.perf_counter() - started
            time.sleep(0 if waited < SPIN else min(waited / 10, LONGEST))

    # --- objects -------------------------------------------------------------------------------------

    def gather(self, thing: Any) -> list[Any]:
        """The objects of all processes, by rank."""
        data = np.frombuffer(pickle.dumps(thing), np.uint8)
        lengths = self.stack(np.array([len(data)], np.int64))[:, 0]
        every = np.empty(int(lengths.sum()), np.uint8)
        ends = np.cumsum(lengths)
        self.wait(self._control.Iallgatherv(data, [every, (lengths, ends - lengths), self._mpi.BYTE]))
        return [pickle.loads(every[end - length:end].tobytes()) for end, length in zip(ends, lengths, strict=True)]

    def gather_to_root(self, thing: Any) -> list[Any]:
        """As `gather`, for process 0 only; the others get an empty list."""
        data = np.frombuffer(pickle.dumps(thing), np.uint8)
        lengths = self.stack(np.array([len(data)], np.int64))[:, 0]
        ends = np.cumsum(lengths)
        every = np.empty(int(lengths.sum()) if self.is_root else 0, np.uint8)
        layout = [every, (lengths, ends - lengths), self._mpi.BYTE] if self.is_root else None
        self.wait(self._control.Igatherv(data, layout, 0))
        return [pickle.loads(every[end - length:end].tobytes())
                for end, length in zip(ends, lengths, strict=True)] if self.is_root else []

    def broadcast(self, thing: Any) -> Any:
        """The object of process 0; the others' are ignored."""
        data = np.frombuffer(pickle.dumps(thing), np.uint8).copy() if self.is_root else np.empty(0, np.uint8)
        length = np.array([len(data)], np.int64)
        self.wait(self._control.Ibcast(length, 0))
        if not self.is_root:
            data = np.empty(int(length[0]), np.uint8)
        self.wait(self._control.Ibcast(data, 0))
        return thing if self.is_root else pickle.loads(data.tobytes())

    def by_root(self, function: Callable[[], Result]) -> Result:
        """What function returns in process 0, the only one that calls it.  Its RunnerError is raised there; in the
        others, Elsewhere."""
        error: RunnerError | None = None
        result: Any = None
        if self.is_root:
            try:
                result = function()
            except RunnerError as one:
                error = one
        failed, result = self.broadcast((error is not None, None if error else result))
        self.left = self.left or failed
        if error:
            raise error
        if failed:
            raise Elsewhere("process 0 reports the error")
        return result

    def barrier(self) -> None:
        """Wait for all processes."""
        self.wait(self._control.Ibarrier())

    def _wait_at_end(self) -> None:
        """Here and not in MPI_Finalize, which would occupy a core."""
        if self.left:
            self.barrier()

    def abort(self, status: int) -> None:
        """End all processes at once.  MPI's own message is dropped: the error has been printed."""
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        self._world.Abort(status)


def join() -> Group | None:
    """The processes that a launcher has started this one with; None where it was started on its own.

    MissingExtra without mpi4py, UsageError where it does not see the other processes; Elsewhere in all but one.
    """
    launched = launched_rank()
    if launched is None or launched[1] == 1:
        return None
    os.environ.setdefault("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1")      # MPICH: the error itself is printed, once
    rank, size = launched
    try:
        try:
            import mpi4py
            mpi4py.rc.thread_level = "funneled"
            from mpi4py import MPI
        except ImportError:
            raise MissingExtra("mpi4py", "training in several processes", "mpi") from None
        except RuntimeError as error:
            raise UsageError(f"mpi4py cannot load its MPI library: {error}. Install the one it was made for, or "
                             "requirements-mpi.txt, which brings one") from None
        if MPI.COMM_WORLD.size != size:
            raise UsageError(f"the launcher has started {size} processes, but the MPI of mpi4py "
                             f"({MPI.Get_library_version().split(',')[0].strip()}) sees {MPI.COMM_WORLD.size}: the "
                             "launcher belongs to another MPI. Use the mpiexec of that one, or --np, which finds it")
    except RunnerError:
        if rank:
            raise Elsewhere("process 0 reports the error") from None
        raise
    return Group(MPI.COMM_WORLD)


def host() -> str:
    return socket.gethostname()
