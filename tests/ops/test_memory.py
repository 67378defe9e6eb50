"""The pool of large arrays: nothing that can still be read is handed out again, and what is held stays bounded."""
import itertools
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from runner.ops import memory

BIG = (64, 1024)        # float32: as large as an array must be to come from the pool


@pytest.fixture
def pool() -> memory.Pool:
    return memory.Pool()


def test_an_array_is_as_numpys(pool: memory.Pool) -> None:
    for shape, dtype in ((BIG, "f4"), ((3, 5, 7, 11, 700), "f8"), (1 << 20, np.uint8), ((300, 1001), np.int16)):
        a = pool.empty(shape, dtype)
        want = np.empty(shape, dtype)
        assert (a.shape, a.dtype, a.strides) == (want.shape, want.dtype, want.strides)
        assert a.flags.c_contiguous and a.flags.writeable and not a.ctypes.data % memory.ALIGN
        a[...] = 1
        assert a.sum(dtype="f8") == a.size
    assert pool.empty((0, 5)).shape == (0, 5) and pool.empty(()).shape == ()
    assert pool.empty((1 << 17), object)[0] is None, "an object array is not plain memory"
    assert memory.zeros(BIG).dtype == np.float32 and not memory.zeros(BIG).any()


def test_a_block_is_reused_only_when_the_last_view_is_gone(pool: memory.Pool) -> None:
    a = pool.empty(BIG)
    place, size = a.ctypes.data, a.nbytes
    a[...] = 7
    views: list[np.ndarray | memoryview] = [a[3:].T[::2], a.view("i4"), memoryview(a.data), a.reshape(-1)]
    del a
    while views:
        other = pool.empty(BIG)
        assert other.ctypes.data != place
        other[...] = 1
        assert (np.asarray(views[-1]).T.copy().view("f4") == 7).all(), "a view still needs the block"
        del other
        assert pool.usage()[1] == size
        views.pop()
    assert pool.usage()[1] == 0
    assert pool.empty(BIG).ctypes.data == place


def test_arrays_that_live_at_once_do_not_overlap(pool: memory.Pool) -> None:
    rng, alive = np.random.default_rng(0), []
    for number in range(600):
        a = pool.empty((int(rng.integers(64, 700)), 1024), "f4")
        a[...] = number
        alive.append((number, a))
        if len(alive) > 12:
            number, a = alive.pop(int(rng.integers(len(alive))))
            assert (a == number).all()
    spans = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for _, a in alive)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))


def layers(side: int) -> Iterator[tuple[int, int, int]]:
    for k in range(5):
        yield 16 << k, side >> k, side >> k


def test_what_is_held_follows_the_most_in_use_whatever_the_shapes(pool: memory.Pool) -> None:
    """A training step at sizes that change, as random=1 makes them: forward keeps all outputs, backward frees them."""
    rng, most, held = np.random.default_rng(1), 0, []
    for _ in range(300):
        side = int(rng.integers(10, 20)) * 32
        outputs = [pool.empty((2, *shape)) for shape in layers(side)]
        dy = outputs[-1]
        while outputs:
            dy = pool.empty(outputs[-1].shape)
            most = max(most, pool.usage()[1])
            outputs.pop()
        del dy
        held.append(pool.usage()[0])
    assert pool.usage()[1] == 0
    assert max(held) <= 1.4 * most
    assert len(set(held[-200:])) == 1, "it still grows"
    pool.release()
    assert pool.usage() == (0, 0)


def test_release_leaves_what_is_in_use(pool: memory.Pool) -> None:
    a = pool.empty(BIG)
    a[...] = 3
    pool.release()
    assert pool.usage()[1] == a.nbytes and (a == 3).all()


def test_threads(pool: memory.Pool) -> None:
    wrong: list[int] = []

    def work(me: int) -> None:
        rng, mine = np.random.default_rng(me), []
        for _ in range(300):
            a = pool.empty((int(rng.integers(64, 200)), 1024))
            a[...] = me
            mine.append(a)
            if len(mine) > 4 and not (mine.pop(0) == me).all():
                wrong.append(me)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and pool.usage()[1] == 0


def test_an_array_in_a_cycle_comes_back_when_it_is_collected(pool: memory.Pool) -> None:
    import gc

    class Holder:
        pass
    holder = Holder()
    holder.me, holder.array = holder, pool.empty(BIG)       # type: ignore[attr-defined]
    alive = weakref.ref(holder)
    del holder
    gc.collect()
    assert alive() is None and pool.usage()[1] == 0
