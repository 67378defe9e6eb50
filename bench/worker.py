"""The process of one peer with one network: it reads requests and replies with times and memory.

Requests are lines of JSON on stdin: {"do": "prepare", "task": ...}, {"do": "time", "runs": ...}.  Each gets a reply of
one line.  With separate processes, the threads, allocator and memory of one library do not affect the others.
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
from bench.peer import NotInstalled, Prepared, Unsupported

# peer -> module, and additional arguments of its `prepare`
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fast": ("bench.in_ours", {"backend": "fast"}),
    "numpy": ("bench.in_ours", {"backend": "numpy"}),
    "pytorch": ("bench.in_torch", {}),
    "onnxruntime": ("bench.in_onnx", {}),
    "opencv": ("bench.in_opencv", {}),
    "darknet": ("bench.in_darknet", {}),
}
TASKS = {"infer1": ("infer", 1), "infer8": ("infer", 8), "train8": ("train", 8)}


def prepare(peer: str, case: str, task: str, threads: int, settings: tuple[str, ...] = ()) -> Prepared:
    """Prepare a peer.  Raises NotInstalled or Unsupported."""
    module, extra = PEERS[peer]
    kind, count = TASKS[task]
    return importlib.import_module(module).prepare(CASES[case], kind, count, threads, settings=settings, **extra)


def memory(field: str) -> int:
    """Memory of this process in bytes, from /proc/self/status: VmRSS now, VmHWM the peak; 0 if that does not exist."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


def main(peer: str, case: str, threads: str) -> None:
    # redirect what libraries print to stderr; only the replies go to the original stdout
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                run = prepared = None       # free the last network first
                gc.collect()
                prepared = prepare(peer, case, request["task"], int(threads))
                outputs = [np.asarray(y, np.float32) for y in prepared.outputs()]
                np.savez(request["outputs"], *outputs)
                run, reply = prepared.run, {"what": prepared.what}
            else:
                reply = timed(run, request["runs"])
        except (NotInstalled, Unsupported) as error:
            reply = {"not_installed" if isinstance(error, NotInstalled) else "unsupported": str(error)}
        print(json.dumps(reply), file=replies, flush=True)


def timed(run: Any, runs: int) -> dict[str, Any]:
    """One run to warm up the caches, then `runs` timed runs."""
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "peak": memory("VmHWM")}


if __name__ == "__main__":
    main(*sys.argv[1:])
