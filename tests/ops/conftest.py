"""What tests of operations share."""
from collections.abc import Iterator

import pytest

from runner.ops import parallel


@pytest.fixture
def restore_threads() -> Iterator[None]:
    """The test may change the number of threads."""
    before = parallel.threads()
    yield
    parallel.set_threads(before)
