"""Arithmetic on images, a row of the result at a time, rounded as the reference rounds: the same bits.

No pool here: a loader's threads call these, each with images of its own.
"""
import numpy as np

from runner.ops import image as reference
from runner.ops.fast.jit import compiled_exactly
from runner.ops.fast.simd.math import f4
from runner.ops.image import Array, Numbers

PIXELS = ("uint8", "uint16", "float32")
RUN = 2048      # pixels at a time: they stay in the innermost cache


def resize(image: Array, width: int, height: int) -> Array:
    h, w = image.shape[-2:]
    if image.dtype != f4 or not image.flags.c_contiguous or (h, w) == (height, width) or not image.size:
        return reference.resize(image, width, height)
    out = np.empty((*image.shape[:-2], height, width), f4)
    run = _rows_first if height < h else _columns_first
    (left, right, across), (up, down, along) = reference.taps(w, width), reference.taps(h, height)
    run(image.reshape(-1, h, w), out.reshape(-1, height, width), left, right, across.astype(f4), up, down,
        along.astype(f4), f4(reference.dimming(h, height)))
    return out


def crop(pixels: Array, left: int, top: int, crop_width: int, crop_height: int, width: int, height: int,
         part: tuple[int, int, int, int]) -> Array:
    if pixels.dtype.name not in PIXELS or not pixels.flags.c_contiguous:
        return reference.crop(pixels, left, top, crop_width, crop_height, width, height, part)
    x0, y0, x1, y1 = part
    channels, h, w = pixels.shape
    columns = reference.framed_taps(left, crop_width, width, w, x0, x1)
    rows = reference.framed_taps(top, crop_height, height, h, y0, y1)
    mean = np.zeros(channels, f4)
    if min(columns[0].min(), rows[0].min()) == 0 or columns[1].max() > w or rows[1].max() > h:
        mean[:] = (pixels.mean(axis=(1, 2)) if pixels.dtype == f4 else _sums(pixels) / (h * w)).astype(pixels.dtype)
    scale = f4(1) if pixels.dtype == f4 else f4(1 / np.iinfo(pixels.dtype).max)
    out = np.empty((channels, y1 - y0, x1 - x0), f4)
    _cut(pixels, mean, out, *columns, *rows, scale)
    return out


def rotate_crop(images: Array, width: int, height: int, *, angle: Numbers = 0.,
                scale: Numbers = 1., dx: Numbers = 0., dy: Numbers = 0.,
                aspect: Numbers = 1.) -> Array:
    if images.dtype != f4 or not images.flags.c_contiguous:
        return reference.rotate_crop(images, width, height, angle=angle, scale=scale, dx=dx, dy=dy, aspect=aspect)
    u, v, cos, sin = reference.grid(images, width, height, angle, scale, dx, dy, aspect)
    out = np.empty((*images.shape[:2], height, width), f4)
    _rotate(images, out, (cos * u)[:, 0], (sin * v)[..., 0], (sin * u)[:, 0], (cos * v)[..., 0])
    return out


def distort(images: Array, hue: Numbers = 0., saturation: Numbers = 1.,
            exposure: Numbers = 1.) -> Array:
    if images.dtype != f4 or not images.flags.c_contiguous or images.shape[1] != 3:
        return reference.distort(images, hue, saturation, exposure)
    turn, paler, brighter = (np.ascontiguousarray(reference.one_each(value, images)[:, 0, 0])
                             for value in (hue, saturation, exposure))
    out = np.empty_like(images)
    run = _turn_hue if turn.any() else _keep_hue
    run(images.reshape(len(images), 3, -1), out.reshape(len(images), 3, -1), turn, paler, brighter)
    return out


@compiled_exactly
def _rows_first(image, out, left, right, across, up, down, along, dim):
    """Shrinking: two rows of the source become one, and its columns are gathered."""
    blend = np.empty(image.shape[2], f4)
    for p in range(image.shape[0]):
        for i in range(up.size):
            upper, lower, share = image[p, up[i]], image[p, down[i]], along[i]
            rest = f4(1) - share
            for j in range(blend.size):
                blend[j] = upper[j] * rest + lower[j] * share
            if i == up.size - 1:
                blend *= dim
            _gather(blend, out[p, i], left, right, across)


