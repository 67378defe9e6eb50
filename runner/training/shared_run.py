"""A run of several processes: all train, the first one logs, saves and decides when to stop."""
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runner.errors import UsageError, counted
from runner.layers import Contrastive, Detection
from runner.layers.shared.base import BatchShare
from runner.network import Network
from runner.process_group import Group
from runner.run_folder import RunFolder
from runner.training import checkpoint
from runner.training.control import Control
from runner.training.log import ClassLog, Log
from runner.training.loop import Step, train
from runner.training.run import Run
from runner.training.tasks import Task

REASON = 32         # bytes of the reason passed to `stop` that the others learn


def share_batches(net: Network, group: Group, *, synchronized: bool) -> None:
    """Let the network train on this process's part of every batch.  UsageError where its batches cannot be shared."""
    o = net.options
    images, size = max(o.batch // o.subdivisions, 1), group.size
    if images % size:
        fewer = next(n for n in range(size, 0, -1) if images % n == 0)
        more = -(-images // size) * size * o.subdivisions
        raise UsageError(f"batch={o.batch} and subdivisions={o.subdivisions} make {counted(images, 'image')} at a "
                         f"time, which {size} processes cannot share equally: set net.batch={more}, or use "
                         f"{counted(fewer, 'process')}")
    for index, layer in enumerate(net.layers):
        place = f"layer {index} [{layer.names[0]}]"
        if isinstance(layer, Contrastive):
            raise UsageError(f"{place} compares the images of a batch with each other, so several processes cannot "
                             "share it: use one process")
        if isinstance(layer, Detection) and layer.options.random:
            raise UsageError(f"{place} has random={layer.options.random:g}, which draws a number for one object after "
                             "the other, so several processes cannot share the batch: set random=0, or use one process")
    net.env.share = BatchShare(group.rank, size, group.stack, synchronized)


class SharedRun(Run):
    """As Run, in each process of a group.  Its methods are called by all processes together."""

    def __init__(self, task: Task, folder: RunFolder, group: Group, control: Control | None = None, *,
                 start_weights: str | Path | None = None, facts: Mapping[str, Any] | None = None):
        self.group = task.group = group
        super().__init__(task, folder, control, start_weights=start_weights, facts=facts)
        self._asked, self._save, self._over = "", False, False
        self._whole_state: list[dict[str, np.ndarray]] = []
        if not group.is_root:
            self.log, self.class_log = NoLog(folder.log), NoClassLog(folder.class_log)

    def begin(self) -> Path | None:
        moved = self.group.by_root(super().begin)
        self._follow()
        return moved

    def resume(self) -> list[str]:
        warnings = self.group.by_root(super().resume)
        captured = self.group.broadcast(super()._captured() if self.group.is_root else None)
        if not self.group.is_root:
            arrays, known = captured
            checkpoint.restore(self.net, self.optimizer, self.average, arrays, {"format": checkpoint.FORMAT, **known})
        self._follow()
        share = self.net.env.share
        assert share
        self.net.state = [{name: share.own(array) for name, array in state.items()} for state in self.net.state]
        return warnings if self.group.is_root else []

    def _follow(self) -> None:
        """Let all processes begin where the first one does."""
        self.best, self.stale, self.seconds, self.last_evaluated, self.smooth = self.group.broadcast(
            (self.best, self.stale, self.seconds, self.last_evaluated, self.smooth))
        self.first_update = self.net.progress.iteration

    def _steps(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[Step]:
        return train(self.net, batches, optimizer=self.optimizer, group=self.group)

    def stop(self, reason: str) -> None:
        self._asked = self._asked or reason

    def _agree(self, update: int) -> None:
        """What one process was asked to stop for stops all; the clock is that of the first."""
        reasons = self.group.stack(np.frombuffer(self._asked.encode()[:REASON].ljust(REASON), np.uint8))
        asked = [text for text in (row.tobytes().decode(errors="ignore").strip() for row in reasons) if text]
        self._stop_reason = self._stop_reason or next(iter(asked), "")
        clock = self.group.stack(np.array([super()._save_is_due(update), super()._time_is_over()], np.int64))
        self._save, self._over = map(bool, clock[0])

    def _save_is_due(self, update: int) -> bool:
        return self._save

    def _time_is_over(self) -> bool:
        return self._over

    # --- only the first process writes ---------------------------------------------------------------

    def save(self) -> None:
        states = self.group.gather_to_root(self.net.state)
        if self.group.is_root:
            self._whole_state = [{name: np.concatenate([state[name] for state in of_layer]) for name in of_layer[0]}
                                 for of_layer in zip(*states, strict=True)]
            super().save()

    def _captured(self) -> tuple[checkpoint.Arrays, dict[str, Any]]:
        own = self.net.state
        try:
            if self._whole_state:
                self.net.state = self._whole_state
            return super()._captured()
        finally:
            self.net.state = own

    def _make_folder(self) -> None:
        if self.group.is_root:
            super()._make_folder()

    def _lock_folder(self) -> None:
        if self.group.is_root:
            super()._lock_folder()

    def _back_up(self) -> None:
        if self.group.is_root:
            super()._back_up()

    def _write_weights(self, path: Path) -> None:
        if self.group.is_root:
            super()._write_weights(path)

    def _write_description(self, status: str = "running") -> None:
        if self.group.is_root:
            super()._write_description(status)


class NoLog(Log):
    """The log of a process that does not write it."""

    def flush(self) -> None:
        self._row = {}

    def _rewrite(self, rows: Any) -> None:
        pass


class NoClassLog(ClassLog):
    """The same of per_class.csv."""

    def add_evaluation(self, update: int, per_class: Any) -> None:
        pass
