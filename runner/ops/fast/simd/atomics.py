"""How threads in compiled code share counters and wait for each other."""
import platform
from typing import Any

from llvmlite import ir
from numba import types

from runner.ops.fast.jit import intrinsic
from runner.ops.fast.simd.builder import INDEX, INT32, Writer
from runner.ops.fast.simd.isa import IS_X86

IS_POSIX = platform.system() != "Windows"


@intrinsic
def fetch_add(typing: Any, counters: Any, index: Any) -> Any:
    """counters[index] += 1, atomically; -> the value before, so no two threads get the same."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = Writer(context, builder).pointer(signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", place, INDEX(1), "seq_cst")
    return types.int64(counters, types.intp), write


@intrinsic
def load_acquire(typing: Any, counters: Any, index: Any) -> Any:
    """counters[index]; what another thread wrote before it raised the counter to this value is visible afterwards."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = Writer(context, builder).pointer(signature.args[0], args[0], args[1])
        return builder.load_atomic(place, "acquire", 8)
    return types.int64(counters, types.intp), write


@intrinsic
def cpu_pause(typing: Any) -> Any:
    """Hint to the processor that this thread spins."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if IS_X86:
            builder.call(Writer(context, builder).function("llvm.x86.sse2.pause", ir.VoidType(), []), [])
        return context.get_dummy_value()
    return types.void(), write


@intrinsic
def yield_thread(typing: Any) -> Any:
    """Give the core to another thread that is ready to run, if there is one."""
    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if IS_POSIX:
            builder.call(Writer(context, builder).function("sched_yield", INT32, []), [])
        return context.get_dummy_value()
    return types.void(), write