@compiled_exactly
def _columns_first(image, out, left, right, across, up, down, along, dim):
    """Enlarging: each row of the source is widened once, and used for several of the result."""
    above, below = np.empty(left.size, f4), np.empty(left.size, f4)
    for p in range(image.shape[0]):
        first = second = -1
        for i in range(up.size):
            if up[i] != first:
                if up[i] == second:
                    above, below = below, above
                    second = first
                else:
                    _gather(image[p, up[i]], above, left, right, across)
                first = up[i]
            if down[i] != second:
                _gather(image[p, down[i]], below, left, right, across)
                second = down[i]
            row, share = out[p, i], along[i]
            rest = f4(1) - share
            for j in range(row.size):
                row[j] = above[j] * rest + below[j] * share
            if i == up.size - 1:
                row *= dim


@compiled_exactly
def _gather(row, out, left, right, share):
    for j in range(out.size):
        out[j] = row[left[j]] * (f4(1) - share[j]) + row[right[j]] * share[j]


@compiled_exactly
def _sums(pixels):
    """Of whole numbers: exact in any order."""
    sums = np.empty(pixels.shape[0])
    for c in range(sums.size):
        total = 0
        for i in range(pixels.shape[1]):
            for j in range(pixels.shape[2]):
                total += pixels[c, i, j]
        sums[c] = total
    return sums


@compiled_exactly
def _cut(pixels, mean, out, left, right, across, up, down, along, scale):
    """Rows are numbered with the frame: 0 and the last are nothing but mean."""
    w = pixels.shape[2]
    above, below = np.empty(left.size, f4), np.empty(left.size, f4)
    framed = np.empty(w + 2, f4)
    for p in range(pixels.shape[0]):
        framed[0] = framed[w + 1] = mean[p]
        first = second = -1
        for i in range(up.size):
            if up[i] != first:
                if up[i] == second:
                    above, below = below, above
                    second = first
                else:
                    _fill(pixels[p], up[i], framed, mean[p], above, left, right, across)
                first = up[i]
            if down[i] != second:
                _fill(pixels[p], down[i], framed, mean[p], below, left, right, across)
                second = down[i]
            row, share = out[p, i], along[i]
            for j in range(row.size):
                row[j] = (above[j] + (below[j] - above[j]) * share) * scale


@compiled_exactly
def _fill(plane, number, framed, mean, out, left, right, across):
    """out = a framed row between its columns."""
    if number == 0 or number > plane.shape[0]:
        out[:] = mean
        return
    row = plane[number - 1]
    for j in range(row.size):
        framed[j + 1] = row[j]
    for j in range(out.size):
        out[j] = framed[left[j]] + (framed[right[j]] - framed[left[j]]) * across[j]


@compiled_exactly
def _rotate(images, out, cos_u, sin_v, sin_u, cos_v):
    """Along a row of the window x and y rise or fall, so the places within the image are one run."""
    n, channels, h, w = images.shape
    height, width = out.shape[2:]
    one, wide = np.uint64(1), np.uint64(w)
    x, y = np.empty(width, f4), np.empty(width, f4)         # what is left after the whole pixel
    column, row = np.empty(width, np.int32), np.empty(width, np.int32)
    for i in range(n):
        planes = images[i].reshape(channels, h * w)
        for r in range(height):
            for j in range(width):
                at = min(max((cos_u[i, j] - sin_v[i, r]) + f4(w / 2), f4(-1)), f4(w))
                whole = np.floor(at)
                x[j], column[j] = at - whole, np.int32(whole)
                at = min(max((sin_u[i, j] + cos_v[i, r]) + f4(h / 2), f4(-1)), f4(h))
                whole = np.floor(at)
                y[j], row[j] = at - whole, np.int32(whole)
            start, stop = 0, width
            while start < stop and not (0 <= column[start] < w - 1 and 0 <= row[start] < h - 1):
                start += 1
            while start < stop and not (0 <= column[stop - 1] < w - 1 and 0 <= row[stop - 1] < h - 1):
                stop -= 1
            for c in range(channels):
                plane, line = planes[c], out[i, c, r]
                for j in range(start):
                    line[j] = _at_the_edge(images[i, c], row[j], column[j], y[j], x[j])
                for j in range(start, stop):
                    at = np.uint64(row[j] * w + column[j])      # never below 0: no index from the end
                    upper = plane[at] + x[j] * (plane[at + one] - plane[at])
                    lower = plane[at + wide] + x[j] * (plane[at + wide + one] - plane[at + wide])
                    line[j] = upper + y[j] * (lower - upper)
                for j in range(stop, width):
                    line[j] = _at_the_edge(images[i, c], row[j], column[j], y[j], x[j])


