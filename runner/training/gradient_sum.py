"""The gradients of several processes, summed while the backward pass goes on.

Gradients are copied into flat buckets of some megabytes, from the last layer to the first.  As soon as the backward
pass has left all layers of a bucket, process i gets everyone's i-th part of it, adds them by rank, and sends the sum to
all.  A ring moves as many bytes, but here the order of the sum is fixed: the result is bit-identical in all processes,
and when it is repeated.
"""
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.network import Network
from runner.process_group import Group

BUCKET_BYTES = 4 << 20


@dataclass
class Bucket:
    """grads: arrays of the layers `first` and later.  sent, received: (processes, part)."""
    first: int
    grads: list[np.ndarray]
    sent: np.ndarray
    received: np.ndarray
    request: Any = None
    collecting: bool = False


class GradientSum:
    """One for a run: `timer` for the backward pass of an update's last mini-batch, then `finish`.

    average_statistics: the rolling statistics of batch norm become the mean over the processes; for statistics per
    process.
    """

    def __init__(self, net: Network, group: Group, average_statistics: bool):
        self.net, self.group, self.average_statistics = net, group, average_statistics
        self._buckets: list[Bucket] = []
        self._next = 0                          # index of the bucket to start next
        self._known: list[int] = []
        self._running: deque[Bucket] = deque()

    @contextmanager
    def _timed(self, index: int) -> Iterator[None]:
        yield
        while self._next < len(self._buckets) and self._buckets[self._next].first >= index:
            self._start()
        self._progress()

    def timer(self, index: int, part: str) -> AbstractContextManager[None]:
        """A LayerTimer (see Network): behind the work of a layer it starts the buckets that are complete."""
        return self._timed(index)

    def finish(self, values: np.ndarray) -> np.ndarray:
        """Wait until every layer's gradients are those of all processes -> the sum of `values` over the processes."""
        while self._next < len(self._buckets):
            self._start()
        grads = self._layout()
        known = [id(array) for _, array in grads]
        if known != self._known:                # the first update: until now there were no arrays
            old = set(self._known)
            new = self._made([(index, array) for index, array in grads if id(array) not in old])
            for bucket in new:
                self._buckets.append(bucket)
                self._start()
        while self._running:
            self.group.wait(self._running[0].request)
            self._progress()
        if known != self._known:
            self._buckets, self._known = self._made(grads), known
        self._next = 0
        if self.average_statistics:
            self._average_buffers()
        return self.group.total(values)

    def _layout(self) -> list[tuple[int, np.ndarray]]:
        """(layer, gradient), from the last layer to the first; an array of several layers belongs to the first."""
        first: dict[int, tuple[int, np.ndarray]] = {}
        for index in reversed(range(len(self.net.layers))):
            for grad in self.net.layers[index].grads.values():
                first.pop(id(grad), None)
                first[id(grad)] = index, grad
        return list(first.values())

    def _made(self, grads: list[tuple[int, np.ndarray]]) -> list[Bucket]:
        buckets: list[Bucket] = []
        group: list[np.ndarray] = []
        for at, (index, grad) in enumerate(grads):
            group.append(grad)
            last = at + 1 == len(grads)
            if last or grads[at + 1][1].dtype != grad.dtype or sum(g.nbytes for g in group) >= BUCKET_BYTES:
                part = -(-sum(g.size for g in group) // self.group.size)
                sent, received = (np.zeros((self.group.size, part), grad.dtype) for _ in range(2))
                buckets.append(Bucket(index, group, sent, received))
                group = []
        return buckets

    def _start(self) -> None:
        """Send the next bucket."""
        bucket = self._buckets[self._next]
        self._next += 1
        flat, at = bucket.sent.reshape(-1), 0
        for grad in bucket.grads:
            flat[at:at + grad.size] = grad.reshape(-1)
            at += grad.size
        bucket.collecting, bucket.request = False, self.group.start_exchange(bucket.sent, bucket.received)
        self._running.append(bucket)

    def _progress(self) -> None:
        """What has arrived is added, sent on, and copied back.  Sums are sent in the order of the buckets, as in every
        other process."""
        for bucket in self._running:
            if bucket.collecting:
                continue
            if not bucket.request.Test():
                break
            total = bucket.received[0]
            for other in bucket.received[1:]:
                total += other
            bucket.collecting, bucket.request = True, self.group.start_collect(total, bucket.sent)
        while self._running and self._running[0].collecting and self._running[0].request.Test():
            bucket = self._running.popleft()
            flat, at = bucket.sent.reshape(-1), 0
            for grad in bucket.grads:
                grad.reshape(-1)[...] = flat[at:at + grad.size]
                at += grad.size

    def _average_buffers(self) -> None:
        arrays = [array for layer in self.net.layers for array in layer.buffers.values()]
        if not arrays:
            return
        mean = self.group.total(np.concatenate([array.reshape(-1) for array in arrays]))
        mean /= mean.dtype.type(self.group.size)
        at = 0
        for array in arrays:
            array.reshape(-1)[...] = mean[at:at + array.size]
            at += array.size
