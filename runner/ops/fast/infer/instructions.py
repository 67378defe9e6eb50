"""The instructions of an inference program: the fields of each kind, and the kernel that runs one part of it.

An instruction is a record of integers.  It is split into parts that do not depend on each other; a kernel runs one of
them.  Everything an instruction reads and writes is in one array `m`, at offsets its fields give; weights are given by
their addresses.  Windows are lists of offsets from a pixel (`taps`), so a filter of any size, stride or dilation is the
same loop (simd/direct.py).  Offsets and strides count values, `address` and `_bytes` say otherwise.

A kind is declared once: `instruction` takes the fields it has and decorates its kernel(s, part, m, external, scratch).
s is the record, external the array the plan was called with, scratch the thread's temporary memory.  The kernel is
compiled at the first use of its kind, and called by its address, which the record carries.
"""
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numba import types

from runner.ops.fast.jit import compiled, entry
from runner.ops.fast.simd.direct import Row, run_row, run_tile, value
from runner.ops.fast.simd.isa import (
    FLOAT_BYTES,
    LANES,
    MAX_PIXELS,
    MAX_PIXELS_4_VECTORS,
    MAX_PIXELS_STRIDED,
    VECTOR_BYTES,
)
from runner.ops.fast.simd.math import LOGISTIC, RECTIFIER, activate_run, f4, softmax_rows
from runner.ops.fast.simd.transpose import transpose

SLOT, SLOTS = 8, 40     # bytes of a field; fields a record has room for
RECORD = np.dtype({"names": ["kernel", "parts"], "formats": [np.int64] * 2, "offsets": [0, SLOT],
                   "itemsize": SLOT * SLOTS})       # what all kinds have
FLOATS = ("act_alpha", "act_beta", "inverse_temperature")       # the other fields are integers
FLOAT_ARRAY = types.Array(types.float32, 1, "C")
ONE = f4(1)


class Kind:
    """A kind of instruction."""

    def __init__(self, kernel: Callable[..., None], meanings: dict[str, str]):
        self.kernel, self.name = kernel, kernel.__name__
        self.fields = [name for names in meanings for name in names.split()]
        names = [*(RECORD.names or ()), *self.fields]
        self.dtype = np.dtype({"names": names, "formats": [np.float32 if n in FLOATS else np.int64 for n in names],
                               "offsets": [SLOT * i for i in range(len(names))], "itemsize": RECORD.itemsize})

    @cached_property
    def address(self) -> int:
        """Of the compiled kernel."""
        record: Any = numba.from_dtype(self.dtype)
        return entry(self.kernel, types.void(record, types.int64, *[FLOAT_ARRAY] * 3), reordered=True)


KINDS: dict[str, Kind] = {}


def instruction(*groups: dict[str, str]) -> Callable[[Callable[..., None]], Kind]:
    """Decorator of a kernel: makes it a kind of instruction with these fields (names -> meaning)."""
    def declare(kernel: Callable[..., None]) -> Kind:
        meanings = {names: meaning for group in groups for names, meaning in group.items()}
        kind = KINDS[kernel.__name__] = Kind(kernel, meanings)
        return kind
    return declare


PLANES_IN = {"x": "the first pixel of the input",
             "x_image x_plane x_row": "from one image, block of channels, row to the next"}
PLANES_OUT = {"y": "the first pixel of the output",
              "y_image y_plane y_row": "from one image, block of channels, row to the next",
              "h w border": "rows and columns of the output, pixels of zeros around it",
              "oc_blocks": "blocks of channels of the output"}
VALUES = {"x x_image": "the first value of the input, from one image to the next",
          "y y_image": "the same of the output"}
TILES = {"tile": "address of the operation on tiles",
         "taps": "address of the window's offsets",
         "biases": "address of what sums start with, a vector for each block of channels"}
