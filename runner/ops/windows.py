"""How many windows darknet counts along an axis."""


def count_windows(length: int, size: int, stride: int) -> int:
    """The windows of `size` along `length` pixels, padding included, at `stride`; below 1: none.

    (length - size) / stride + 1 in C, where division rounds toward zero: a window that is larger than its image by less
    than a stride is one window, which reaches beyond the end (src/convolutional_layer.c, src/maxpool_layer.c).
    """
    return 1 if -stride < length - size < 0 else (length - size) // stride + 1
