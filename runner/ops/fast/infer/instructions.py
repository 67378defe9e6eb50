"""The steps of an inference program, compiled: each a row of a table that says what to do, where, and how it is shared.

A step is cut into parts that do not depend on each other; do_name does one part of it.  Everything a step reads and
writes lies in one array `m`, at places the table names; weights are named by their addresses.  Windows are lists of
offsets from a pixel (`taps`), so a kernel of any size, stride or dilation is the same loop (window.py).
"""
import numpy as np

from runner.ops.fast.jit import compiled
from runner.ops.fast.simd import direct
from runner.ops.fast.simd.direct import run_tile, value
from runner.ops.fast.simd.isa import LANES
from runner.ops.fast.simd.math import LOGISTIC, RECTIFIER, activate_run, f4, softmax_rows
from runner.ops.fast.simd.transform import input_transform, output_transform
from runner.ops.fast.simd.transpose import transpose

(CONVOLVE, SCALE, POOL, ADD, UPSAMPLE, MEAN, DENSE, SOFTMAX, PACK, UNPACK, COPY, WINOGRAD, TILES_IN,
 TILES_OUT, CURVED) = range(15)

FIELDS = {      # of a step; all offsets and distances are in values of `m`, each kind uses some
    "kind parts": "what it does, and in how many parts",
    "images h w channels": "of the output: images, their rows, columns and channels",
    "deep wide border": "blocks of channels of the input and of the output, zeros around this",
    "x x_image x_plane x_row x_step": "the first pixel of the input; from an image, block, row, pixel to the next",
    "x_h x_w x_down": "rows and columns of the input; from the window of one output row to that of the next",
    "y y_image y_plane y_row y_step": "the same of the output",
    "strip shares group": "rows of a part, in how many shares it takes the channels; blocks of channels of a tile",
    "taps tap_count inner": "address and number of a window's offsets, and values it sees from each on",
    "weights panel weights_image biases other": "addresses; bytes from a group of channels, an image to the next",
    "code low high": "the activation",
    "size stride pad": "of a window; size also of other things",
    "across": "tiles side by side",
    "tile ending": "addresses of the operations on tiles (window.py)",
    "outside": "is the input the plan's, not in `m`?",
}
STEP = np.dtype([(name, np.float32 if name in ("low", "high") else np.int64)
                 for names in FIELDS for name in names.split()])

PIXELS, FEWER, STRIDED = direct.PIXELS, direct.FEWER, direct.STRIDED
ONE = f4(1)


@compiled
def edges(m, at, r, h, w, border, row, block):
    """Zeros around row r of a plane; its first pixel lies at `at`."""
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
def curve(s, m, at, count, spare):
    """m[at:at + count] = act(...) for activations that are more than a slope."""
    if s.code != RECTIFIER:
        copy = spare[:count]
        copy[:] = m[at:at + count]
        activate_run(s.code, s.low, s.high, copy, m[at:at + count])


