"""Images that are in the training and in the test split."""
import os
from collections.abc import Iterable, Sequence
from typing import Any

from runner.errors import plural


def overlap_warning(train: Iterable[Sequence[Any]] | None, test: Iterable[Sequence[Any]] | None,
                    source: str | os.PathLike) -> str:
    """A warning if two splits share images; "" if not.  Items begin with the path of the image."""
    paths = {os.path.abspath(item[0]): item[0] for item in train or ()}
    tested = {os.path.abspath(item[0]) for item in test or ()}
    shared = sorted(paths.keys() & tested)
    if not shared:
        return ""
    if len(shared) == len(paths) == len(tested):
        return (f"{source}: training and test images are the same, {len(shared)} {plural(len(shared), 'image')}: the "
                "metrics say how well these are learned, not how well other images are recognised")
    is_are = "is" if len(shared) == 1 else "are"
    return (f"{source}: {len(shared)} {plural(len(shared), 'image')} {is_are} both for training and for testing, for "
            f"instance {paths[shared[0]]}: metrics on them say little")


def same_images(train: Iterable[Sequence[Any]] | None, test: Iterable[Sequence[Any]] | None) -> bool:
    """Whether two splits consist of the same images, as where one list serves for both."""
    paths = [{os.path.abspath(item[0]) for item in split or ()} for split in (train, test)]
    return bool(paths[0]) and paths[0] == paths[1]
