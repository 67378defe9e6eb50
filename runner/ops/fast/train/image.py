"""Arithmetic on images, compiled, a row of the result at a time and rounded as the reference rounds: bit-identical.

Nothing is shared among threads here: a loader's threads call these, each with images of its own.
"""
import numpy as np

from runner.ops import image as reference
from runner.ops.fast import tuning
from runner.ops.fast.jit import compiled_exactly
from runner.ops.fast.simd.math import f4
from runner.ops.fast.train.arrays import is_contiguous_float32, is_supported
from runner.ops.image import Array, Numbers

PIXEL_TYPES = ("uint8", "uint16", "float32")
RUN = tuning.RUN


def resize(image: Array, width: int, height: int) -> Array:
    h, w = image.shape[-2:]
    if not is_supported(image) or (h, w) == (height, width):
        return reference.resize(image, width, height)
    out = np.empty((*image.shape[:-2], height, width), f4)
    run = _rows_first if height < h else _columns_first
    (left, right, share_x), (up, down, share_y) = reference.taps(w, width), reference.taps(h, height)
    run(image.reshape(-1, h, w), out.reshape(-1, height, width), left, right, share_x.astype(f4), up, down,
        share_y.astype(f4), f4(reference.dimming(h, height)))
    return out


def crop(pixels: Array, left: int, top: int, crop_width: int, crop_height: int, width: int, height: int,
         part: tuple[int, int, int, int]) -> Array:
    if pixels.dtype.name not in PIXEL_TYPES or not pixels.flags.c_contiguous:
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
    _crop(pixels, mean, out, *columns, *rows, scale)
    return out


def rotate_crop(images: Array, width: int, height: int, *, angle: Numbers = 0.,
                scale: Numbers = 1., dx: Numbers = 0., dy: Numbers = 0.,
                aspect: Numbers = 1.) -> Array:
    if not is_contiguous_float32(images):
        return reference.rotate_crop(images, width, height, angle=angle, scale=scale, dx=dx, dy=dy, aspect=aspect)
    u, v, cos, sin = reference.grid(images, width, height, angle, scale, dx, dy, aspect)
    out = np.empty((*images.shape[:2], height, width), f4)
    _rotate(images, out, (cos * u)[:, 0], (sin * v)[..., 0], (sin * u)[:, 0], (cos * v)[..., 0])
    return out


def distort(images: Array, hue: Numbers = 0., saturation: Numbers = 1.,
            exposure: Numbers = 1.) -> Array:
    if not is_contiguous_float32(images) or images.shape[1] < 3:
        return reference.distort(images, hue, saturation, exposure)
    shifts, saturations, exposures = (np.ascontiguousarray(reference.one_each(value, images)[:, 0, 0])
                                      for value in (hue, saturation, exposure))
    out = np.empty_like(images)
    run = _shift_hue if shifts.any() else _keep_hue
    flat = len(images), images.shape[1], -1
    run(images.reshape(flat), out.reshape(flat), shifts, saturations, exposures)
    if images.shape[1] > 3:
        np.clip(images[:, 3:], 0, 1, out=out[:, 3:])
    return out


@compiled_exactly
def _rows_first(image, out, left, right, share_x, up, down, share_y, dim):
    """out[p, i, j] = bilinear interpolation of image between the rows up[i], down[i] and the columns left[j], right[j],
    with the shares of the latter; the last row is multiplied by `dim`.  image (p, h, w).

    For shrinking: two rows of the image are blended into one, whose columns are interpolated.
    """
    blend = np.empty(image.shape[2], f4)
    for p in range(image.shape[0]):
        for i in range(up.size):
            upper, lower, share = image[p, up[i]], image[p, down[i]], share_y[i]
            rest = f4(1) - share
            for j in range(blend.size):
                blend[j] = upper[j] * rest + lower[j] * share
            if i == up.size - 1:
                blend *= dim
            _interpolate(blend, out[p, i], left, right, share_x)


@compiled_exactly
def _columns_first(image, out, left, right, share_x, up, down, share_y, dim):
    """The same for enlarging: each row of the image is widened once, and used for several of the result."""
    above, below = np.empty(left.size, f4), np.empty(left.size, f4)
    for p in range(image.shape[0]):
        first = second = -1
        for i in range(up.size):
            if up[i] != first:
                if up[i] == second:
                    above, below = below, above
                    second = first
                else:
                    _interpolate(image[p, up[i]], above, left, right, share_x)
                first = up[i]
            if down[i] != second:
                _interpolate(image[p, down[i]], below, left, right, share_x)
                second = down[i]
            row, share = out[p, i], share_y[i]
            rest = f4(1) - share
            for j in range(row.size):
                row[j] = above[j] * rest + below[j] * share
            if i == up.size - 1:
                row *= dim


@compiled_exactly
def _interpolate(row, out, left, right, share):
    """out[j] = row[left[j]] (1 - share[j]) + row[right[j]] share[j]."""
    for j in range(out.size):
        out[j] = row[left[j]] * (f4(1) - share[j]) + row[right[j]] * share[j]


@compiled_exactly
def _sums(pixels):
    """-> the sum of each channel of pixels (c, h, w), which are integers: exact in any order."""
    sums = np.empty(pixels.shape[0])
    for c in range(sums.size):
        total = 0
        for i in range(pixels.shape[1]):
            for j in range(pixels.shape[2]):
                total += pixels[c, i, j]
        sums[c] = total
    return sums