@compiled_exactly
def _at_the_edge(image, row, column, y, x):
    """Between four pixels of which some are outside, and 0."""
    upper, lower = _between(image, row, column, x), _between(image, row + 1, column, x)
    return upper + y * (lower - upper)


@compiled_exactly
def _between(image, row, column, share):
    h, w = image.shape
    if row < 0 or row >= h:
        return f4(0)
    left = image[row, column] if 0 <= column < w else f4(0)
    right = image[row, column + 1] if 0 <= column + 1 < w else f4(0)
    return left + share * (right - left)


@compiled_exactly
def _keep_hue(images, out, turn, paler, brighter):
    value = np.empty(RUN, f4)
    for i in range(images.shape[0]):
        saturation, exposure = paler[i], brighter[i]
        for at in range(0, images.shape[2], RUN):
            end = at + RUN
            red, green, blue = images[i, 0, at:end], images[i, 1, at:end], images[i, 2, at:end]
            for j in range(red.size):
                most = red[j] if red[j] > green[j] else green[j]
                value[j] = blue[j] if blue[j] > most else most
            for c in range(3):
                channel, line = images[i, c, at:end], out[i, c, at:end]
                for j in range(line.size):
                    line[j] = _within((value[j] - saturation * (value[j] - channel[j])) * exposure)


@compiled_exactly
def _turn_hue(images, out, turn, paler, brighter):
    for i in range(images.shape[0]):
        hue, saturation, exposure = f4(6) * turn[i], paler[i], brighter[i]
        for at in range(0, images.shape[2], RUN):
            end = at + RUN
            _turn_run(images[i, 0, at:end], images[i, 1, at:end], images[i, 2, at:end], out[i, 0, at:end],
                      out[i, 1, at:end], out[i, 2, at:end], hue, saturation, exposure)


@compiled_exactly
def _turn_run(red, green, blue, new_red, new_green, new_blue, hue, saturation, exposure):
    """By way of buffers, and loops with few arrays each, which run in vector registers."""
    value, spread, sixths = np.empty(RUN, f4), np.empty(RUN, f4), np.empty(RUN, f4)
    for j in range(red.size):
        r, g, b = red[j], green[j], blue[j]
        most = r if r > g else g
        most = b if b > most else most
        least = r if r < g else g
        least = b if b < least else least
        apart = most - least
        divisor = f4(1) if apart == 0 else apart
        of_red, of_green, of_blue = (g - b) / divisor, f4(2) + (b - r) / divisor, f4(4) + (r - g) / divisor
        place = of_green if most == g else of_blue
        place = of_red if most == r else place
        value[j], spread[j], sixths[j] = most, apart * saturation, place + hue
    for line, offset in ((new_red, f4(5)), (new_green, f4(3)), (new_blue, f4(1))):
        for j in range(line.size):
            line[j] = _within((value[j] - spread[j] * _part(sixths[j] + offset)) * exposure)


@compiled_exactly
def _part(k):
    """How much of the spread a channel is below the value."""
    k = k - f4(6) * np.floor(k / f4(6))
    other = f4(4) - k
    return _within(k if k < other else other)


@compiled_exactly
def _within(x):
    x = f4(0) if x < 0 else x
    return f4(1) if x > 1 else x