ACTIVATION = {"act_code act_alpha act_beta": "the activation, as activate_run takes it"}
WINDOW = {"tap_count": "offsets in a window"}
WINDOW_STRIDES = {"x_window_row": "from the window of one output row to that of the next",
                  "x_stride": "from the window of one output pixel to that of the next"}
WEIGHTS = {"weights": "their address", "panel_bytes": "bytes from the weights of one group of blocks to the next"}


@compiled
def clear_border(m, at, r, h, w, border, row, block):
    """Zeros around row r of a plane (h, w), whose first pixel is m[at]; row: stride of rows, block: of pixels."""
    side = border * block
    for i in range(at - side, at):
        m[i] = f4(0)
    if r == 0:
        for i in range(at - side - border * row, at - side):
            m[i] = f4(0)
    if r == h - 1:
        end = at + w * block
        for i in range(end, end + side + border * row):
            m[i] = f4(0)


@compiled
def pixels_of_tile(vectors, x_stride):
    """The most pixels of a tile of `convolve` or `convolve_strided`."""
    return MAX_PIXELS_4_VECTORS if vectors > 2 else MAX_PIXELS if x_stride == LANES else MAX_PIXELS_STRIDED


@compiled
def slope_of(s):
    """What tile operations multiply negative results by: they apply rectifiers, `activate` everything else."""
    return s.act_alpha if s.act_code == RECTIFIER else ONE


@compiled
def activate(s, m, at, count, scratch):
    """m[at:at + count] = act(...), unless the tile operation has applied it; scratch: `count` values."""
    if s.act_code != RECTIFIER:
        copy = scratch[:count]
        copy[:] = m[at:at + count]
        activate_run(s.act_code, s.act_alpha, s.act_beta, copy, m[at:at + count])


@instruction(PLANES_OUT, TILES, WINDOW, WINDOW_STRIDES, WEIGHTS, ACTIVATION, {
    "x x_image": "the first pixel of the input, from one image to the next",
    "y_stride": "from one pixel of the output to the next",
    "strip shares": "rows of a part; parts the output channels of a strip are split into",
    "group": "blocks of output channels computed together",
    "inner": "consecutive input values at each tap",
    "weights_image_bytes": "from the weights of one image to the next: 0, unless images are Winograd's points"})