@compiled_exactly
def _crop(pixels, mean, out, left, right, share_x, up, down, share_y, scale):
    """out[c, i, j] = scale times the bilinear interpolation of pixels (c, h, w) in a frame of one pixel of the mean
    (c,); rows and columns are numbered with the frame: 0 and the last are the mean."""
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
                    _framed_row(pixels[p], up[i], framed, mean[p], above, left, right, share_x)
                first = up[i]
            if down[i] != second:
                _framed_row(pixels[p], down[i], framed, mean[p], below, left, right, share_x)
                second = down[i]
            row, share = out[p, i], share_y[i]
            for j in range(row.size):
                row[j] = (above[j] + (below[j] - above[j]) * share) * scale


@compiled_exactly
def _framed_row(plane, number, framed, mean, out, left, right, share):
    """out[j] = row `number` of a framed plane between the columns left[j] and right[j]; framed: scratch (w + 2,)."""
    if number == 0 or number > plane.shape[0]:
        out[:] = mean
        return
    row = plane[number - 1]
    for j in range(row.size):
        framed[j + 1] = row[j]
    for j in range(out.size):
        out[j] = framed[left[j]] + (framed[right[j]] - framed[left[j]]) * share[j]


@compiled_exactly
def _rotate(images, out, cos_u, sin_v, sin_u, cos_v):
    """out[n, c, i, j] = bilinear interpolation of images (n, c, h, w) at
    (x, y) = (cos_u[j] - sin_v[i] + w / 2, sin_u[j] + cos_v[i] + h / 2); outside pixels are 0.

    Along a row of the result x and y rise or fall, so the places inside the image are one run.
    """
    n, channels, h, w = images.shape
    height, width = out.shape[2:]
    one, wide = np.uint64(1), np.uint64(w)
    x, y = np.empty(width, f4), np.empty(width, f4)         # fractions of a pixel
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
    """Bilinear interpolation between four pixels of which some may be outside, and 0."""
    upper, lower = _between(image, row, column, x), _between(image, row + 1, column, x)
    return upper + y * (lower - upper)


@compiled_exactly
def _between(image, row, column, share):
    """Linear interpolation between two pixels of a row; pixels outside are 0."""
    h, w = image.shape
    if row < 0 or row >= h:
        return f4(0)
    left = image[row, column] if 0 <= column < w else f4(0)
    right = image[row, column + 1] if 0 <= column + 1 < w else f4(0)
    return left + share * (right - left)


@compiled_exactly
def _keep_hue(images, out, shifts, saturations, exposures):
    """out = images with saturation and exposure of each multiplied, hue as it is; images, out (n, c, size): red, green,
    blue, and further channels, which are not written; the factors (n,)."""
    value = np.empty(RUN, f4)
    for i in range(images.shape[0]):
        saturation, exposure = saturations[i], exposures[i]
        for at in range(0, images.shape[2], RUN):
            end = at + RUN
            red, green, blue = images[i, 0, at:end], images[i, 1, at:end], images[i, 2, at:end]
            for j in range(red.size):
                most = red[j] if red[j] > green[j] else green[j]
                value[j] = blue[j] if blue[j] > most else most
            for c in range(3):
                channel, line = images[i, c, at:end], out[i, c, at:end]
                for j in range(line.size):
                    line[j] = _clip((value[j] - saturation * (value[j] - channel[j])) * exposure)


@compiled_exactly
def _shift_hue(images, out, shifts, saturations, exposures):
    """The same, and the hue of each image shifted by so much of a full circle."""
    for i in range(images.shape[0]):
        hue, saturation, exposure = f4(6) * shifts[i], saturations[i], exposures[i]
        for at in range(0, images.shape[2], RUN):
            end = at + RUN
            _shift_run(images[i, 0, at:end], images[i, 1, at:end], images[i, 2, at:end], out[i, 0, at:end],
                      out[i, 1, at:end], out[i, 2, at:end], hue, saturation, exposure)


@compiled_exactly
def _shift_run(red, green, blue, new_red, new_green, new_blue, hue, saturation, exposure):
    """_shift_hue of a run (k,) of pixels; hue in sixths of a circle.

    RGB -> hue, value and chroma (value times saturation), and back by
    channel(k) = value - chroma clip(min(k, 4 - k)), k = (offset + hue) mod 6, offset 5, 3, 1 for red, green, blue.
    Through buffers, and in loops with few arrays each, which are vectorised.
    """
    value, chroma, sixths = np.empty(RUN, f4), np.empty(RUN, f4), np.empty(RUN, f4)
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
        value[j], chroma[j], sixths[j] = most, apart * saturation, place + hue
    for line, offset in ((new_red, f4(5)), (new_green, f4(3)), (new_blue, f4(1))):
        for j in range(line.size):
            line[j] = _clip((value[j] - chroma[j] * _chroma_share(sixths[j] + offset)) * exposure)


@compiled_exactly
def _chroma_share(k):
    """The share of the chroma that a channel is below the value."""
    k = k - f4(6) * np.floor(k / f4(6))
    other = f4(4) - k
    return _clip(k if k < other else other)


@compiled_exactly
def _clip(x):
    """x between 0 and 1."""
    x = f4(0) if x < 0 else x
    return f4(1) if x > 1 else x
