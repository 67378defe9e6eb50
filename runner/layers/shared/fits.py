"""Windows and the images they slide over, counted as darknet does."""
from runner import ops
from runner.errors import ShapeError

Pair = tuple[int, int]


def windows(sides: Pair, size: int, stride: Pair) -> Pair:
    """(oh, ow) for sides (h, w) with their padding; below 1 where no window fits."""
    oh, ow = (ops.count_windows(side, size, step) for side, step in zip(sides, stride, strict=True))
    return oh, ow


def reached(sides: Pair, size: int, stride: Pair) -> Pair:
    """A stride beyond the image, with its padding, and the filter leads to one window: a smaller one that does so too,
    since kernels have memory for the pixels between two windows."""
    down, across = (min(step, side + size) for side, step in zip(sides, stride, strict=True))
    return down, across


def pool_windows(sides: Pair, size: int, stride: Pair, padding: int) -> Pair:
    """(oh, ow) of a pooling, for the sides (h, w) of the image.  ShapeError where a window covers no pixel of it."""
    h, w = sides
    outs, before = windows((h + padding, w + padding), size, stride), padding // 2
    if min(outs) < 1:
        raise ShapeError(f"size={size} does not fit into an image of {w} x {h} pixels with padding={padding}")
    for side, step, out in zip(sides, stride, outs, strict=True):
        if before >= size or (out - 1) * step - before >= side:
            raise ShapeError(f"size={size} stride={step} padding={padding} leaves a window that covers no "
                             f"pixel of a {w} x {h} image")
    return outs


def remark(sides: Pair, size: int, stride: Pair, padding: int, outside: str) -> str:
    """What `check` says of a window larger than its image by less than a stride, which is one window; "" of others.

    sides (h, w); padding: pixels added in all, along each side; outside: what is read beyond the image.
    """
    if min(sides) + padding >= size:
        return ""
    added = f" with {padding} of padding" if padding else ""
    steps = stride[0] if stride[0] == stride[1] else f"{stride[1]} x {stride[0]}"
    return (f"size={size} is larger than an image of {sides[1]} x {sides[0]} pixels{added}, by less than "
            f"stride={steps}: one window reaches beyond the image, where it finds {outside}, as in darknet. Set a "
            "smaller size=, or a larger width= and height= in [net]")