@compiled
def do_convolve(s, part, m, spare):
    """A strip of rows of a share of the channels: every group of channels goes over the strip by itself."""
    strips = -(-s.h // s.strip)
    image, rest = part // (strips * s.shares), part % (strips * s.shares)
    strip, share = rest // s.shares, rest % s.shares
    groups = -(-s.wide // s.group)
    top, bottom = strip * s.strip, min(s.h, (strip + 1) * s.strip)
    low, beside, base = s.low if s.code == RECTIFIER else ONE, s.x_step == LANES, m.ctypes.data
    for g in range(share * groups // s.shares, (share + 1) * groups // s.shares):
        first = g * s.group
        vectors = min(s.group, s.wide - first)
        weights, biases = s.weights + image * s.weights_image + g * s.panel, s.biases + first * 4 * LANES
        most = FEWER if vectors > 2 else PIXELS if beside else STRIDED
        for r in range(top, bottom):
            x, y = s.x + image * s.x_image + r * s.x_down, s.y + image * s.y_image + first * s.y_plane + r * s.y_row
            left, at = -(-s.w // most), 0
            while left:
                p = (s.w - at) // left
                run_tile(s.tile, p, vectors, base + 4 * (x + at * s.x_step), s.x_step, s.taps, s.tap_count, s.inner,
                         weights, biases, low, base + 4 * (y + at * s.y_step), s.y_step, s.y_plane)
                at += p
                left -= 1
            for f in range(vectors):
                at = y + f * s.y_plane
                curve(s, m, at, s.w * LANES, spare)
                if s.border:
                    edges(m, at, r, s.h, s.w, s.border, s.y_row, LANES)


@compiled
def do_scale(s, part, m, spare):
    """Depthwise: a block of channels, a strip of its rows."""
    strips = -(-s.h // s.strip)
    plane, strip = part // strips, part % strips
    image, k = plane // s.wide, plane % s.wide
    low, base = s.low if s.code == RECTIFIER else ONE, m.ctypes.data
    for r in range(strip * s.strip, min(s.h, (strip + 1) * s.strip)):
        x = s.x + image * s.x_image + k * s.x_plane + r * s.x_down
        y = s.y + image * s.y_image + k * s.y_plane + r * s.y_row
        left, at = -(-s.w // STRIDED), 0
        while left:
            p = (s.w - at) // left
            run_tile(s.tile, p, 1, base + 4 * (x + at * s.x_step), s.x_step, s.taps, s.tap_count, 1,
                     s.weights + k * s.panel, s.biases + k * 4 * LANES, low, base + 4 * (y + at * LANES), LANES, 0)
            at += p
            left -= 1
        curve(s, m, y, s.w * LANES, spare)
        edges(m, y, r, s.h, s.w, s.border, s.y_row, LANES)


@compiled
def do_pool(s, part, m):
    """The maxima of a block of channels; windows end where the image does."""
    image, k = part // s.wide, part % s.wide
    whole, cut, base = np.empty(s.size * s.size, np.int64), np.empty(s.size * s.size, np.int64), m.ctypes.data
    for r in range(s.h):
        top = r * s.x_down - s.pad
        x = s.x + image * s.x_image + k * s.x_plane
        y = s.y + image * s.y_image + k * s.y_plane + r * s.y_row
        count = 0
        for i in range(max(0, top), min(s.x_h, top + s.size)):
            for j in range(s.size):
                whole[count] = i * s.x_row + j * LANES
                count += 1
        q = 0
        while q < s.w:
            left = q * s.stride - s.pad
            if left >= 0 and left + s.size <= s.x_w:
                p = 1
                while p < STRIDED and q + p < s.w and left + p * s.stride + s.size <= s.x_w:
                    p += 1
                run_tile(s.tile, p, 1, base + 4 * (x + left * LANES), s.stride * LANES, whole.ctypes.data, count, 1,
                         s.biases, s.biases, ONE, base + 4 * (y + q * LANES), LANES, 0)
                q += p
                continue
            some = 0
            for i in range(max(0, top), min(s.x_h, top + s.size)):
                for j in range(max(0, left), min(s.x_w, left + s.size)):
                    cut[some] = i * s.x_row + j * LANES
                    some += 1
            run_tile(s.tile, 1, 1, base + 4 * x, LANES, cut.ctypes.data, some, 1, s.biases, s.biases, ONE,
                     base + 4 * (y + q * LANES), LANES, 0)
            q += 1
        edges(m, y, r, s.h, s.w, s.border, s.y_row, LANES)
    whole[0] = cut[0]       # they live as long as their addresses are in use


@compiled
def do_add(s, part, m, spare):
    """The sum of two images; taps: for every image 0 and how far the other lies away."""
    image, k = part // s.wide, part % s.wide
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane
    low, base = s.low if s.code == RECTIFIER else ONE, m.ctypes.data
    for r in range(s.h):
        left, at, line = -(-s.w // STRIDED), 0, y + r * s.y_row
        while left:
            p = (s.w - at) // left
            run_tile(s.tile, p, 1, base + 4 * (x + r * s.x_row + at * LANES), LANES, s.taps + 16 * image, 2, 1,
                     s.biases, s.biases, low, base + 4 * (line + at * LANES), LANES, 0)
            at += p
            left -= 1
        curve(s, m, line, s.w * LANES, spare)
        edges(m, line, r, s.h, s.w, s.border, s.y_row, LANES)


@compiled
def do_upsample(s, part, m):
    image, k = part // s.wide, part % s.wide
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane
    base = m.ctypes.data
    for r in range(s.h):
        line, source = y + r * s.y_row, x + r // s.stride * s.x_row
        for j in range(s.stride):
            for at in range(0, s.x_w, STRIDED):
                run_tile(s.tile, min(STRIDED, s.x_w - at), 1, base + 4 * (source + at * LANES), LANES, s.taps, 1, 1,
                         s.biases, s.biases, ONE, base + 4 * (line + (at * s.stride + j) * LANES), s.stride * LANES, 0)
        edges(m, line, r, s.h, s.w, s.border, s.y_row, LANES)


@compiled
def do_mean(s, part, m, spare):
    """A block of channels -> their means, as plain values."""
    image, k = part // s.deep, part % s.deep
    run_tile(s.tile, 1, 1, m.ctypes.data + 4 * (s.x + image * s.x_image + k * s.x_plane), LANES, s.taps, s.tap_count, 1,
             s.biases, s.biases, ONE, spare.ctypes.data, LANES, 0)
    y = s.y + image * s.y_image + k * LANES
    for i in range(min(LANES, s.channels - k * LANES)):
        m[y + i] = spare[i] / f4(s.tap_count)


@compiled
def do_dense(s, part, m, spare):
    """A group of outputs of all images: the images are the pixels of a tile."""
    first = part * s.group * LANES
    many = min(s.group * LANES, s.channels - first)
    vectors = -(-many // LANES)
    low = s.low if s.code == RECTIFIER else ONE
    if vectors == 3:
        vectors = 4
    most = FEWER if vectors > 2 else STRIDED
    for image in range(0, s.images, most):
        p = min(most, s.images - image)
        run_tile(s.tile, p, vectors, m.ctypes.data + 4 * (s.x + image * s.x_image), s.x_image, s.taps, 1, s.inner,
                 s.weights + part * s.panel, s.biases + first * 4, low, spare.ctypes.data, vectors * LANES, LANES)
        for i in range(p):
            y = s.y + (image + i) * s.y_image + first
            m[y:y + many] = spare[i * vectors * LANES:i * vectors * LANES + many]
            curve(s, m, y, many, spare[most * vectors * LANES:])


@compiled
def do_softmax(s, part, m):
    """Groups of s.size values; s.low: 1 / temperature."""
    image, k = part // s.wide, part % s.wide
    x, y = s.x + image * s.x_image + k * s.size, s.y + image * s.y_image + k * s.size
    softmax_rows(m[x:x + s.size].reshape(1, -1), m[y:y + s.size].reshape(1, -1), s.low)


@compiled
def do_pack(s, part, m, given):
    """Plain -> blocked, a block of channels."""
    image, k = part // s.wide, part % s.wide
    source = given if s.outside else m
    x, y, block = s.x + image * s.x_image + k * s.x_plane * s.size, s.y + image * s.y_image + k * s.y_plane, s.size
    there = min(block, s.channels - k * block)
    for r in range(s.h):
        line, q = y + r * s.y_row, 0
        if there == LANES:
            while q + LANES <= s.w:
                transpose(source, x + r * s.x_row + q, s.x_plane, m, line + q * LANES, LANES)
                q += LANES
        elif block > 1:
            m[line:line + s.w * block] = f4(0)
        for one in range(there):
            for i in range(q, s.w):
                m[line + i * block + one] = source[x + one * s.x_plane + r * s.x_row + i]
        edges(m, line, r, s.h, s.w, s.border, s.y_row, block)


@compiled
def do_unpack(s, part, m):
    """Blocked -> plain, a block of channels."""
    image, k = part // s.wide, part % s.wide
    block = s.size
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane * block
    there = min(block, s.channels - k * block)
    for r in range(s.h):
        line, q = x + r * s.x_row, 0
        if there == LANES:
            while q + LANES <= s.w:
                transpose(m, line + q * LANES, LANES, m, y + r * s.y_row + q, s.y_plane)
                q += LANES
        for one in range(there):
            for i in range(q, s.w):
                m[y + one * s.y_plane + r * s.y_row + i] = m[line + i * block + one]


@compiled
def do_logistic(s, part, m, spare):
    """A block of channels -> plain; weights: of each channel whether it is curved, its factor and its offset."""
    image, k = part // s.deep, part % s.deep
    size = s.x_h * s.x_w
    for c in range(k * LANES, min((k + 1) * LANES, s.channels)):
        x, y = s.x + image * s.x_image + k * s.x_plane + c - k * LANES, s.y + image * s.y_image + c * size
        for r in range(s.x_h):
            for i in range(s.x_w):
                spare[r * s.x_w + i] = m[x + r * s.x_row + i * LANES]
        given, out = spare[:size], m[y:y + size]
        if value(s.weights, 3 * c) > 0:
            activate_run(LOGISTIC, ONE, ONE, given, out)
        else:
            out[:] = given
        factor, offset = value(s.weights, 3 * c + 1), value(s.weights, 3 * c + 2)
        if factor != 1 or offset != 0:
            for i in range(size):
                out[i] = factor * out[i] + offset


@compiled
def do_copy(s, part, m):
    """A block of channels with its border; s.size values."""
    image, k = part // s.wide, part % s.wide
    x, y = s.x + image * s.x_image + k * s.x_plane, s.y + image * s.y_image + k * s.y_plane
    m[y:y + s.size] = m[x:x + s.size]


@compiled
def tiles_in(s, m, x, top, bottom, v, at, step, spare):
    """Tile rows top ... bottom of a plane, B^T d B -> v[v + (at + tile) LANES + one of 36 step]."""
    wide = 4 * s.across + 2
    kept, row = min(wide, s.x_w + 2), wide * LANES
    e = 6 * row             # rows of the image and zeros below it
    for i in range(6):
        spare[i * row + kept * LANES:(i + 1) * row] = f4(0)
    for ty in range(top, bottom):
        y0 = 4 * ty - 1
        source = x + y0 * s.x_row - LANES
        if y0 + 5 <= s.x_h:
            input_transform(m, source, s.x_row, spare, 0, row, kept)
        else:
            for i in range(6):
                if y0 + i <= s.x_h:
                    spare[e + i * row:e + i * row + kept * LANES] = m[source + i * s.x_row:
                                                                      source + i * s.x_row + kept * LANES]
                else:
                    spare[e + i * row:e + i * row + kept * LANES] = f4(0)
            input_transform(spare, e, row, spare, 0, row, kept)
        for i in range(6):
            for t in range(s.across):
                input_transform(spare, i * row + 4 * t * LANES, LANES, v,
                           at + 6 * i * step + ((ty - top) * s.across + t) * LANES, step, 1)


@compiled
def tiles_out(s, m, v, at, step, y, top, bottom, biases, spare):
    """A^T v A + biases and the activation -> tile rows top ... bottom of a plane."""
    low = s.low if s.code == RECTIFIER else ONE
    row, base = 4 * s.across * LANES, spare.ctypes.data
    full = 24 * LANES
    for ty in range(top, bottom):
        for t in range(s.across):
            tile = at + ((ty - top) * s.across + t) * LANES
            for j in range(6):
                output_transform(v, tile + j * step, 6 * step, spare, j * LANES, 6 * LANES, 1)
            for i in range(4):
                output_transform(spare, 6 * i * LANES, LANES, spare, full + i * row + 4 * t * LANES, LANES, 1)
        for i in range(min(4, s.h - 4 * ty)):
            r = 4 * ty + i
            line = y + r * s.y_row
            for q in range(0, s.w, STRIDED):
                run_tile(s.ending, min(STRIDED, s.w - q), 1, base + 4 * (full + i * row + q * LANES), LANES, s.taps, 1,
                         1, biases, biases, low, m.ctypes.data + 4 * (line + q * LANES), LANES, 0)
            curve(s, m, line, s.w * LANES, spare[full + 4 * row:])
            edges(m, line, r, s.h, s.w, s.border, s.y_row, LANES)


@compiled
def products(s, x, y, tiles, step_x, step_y, spare):
    """36 products of V (deep blocks) with the weights of every group of channels; V and M lie in spare."""
    most, base = FEWER if s.group > 2 else PIXELS, spare.ctypes.data
    for k in range(36):
        for first in range(0, s.wide, s.group):
            vectors = min(s.group, s.wide - first)
            weights = s.weights + k * s.weights_image + first // s.group * s.panel
            left, at = -(-tiles // most), 0
            while left:
                p = (tiles - at) // left
                run_tile(s.tile, p, vectors, base + 4 * (x + k * step_x + at * LANES), LANES, s.taps, s.deep, LANES,
                         weights, s.other, ONE, base + 4 * (y + k * step_y + first * s.x_step * LANES + at * LANES),
                         LANES, s.x_step * LANES)
                at += p
                left -= 1


@compiled
def do_winograd(s, part, m, spare):
    """A strip of tile rows through all three steps, in memory of this thread.  s.x_step: tiles of a strip."""
    rows = -(-s.h // 4)
    strips = -(-rows // s.strip)
    image, strip = part // strips, part % strips
    top, bottom = strip * s.strip, min(rows, (strip + 1) * s.strip)
    step_x, step_y = s.deep * s.x_step * LANES, s.wide * s.x_step * LANES
    sums = 36 * step_x
    rest = spare[sums + 36 * step_y:]
    for k in range(s.deep):
        tiles_in(s, m, s.x + image * s.x_image + k * s.x_plane, top, bottom, spare, k * s.x_step * LANES, step_x,
                 rest)
    products(s, 0, sums, (bottom - top) * s.across, step_x, step_y, spare)
    for k in range(s.wide):
        tiles_out(s, m, spare, sums + k * s.x_step * LANES, step_y, s.y + image * s.y_image + k * s.y_plane, top,
                  bottom, s.biases + k * 4 * LANES, rest)


@compiled
def do_tiles_in(s, part, m, spare):
    """A strip of the tiles of a block of channels; y_plane: from one block to the next, y_row: of the 36."""
    rows = -(-s.x_h // 4)
    strips = -(-rows // s.strip)
    image, k, top = part // strips // s.deep, part // strips % s.deep, part % strips * s.strip
    tiles_in(s, m, s.x + image * s.x_image + k * s.x_plane, top, min(rows, top + s.strip), m,
             s.y + k * s.y_plane + (image * rows + top) * s.across * LANES, s.y_row, spare)


@compiled
def do_tiles_out(s, part, m, spare):
    rows = -(-s.h // 4)
    strips = -(-rows // s.strip)
    image, k, top = part // strips // s.wide, part // strips % s.wide, part % strips * s.strip
    tiles_out(s, m, m, s.x + k * s.x_plane + (image * rows + top) * s.across * LANES, s.x_row,
              s.y + image * s.y_image + k * s.y_plane, top, min(rows, top + s.strip), s.biases + k * 4 * LANES,
              spare)
