"""Several views of each image, and the mean of what the network says of them (darknet's valid10 and validmulti).

ten     the four corners and the middle of an image that is a seventh larger than the network's input (256 to 224), and
        their mirror images.  (darknet's own ten are not centred and repeat border pixels; these are the usual ones.)
sizes   the image at several sizes, and mirrored; the network is computed at each of them, so nothing in it may depend
        on the size, as [connected] does

A network that was trained with flip=0 knows no mirror images, and is shown none.
"""
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from runner.datasets import Split, batches
from runner.errors import DataError, ShapeError, UsageError
from runner.inference import Plan, batch_size
from runner.network import Network


def margin(side: int) -> int:
    """How much larger than the network's input an image is for ten views, pixels: 32 for 224."""
    return max(1, round(side / 7))


def views(images: np.ndarray, width: int, height: int, ten: bool, mirrored: bool) -> Iterator[np.ndarray]:
    """images (n, c, h, w) -> batches of the same n images, (n, c, height, width), each seen in another way."""
    right, low = images.shape[3] - width, images.shape[2] - height
    places = [(0, 0), (right, 0), (right // 2, low // 2), (0, low), (right, low)] if ten else [(0, 0)]
    for x, y in places:
        view = images[:, :, y:y + height, x:x + width]
        yield view
        if mirrored:
            yield view[..., ::-1]


def seen(net: Network, split: Split, *, ten: bool = False, sizes: Sequence[int] = (), on_bad: str = "skip",
         warn: Callable[[str], None] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """-> the mean output (n, classes) over the views of each image, and the truth (n, classes).

    sizes: widths in pixels, the heights as the network's shape has them; none: the network's own.
    """
    channels, height, width = net.in_shape
    total: np.ndarray | None = None
    truth = np.zeros((0, split.classes), np.float32)
    try:
        for size in sizes or (width,):
            tall = max(1, round(size * height / width))
            try:
                net.resize(size, tall)
            except ShapeError as error:
                raise UsageError(f"--sizes {size}: {error}") from None
            outputs, truths, plan = [], [], Plan(net)
            more = (margin(size), margin(tall)) if ten else (0, 0)
            with batches(split, batch=batch_size(net), width=size + more[0], height=tall + more[1], channels=channels,
                         on_bad=on_bad, warn=warn if total is None else None) as loader:
                for x, t in loader:
                    ways = [plan.predict(np.ascontiguousarray(view)).reshape(len(x), -1)
                            for view in views(x, size, tall, ten, net.options.flip)]
                    outputs.append(np.mean(ways, axis=0))
                    truths.append(t)
            found, truth = np.concatenate(outputs), np.concatenate(truths)
            if total is not None and len(total) != len(found):
                raise DataError("images could be read at one size and not at another")
            total = found if total is None else total + found
    finally:
        net.resize(width, height)
    assert total is not None
    return total / max(1, len(sizes)), truth
