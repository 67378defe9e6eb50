"""Test-time augmentation (TTA): the mean output over several views of each image (darknet's valid10 and validmulti).

ten_crop  the four corners and the centre of an image a seventh larger than the network's input (256 to 224), and their
          mirror images.  (darknet's own ten are not centred and repeat border pixels; these are the usual ones.)
sizes     the image at several sizes, and mirrored.  The network runs at each size, so it must not contain layers that
          depend on it, such as [connected]

A network trained with flip=0 has never seen mirrored images, so they are left out.
"""
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from runner.datasets import Split, batches
from runner.errors import DataError, ShapeError, UsageError
from runner.inference import Plan, batch_size
from runner.network import Network


def margin(side: int) -> int:
    """By how many pixels an image is larger than the network's input for ten crops: 32 for 224."""
    return max(1, round(side / 7))


def views(images: np.ndarray, width: int, height: int, ten_crop: bool, mirrored: bool) -> Iterator[np.ndarray]:
    """images (n, c, h, w) -> one batch (n, c, height, width) of the same n images per view."""
    right, bottom = images.shape[3] - width, images.shape[2] - height
    corners = [(0, 0), (right, 0), (right // 2, bottom // 2), (0, bottom), (right, bottom)] if ten_crop else [(0, 0)]
    for x, y in corners:
        view = images[:, :, y:y + height, x:x + width]
        yield view
        if mirrored:
            yield view[..., ::-1]


def mean_outputs(net: Network, split: Split, *, ten_crop: bool = False, sizes: Sequence[int] = (), on_bad: str = "skip",
                 warn: Callable[[str], None] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> the mean output (n, classes) over the views of each image, the truth (n, classes), and the index of each image
    in the split (n,).

    sizes: widths in pixels, with heights in the proportions of the network's input; empty: the network's own size.
    UsageError if the network cannot take one of them.
    """
    channels, height, width = net.in_shape
    total: np.ndarray | None = None
    truth, indices = np.zeros((0, split.classes), np.float32), np.zeros(0, np.intp)
    try:
        for size in sizes or (width,):
            scaled_height = max(1, round(size * height / width))
            try:
                net.resize(size, scaled_height)
            except ShapeError as error:
                raise UsageError(f"--sizes {size}: {error}") from None
            outputs, truths, images, plan = [], [], [], Plan(net)
            margins = (margin(size), margin(scaled_height)) if ten_crop else (0, 0)
            with batches(split, batch=batch_size(net), width=size + margins[0], height=scaled_height + margins[1],
                         channels=channels, on_bad=on_bad, warn=warn if total is None else None) as loader:
                for x, t in loader:
                    per_view = [plan.predict(np.ascontiguousarray(view)).reshape(len(x), -1)
                                for view in views(x, size, scaled_height, ten_crop, net.options.flip)]
                    outputs.append(np.mean(per_view, axis=0))
                    truths.append(t)
                    images.append(loader.indices)
            mean, truth, indices = map(np.concatenate, (outputs, truths, images))
            if total is not None and len(total) != len(mean):
                raise DataError("some images could be read at one size but not at another")
            total = mean if total is None else total + mean
    finally:
        net.resize(width, height)
    assert total is not None
    return total / max(1, len(sizes)), truth, indices