def convolve(s, part, m, external, scratch):
    """y = act(conv(x) + biases): a strip of rows, a share of the groups of channels, one group after the other."""
    strips = -(-s.h // s.strip)
    image, rest = part // (strips * s.shares), part % (strips * s.shares)
    strip, share = rest // s.shares, rest % s.shares
    groups = -(-s.oc_blocks // s.group)
    top, bottom = strip * s.strip, min(s.h, (strip + 1) * s.strip)
    base = m.ctypes.data
    for g in range(share * groups // s.shares, (share + 1) * groups // s.shares):
        first = g * s.group
        vectors = min(s.group, s.oc_blocks - first)
        row = Row(s.tile, vectors, s.x_stride, s.taps, s.tap_count, s.inner,
                  s.weights + image * s.weights_image_bytes + g * s.panel_bytes, s.biases + first * VECTOR_BYTES,
                  slope_of(s), s.y_stride, s.y_plane)
        limit = pixels_of_tile(vectors, s.x_stride)
        for r in range(top, bottom):
            x = s.x + image * s.x_image + r * s.x_window_row
            y = s.y + image * s.y_image + first * s.y_plane + r * s.y_row
            run_row(row, s.w, limit, base + FLOAT_BYTES * x, base + FLOAT_BYTES * y)
            for f in range(vectors):
                at = y + f * s.y_plane
                activate(s, m, at, s.w * LANES, scratch)
                if s.border:
                    clear_border(m, at, r, s.h, s.w, s.border, s.y_row, LANES)


@instruction(PLANES_OUT, TILES, WINDOW, WINDOW_STRIDES, WEIGHTS, ACTIVATION, {
    "x x_image x_plane": PLANES_IN["x"] + ", from one image and block of channels to the next",
    "strip": "rows of a part"})
def depthwise(s, part, m, external, scratch):
    """y = act(conv(x) + biases), channel by channel: a strip of rows of a block of channels."""
    strips = -(-s.h // s.strip)
    plane, strip = part // strips, part % strips
    image, k = plane // s.oc_blocks, plane % s.oc_blocks
    base = m.ctypes.data
    row = Row(s.tile, 1, s.x_stride, s.taps, s.tap_count, 1, s.weights + k * s.panel_bytes,
              s.biases + k * VECTOR_BYTES, slope_of(s), LANES, 0)
    for r in range(strip * s.strip, min(s.h, (strip + 1) * s.strip)):
        x = s.x + image * s.x_image + k * s.x_plane + r * s.x_window_row
        y = s.y + image * s.y_image + k * s.y_plane + r * s.y_row
        run_row(row, s.w, MAX_PIXELS_STRIDED, base + FLOAT_BYTES * x, base + FLOAT_BYTES * y)
        activate(s, m, y, s.w * LANES, scratch)
        clear_border(m, y, r, s.h, s.w, s.border, s.y_row, LANES)


@instruction(PLANES_IN, PLANES_OUT, {
    "x_h x_w": "rows and columns of the input", "size stride_y stride_x": "of the window",
    "pad": "rows above the image and columns to its left that a window may cover",
    "tile": TILES["tile"], "zeros": "address of a vector of zeros"})
def maxpool(s, part, m, external, scratch):
    """y = the maxima of windows, which end where the image does: a block of channels of an image."""
    image, k = part // s.oc_blocks, part % s.oc_blocks
    # offsets of a window that is complete from left to right, and of one that is cut off
    complete, cut, base = np.empty(s.size * s.size, np.int64), np.empty(s.size * s.size, np.int64), m.ctypes.data
    for r in range(s.h):
        top = r * s.stride_y - s.pad
        x = s.x + image * s.x_image + k * s.x_plane
        y = s.y + image * s.y_image + k * s.y_plane + r * s.y_row
        count = 0
        for i in range(max(0, top), min(s.x_h, top + s.size)):
            for j in range(s.size):
                complete[count] = i * s.x_row + j * LANES
                count += 1
        q = 0
        while q < s.w:
            left = q * s.stride_x - s.pad
            if left >= 0 and left + s.size <= s.x_w:
                p = 1
                while p < MAX_PIXELS_STRIDED and q + p < s.w and left + p * s.stride_x + s.size <= s.x_w:
                    p += 1
                run_tile(s.tile, p, 1, base + FLOAT_BYTES * (x + left * LANES), s.stride_x * LANES,
                         complete.ctypes.data, count, 1, s.zeros, s.zeros, ONE, base + FLOAT_BYTES * (y + q * LANES),
                         LANES, 0)
                q += p
                continue
            some = 0
            for i in range(max(0, top), min(s.x_h, top + s.size)):
                for j in range(max(0, left), min(s.x_w, left + s.size)):
                    cut[some] = i * s.x_row + j * LANES
                    some += 1
            run_tile(s.tile, 1, 1, base + FLOAT_BYTES * x, LANES, cut.ctypes.data, some, 1, s.zeros, s.zeros, ONE,
                     base + FLOAT_BYTES * (y + q * LANES), LANES, 0)
            q += 1
        clear_border(m, y, r, s.h, s.w, s.border, s.y_row, LANES)
    complete[0] = cut[0]    # keeps both alive while their addresses are in use


@instruction(PLANES_IN, PLANES_OUT, TILES, ACTIVATION)
def add(s, part, m, external, scratch):
    """y = act(x + other): a block of channels of an image.  taps: for each image 0, and from x to the other there."""
    image, k = part // s.oc_blocks, part % s.oc_blocks
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane
    base = m.ctypes.data
    row = Row(s.tile, 1, LANES, s.taps + 2 * SLOT * image, 2, 1, s.biases, s.biases, slope_of(s), LANES, 0)
    for r in range(s.h):
        line = y + r * s.y_row
        run_row(row, s.w, MAX_PIXELS_STRIDED, base + FLOAT_BYTES * (x + r * s.x_row), base + FLOAT_BYTES * line)
        activate(s, m, line, s.w * LANES, scratch)
        clear_border(m, line, r, s.h, s.w, s.border, s.y_row, LANES)


@instruction(PLANES_IN, PLANES_OUT, TILES, {"x_w": "columns of the input", "stride": "copies of a pixel each way"})
def upsample(s, part, m, external, scratch):
    """y[i, j] = x[i // stride, j // stride]: a block of channels of an image.  taps: 0."""
    image, k = part // s.oc_blocks, part % s.oc_blocks
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane
    base = m.ctypes.data
    row = Row(s.tile, 1, LANES, s.taps, 1, 1, s.biases, s.biases, ONE, s.stride * LANES, 0)
    for r in range(s.h):
        line, source = y + r * s.y_row, x + r // s.stride * s.x_row
        for j in range(s.stride):
            run_row(row, s.x_w, MAX_PIXELS_STRIDED, base + FLOAT_BYTES * source,
                    base + FLOAT_BYTES * (line + j * LANES))
        clear_border(m, line, r, s.h, s.w, s.border, s.y_row, LANES)


@instruction(VALUES, TILES, WINDOW, {"x_plane": "from one block of channels of the input to the next",
                                     "ic_blocks channels": "blocks of channels of the input, and channels"})
def mean(s, part, m, external, scratch):
    """y (channels) = the means of a blocked image: a block of channels of an image.  taps: all pixels."""
    image, k = part // s.ic_blocks, part % s.ic_blocks
    run_tile(s.tile, 1, 1, m.ctypes.data + FLOAT_BYTES * (s.x + image * s.x_image + k * s.x_plane), LANES, s.taps,
             s.tap_count, 1, s.biases, s.biases, ONE, scratch.ctypes.data, LANES, 0)
    y = s.y + image * s.y_image + k * LANES
    for i in range(min(LANES, s.channels - k * LANES)):
        m[y + i] = scratch[i] / f4(s.tap_count)


@instruction(VALUES, TILES, WEIGHTS, ACTIVATION, {
    "images channels": "of the output", "inner": "values of an input",
    "group last": "vectors of outputs in a part, and in the last part: 1, 2 or 4"})
def dense(s, part, m, external, scratch):
    """y = act(x W^T + biases): a group of outputs of all images, which are the pixels of a tile.  taps: 0."""
    first = part * s.group * LANES
    outputs = min(s.group * LANES, s.channels - first)
    vectors = s.last if first + s.group * LANES >= s.channels else s.group
    limit = MAX_PIXELS_4_VECTORS if vectors > 2 else MAX_PIXELS_STRIDED
    for image in range(0, s.images, limit):
        p = min(limit, s.images - image)
        run_tile(s.tile, p, vectors, m.ctypes.data + FLOAT_BYTES * (s.x + image * s.x_image), s.x_image, s.taps, 1,
                 s.inner, s.weights + part * s.panel_bytes, s.biases + first * FLOAT_BYTES, slope_of(s),
                 scratch.ctypes.data, vectors * LANES, LANES)
        for i in range(p):
            y = s.y + (image + i) * s.y_image + first
            m[y:y + outputs] = scratch[i * vectors * LANES:i * vectors * LANES + outputs]
            activate(s, m, y, outputs, scratch[limit * vectors * LANES:])


@instruction(VALUES, {"groups size": "groups of values of an image, values of a group",
                      "inverse_temperature": "factor of the logits"})
def softmax(s, part, m, external, scratch):
    """y = softmax(x inverse_temperature): a group of values of an image."""
    image, k = part // s.groups, part % s.groups
    x, y = s.x + image * s.x_image + k * s.size, s.y + image * s.y_image + k * s.size
    softmax_rows(m[x:x + s.size].reshape(1, -1), m[y:y + s.size].reshape(1, -1), s.inverse_temperature)


@instruction(PLANES_IN, PLANES_OUT, {"channels": "of the image", "block": "channels of a block",
                                     "external_input": "is the input what the plan was called with, not in m?"})
def pack(s, part, m, external, scratch):
    """Plain -> blocked: a block of channels of an image.  x_plane: from one channel to the next."""
    image, k = part // s.oc_blocks, part % s.oc_blocks
    source = external if s.external_input else m
    x, y = s.x + image * s.x_image + k * s.x_plane * s.block, s.y + image * s.y_image + k * s.y_plane
    there = min(s.block, s.channels - k * s.block)
    for r in range(s.h):
        line, q = y + r * s.y_row, 0
        if there == LANES:
            while q + LANES <= s.w:
                transpose(source, x + r * s.x_row + q, s.x_plane, m, line + q * LANES, LANES)
                q += LANES
        elif s.block > 1:
            m[line:line + s.w * s.block] = f4(0)
        for one in range(there):
            for i in range(q, s.w):
                m[line + i * s.block + one] = source[x + one * s.x_plane + r * s.x_row + i]
        clear_border(m, line, r, s.h, s.w, s.border, s.y_row, s.block)


@instruction(PLANES_IN, {"y": PLANES_OUT["y"], "y_image y_plane y_row": "from one image, channel, row to the next",
                         "h w channels": "of the image", "ic_blocks block": "blocks of channels, channels of a block"})
def unpack(s, part, m, external, scratch):
    """Blocked -> plain: a block of channels of an image."""
    image, k = part // s.ic_blocks, part % s.ic_blocks
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane * s.block
    there = min(s.block, s.channels - k * s.block)
    for r in range(s.h):
        line, q = x + r * s.x_row, 0
        if there == LANES:
            while q + LANES <= s.w:
                transpose(m, line + q * LANES, LANES, m, y + r * s.y_row + q, s.y_plane)
                q += LANES
        for one in range(there):
            for i in range(q, s.w):
                m[y + one * s.y_plane + r * s.y_row + i] = m[line + i * s.block + one]


@instruction(PLANES_IN, {"y y_image": VALUES["y y_image"], "x_h x_w channels": "of the image",
                         "ic_blocks": "blocks of channels of the input",
                         "settings": "address of three values for each channel: logistic or not, factor, offset"})
def partial_sigmoid(s, part, m, external, scratch):
    """y = factor f(x) + offset, f: logistic or the identity; blocked -> plain, a block of channels of an image."""
    image, k = part // s.ic_blocks, part % s.ic_blocks
    size = s.x_h * s.x_w
    for c in range(k * LANES, min((k + 1) * LANES, s.channels)):
        x, y = s.x + image * s.x_image + k * s.x_plane + c - k * LANES, s.y + image * s.y_image + c * size
        for r in range(s.x_h):
            for i in range(s.x_w):
                scratch[r * s.x_w + i] = m[x + r * s.x_row + i * LANES]
        plain, out = scratch[:size], m[y:y + size]
        if value(s.settings, 3 * c) > 0:
            activate_run(LOGISTIC, ONE, ONE, plain, out)
        else:
            out[:] = plain
        factor, offset = value(s.settings, 3 * c + 1), value(s.settings, 3 * c + 2)
        if factor != 1 or offset != 0:
            for i in range(size):
                out[i] = factor * out[i] + offset


@instruction(VALUES, {"x_plane y_plane": "from one block of channels to the next", "oc_blocks": "blocks of channels",
                      "size": "values of a block of channels, its border included"})
def copy_planes(s, part, m, external, scratch):
    """y = x of the same layout: a block of channels of an image."""
    image, k = part // s.oc_blocks, part % s.oc_blocks
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane
    m[y:y + s.size] = m[x:x + s.size]
