"""The thread pool: every index once, errors reach the caller, and no references are kept."""
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from runner.ops import parallel


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = parallel.threads()
    parallel.set_threads(request.param)
    yield request.param
    parallel.set_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_every_number_is_done_once(threads: int, count: int) -> None:
    for _ in range(50):
        done: list[int] = []
        parallel.for_each(done.append, count)
        assert sorted(done) == list(range(count))


def test_calls_within_calls_and_from_several_threads(threads: int) -> None:
    def outer(i: int) -> None:
        parallel.for_each(lambda j: total.__setitem__((i, j), total[i, j] + 1), 20)

    def caller(total: np.ndarray) -> None:
        for _ in range(20):
            parallel.for_each(lambda i: parallel.for_each(
                lambda j: total.__setitem__((i, j), total[i, j] + 1), 20), 10)
    total = np.zeros((10, 20), int)
    parallel.for_each(outer, 10)
    assert (total == 1).all()
    totals = [np.zeros((10, 20), int) for _ in range(3)]
    callers = [threading.Thread(target=caller, args=(each,)) for each in totals]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert all((each == 20).all() for each in totals)


def test_work_is_shared(restore_threads: None) -> None:
    """Two calls that wait for each other end only if two threads take them."""
    parallel.set_threads(2)
    meeting = threading.Barrier(2, timeout=20)

    def wait(i: int) -> None:
        meeting.wait()
    parallel.for_each(wait, 2)


def test_the_error_of_the_lowest_number_is_raised(threads: int) -> None:
    def fail(i: int) -> None:
        if i in (3, 7):
            raise ValueError(f"number {i}")
    for _ in range(20):
        with pytest.raises(ValueError, match="number 3"):
            parallel.for_each(fail, 10)
    parallel.for_each(lambda i: None, 10)


def test_nothing_of_a_call_stays_alive(restore_threads: None) -> None:
    parallel.set_threads(4)
    for _ in range(20):
        array = np.zeros(10)
        alive = weakref.ref(array)
        parallel.for_each(lambda i, array=array: array.__setitem__(i, i), 10)   # type: ignore[misc]
        del array
        assert alive() is None


def test_work_is_not_shared_inside_serial(restore_threads: None) -> None:
    parallel.set_threads(4)
    who: list[int] = []
    with parallel.serial():
        with parallel.serial():
            pass
        parallel.for_each(lambda i: who.append(threading.get_ident()), 20)
    assert set(who) == {threading.get_ident()}
    test_work_is_shared(None)      # and shared again after it
