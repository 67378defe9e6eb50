"""All peers with one network, taking turns: a slot of runs each, round after round, each in its own process."""
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
from bench.peer import compared

SLOT = 0.25         # seconds a peer computes before the next one's turn
REST = 0.03         # seconds between two, in which threads that wait actively fall asleep


@dataclass
class Row:
    """One network, one task, one peer.  seconds: of every run; peak: bytes of the process; why: when it has none."""
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

    def ask(self, **order: Any) -> dict[str, Any]:
        """An order's answer; that a process died is told under "unable"."""
        if self.died:
            return {"unable": self.died}
        assert self.process.stdin and self.process.stdout
        try:
            print(json.dumps(order), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.died = f"its process died of {signal.Signals(-status).name if status < 0 else f'status {status}'}"
        return {"unable": self.died}

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def measure(case: str, tasks: Iterable[str], peers: Iterable[str], threads: int, rounds: int,
            tell: Callable[[str], None]) -> list[Row]:
    """Rows of one network.  The first peer's outputs are what the others are compared with."""
    workers, rows = {peer: Worker(peer, case, threads) for peer in peers}, []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for task in tasks:
                rows += _task(case, task, workers, rounds, Path(folder), tell)
    finally:
        for worker in workers.values():
            worker.end()
    return rows


def _task(case: str, task: str, workers: dict[str, Worker], rounds: int, folder: Path,
          tell: Callable[[str], None]) -> list[Row]:
    rows, reference = {peer: Row(case, task, peer) for peer in workers}, None
    for peer, worker in workers.items():
        target = folder / f"{peer}-{task}.npz"
        answer = worker.ask(do="prepare", task=task, outputs=str(target))
        rows[peer].why = answer.get("missing") or answer.get("unable") or ""
        if rows[peer].why:
            continue
        with np.load(target) as file:
            outputs = [file[name] for name in file.files]
        if reference is None:
            reference = outputs
        rows[peer].why = compared(outputs, answer["what"], reference, task.startswith("train"))
    able = [peer for peer in workers if not rows[peer].why]
    runs = {peer: 1 for peer in able}
    for turn in range(rounds + 1):      # the first round tells how many runs fill a slot
        for peer in able:
            time.sleep(REST)
            answer = workers[peer].ask(do="time", runs=runs[peer])
            if "seconds" not in answer:
                rows[peer].why = answer.get("unable", "")
                rows[peer].seconds, runs[peer] = [], 1
                continue
            if turn == 0:
                runs[peer] = max(1, min(200, round(SLOT / min(answer["seconds"]))))
            else:
                rows[peer].seconds += answer["seconds"]
            rows[peer].peak = answer["peak"]
    for row in rows.values():
        tell(f"{case:13} {task:7} {row.peer:12} " + (f"{1000 * row.median:9.2f} ms   {row.peak / 2**20:6.0f} MB"
                                                   if row.median else row.why))
    return list(rows.values())
