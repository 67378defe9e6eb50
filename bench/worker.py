"""One peer with one network, in a process of its own: it waits for orders and tells times and memory.

Orders are lines of JSON on stdin: {"do": "prepare", "task": ...}, {"do": "time", "runs": ...}; each is answered by one
line.  A process of its own keeps one library's threads, allocator and memory out of another's numbers.
"""
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks import CASES
from bench.peer import Missing, Ready, Unable

# peer -> module, and what its `prepare` takes beside the common arguments
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fast": ("bench.in_ours", {"kernels": "fast"}),
    "numpy": ("bench.in_ours", {"kernels": "numpy"}),
    "pytorch": ("bench.in_torch", {}),
    "onnxruntime": ("bench.in_onnx", {}),
    "opencv": ("bench.in_opencv", {}),
    "darknet": ("bench.in_darknet", {}),
}
TASKS = {"infer1": ("infer", 1), "infer8": ("infer", 8), "train8": ("train", 8)}


def ready(peer: str, case: str, task: str, threads: int, settings: tuple[str, ...] = ()) -> Ready:
    """Missing or Unable says why not."""
    module, extra = PEERS[peer]
    kind, count = TASKS[task]
    return importlib.import_module(module).prepare(CASES[case], kind, count, threads, settings=settings, **extra)


def memory(field: str) -> int:
    """Bytes of this process, of /proc/self/status: VmRSS now, VmHWM at its highest; 0 where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


def main(peer: str, case: str, threads: str) -> None:
    # what libraries print goes to stderr; the answers have the old stdout to themselves
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order["do"] == "prepare":
                run = now = None        # one network at a time, as a user has them
                gc.collect()
                now = ready(peer, case, order["task"], int(threads))
                outputs = [np.asarray(y, np.float32) for y in now.outputs()]
                np.savez(order["outputs"], *outputs)
                run, answer = now.run, {"what": now.what}
            else:
                answer = timed(run, order["runs"])
        except (Missing, Unable) as error:
            answer = {"missing" if isinstance(error, Missing) else "unable": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


def timed(run: Any, runs: int) -> dict[str, Any]:
    """Once untimed, because another process has had the caches; then each run by itself."""
    run()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "peak": memory("VmHWM")}


if __name__ == "__main__":
    main(*sys.argv[1:])
