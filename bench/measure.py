"""Times all peers on one network: each in its own process, alternating in short slots, for several rounds."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.networks import ROOT
from bench.peer import difference

SLOT = 0.25         # seconds a peer runs before the next one does
PAUSE = 0.03        # seconds between two slots, in which spinning threads go to sleep


@dataclass
class Row:
    """One network, task and peer.  seconds: of every run; peak: memory in bytes; why: the reason if there are none."""
    network: str
    task: str
    peer: str
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    why: str = ""

    @property
    def median(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    def plain(self) -> dict[str, Any]:
        return asdict(self) | {"median": self.median}


class Worker:
    """The process of a peer."""

    def __init__(self, peer: str, case: str, threads: int):
        self.died = ""
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        self.process = subprocess.Popen([sys.executable, "-m", "bench.worker", peer, case, str(threads)], cwd=ROOT,
                                        env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)

    def request(self, **request: Any) -> dict[str, Any]:
        """The reply to a request; if the process has died, {"unsupported": the reason}."""
        if self.died:
            return {"unsupported": self.died}
        assert self.process.stdin and self.process.stdout
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.died = f"its process died of {signal.Signals(-status).name if status < 0 else f'status {status}'}"
        return {"unsupported": self.died}

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def measure(case: str, tasks: Iterable[str], peers: Iterable[str], threads: int, rounds: int,
            log: Callable[[str], None]) -> list[Row]:
    """The rows of one network.  The outputs of the first peer are the reference for the others."""
    workers, rows = {peer: Worker(peer, case, threads) for peer in peers}, []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for task in tasks:
                rows += _task(case, task, workers, rounds, Path(folder), log)
    finally:
        for worker in workers.values():
            worker.end()
    return rows


def _task(case: str, task: str, workers: dict[str, Worker], rounds: int, folder: Path,
          log: Callable[[str], None]) -> list[Row]:
    rows, reference = {peer: Row(case, task, peer) for peer in workers}, None
    for peer, worker in workers.items():
        target = folder / f"{peer}-{task}.npz"
        answer = worker.request(do="prepare", task=task, outputs=str(target))
        rows[peer].why = answer.get("not_installed") or answer.get("unsupported") or ""
        if rows[peer].why:
            continue
        with np.load(target) as file:
            outputs = [file[name] for name in file.files]
        if reference is None:
            reference = outputs
        rows[peer].why = difference(outputs, answer["what"], reference, task.startswith("train"))
    running = [peer for peer in workers if not rows[peer].why]
    runs = {peer: 1 for peer in running}
    for number in range(rounds + 1):    # the first round finds out how many runs fill a slot
        for peer in running:
            time.sleep(PAUSE)
            answer = workers[peer].request(do="time", runs=runs[peer])
            if "seconds" not in answer:
                rows[peer].why = answer.get("unsupported", "")
                rows[peer].seconds, runs[peer] = [], 1
                continue
            if number == 0:
                runs[peer] = max(1, min(200, round(SLOT / min(answer["seconds"]))))
            else:
                rows[peer].seconds += answer["seconds"]
            rows[peer].peak = answer["peak"]
    for row in rows.values():
        log(f"{case:13} {task:7} {row.peer:12} " + (f"{1000 * row.median:9.2f} ms   {row.peak / 2**20:6.0f} MB"
                                                   if row.median else row.why))
    return list(rows.values())
