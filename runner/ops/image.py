"""Arithmetic on images: resize, crop, rotate, change colours.

The arithmetic is darknet's (src/image.c), so that published weights get the pixels they were trained on.  The threads
of a loader call these, with one or a few images each; the work of one call is not shared among threads.
"""
import numpy as np

Array = np.ndarray
Numbers = np.ndarray | float


def resize(image: Array, width: int, height: int) -> Array:
    """(..., h, w) -> (..., height, width), bilinear with the corners of both grids aligned.

    Target column x reads source column x * (w - 1) / (width - 1); the last one is copied.  No antialiasing
    when shrinking.  A target of one row or column takes the last one, by the same rule.
    """
    if image.shape[-2:] == (height, width):
        return image.copy()
    if height < image.shape[-2]:                   # the cheaper order of the two passes
        return _resize_columns(_resize_rows(image, height), width)
    return _resize_rows(_resize_columns(image, width), height)


def taps(old: int, new: int) -> tuple[Array, Array, Array]:
    """Left neighbour, right neighbour, weight of the right one (float32) for each of `new` positions."""
    position = np.arange(new, dtype=np.float32) * np.float32((old - 1) / max(new - 1, 1))
    left = position.astype(np.intp)
    weight = position - left
    left[-1], weight[-1] = old - 1, 0              # exact, despite the rounding above
    np.minimum(left, old - 1, out=left)
    return left, np.minimum(left + 1, old - 1), weight


def _resize_columns(image: Array, width: int) -> Array:
    if image.shape[-1] == width:
        return image
    left, right, weight = taps(image.shape[-1], width)
    weight = weight.astype(image.dtype)
    return image.take(left, axis=-1) * (1 - weight) + image.take(right, axis=-1) * weight


def _resize_rows(image: Array, height: int) -> Array:
    if image.shape[-2] == height:
        return image
    up, down, weight = taps(image.shape[-2], height)
    weight = weight.astype(image.dtype)[:, None]
    out = image.take(up, axis=-2) * (1 - weight) + image.take(down, axis=-2) * weight
    out[..., -1, :] *= dimming(image.shape[-2], height)
    return out


def dimming(old: int, new: int) -> float:
    """The factor by which darknet dims the last row, a rounding error of its position: a few millionths.

    (Where the error has the other sign, darknet loses the row.  We do not.)
    """
    last = np.float32(new - 1) * np.float32((old - 1) / max(new - 1, 1))
    return 1 - max(float(last) - (old - 1), 0.)


def crop(pixels: Array, left: int, top: int, crop_width: int, crop_height: int, width: int, height: int,
         part: tuple[int, int, int, int]) -> Array:
    """A crop of `pixels` resized to width x height, and `part` of that, (c, h, w) float32; pixels outside the image get
    its mean colour.

    Bilinear with the corners of both grids aligned, as in resize, so that a crop of the whole image is what `test` and
    `detect` feed to the network.
    """
    x0, y0, x1, y1 = part           # left, top, right, bottom
    channels, h, w = pixels.shape
    framed = np.empty((channels, h + 2, w + 2), pixels.dtype)
    mean = pixels.mean(axis=(1, 2)).astype(pixels.dtype)[:, None]
    framed[:, 0], framed[:, -1], framed[:, :, 0], framed[:, :, -1] = mean, mean, mean, mean
    framed[:, 1:-1, 1:-1] = pixels
    image = _interpolated(framed, 2, *framed_taps(left, crop_width, width, w, x0, x1))
    image = _interpolated(image, 1, *framed_taps(top, crop_height, height, h, y0, y1))
    if pixels.dtype != np.float32:
        image *= np.float32(1 / np.iinfo(pixels.dtype).max)
    return image


def framed_taps(first: int, size: int, new: int, old: int, start: int, stop: int) -> tuple[Array, ...]:
    """The two of the `old` rows, padded by one before and one after, that each new row mixes; the weight of the second.

    Only for rows start..stop of the new ones.
    """
    at = np.clip(first + np.arange(start, stop) * ((size - 1) / max(new - 1, 1)), -1, old)
    low = np.minimum(np.floor(at), old - 1).astype(np.intp)
    return low + 1, low + 2, (at - low).astype(np.float32)


def _interpolated(values: Array, axis: int, low: Array, high: Array, share: Array) -> Array:
    """Linear interpolation along an axis between the values at `low` and at `high`."""
    out, other = (values.take(at, axis, mode="clip").astype(np.float32, copy=False) for at in (low, high))
    other -= out
    other *= share if axis == 2 else share[:, None]
    out += other
    return out


def rotate_crop(images: Array, width: int, height: int, *, angle: Numbers = 0.,
                scale: Numbers = 1., dx: Numbers = 0., dy: Numbers = 0.,
                aspect: Numbers = 1.) -> Array:
    """A rotated, scaled, shifted crop of each image: (n, c, h, w) -> (n, c, height, width), 0 outside.

    angle in radians, scale > 1 magnifies, dx and dy shift the crop in magnified pixels, aspect > 1 squeezes x.  Each
    may be one number or n numbers.  Bilinear; darknet's rotate_crop_image.
    """
    n, channels, h, w = images.shape
    dtype = images.dtype
    u, v, cos, sin = grid(images, width, height, angle, scale, dx, dy, aspect)
    x = np.clip(cos * u - sin * v + dtype.type(w / 2), -1, w)      # black further out too
    y = np.clip(sin * u + cos * v + dtype.type(h / 2), -1, h)
    column, row = np.floor(x), np.floor(y)
    x -= column
    y -= row

    # A border of zeros, one pixel before and two after: no tap has to check whether it is inside.
    framed = np.zeros((n, h + 3, w + 3, channels), dtype)
    framed[:, 1:-2, 1:-2] = images.transpose(0, 2, 3, 1)
    flat = framed.reshape(-1, channels)
    first = np.arange(n)[:, None, None] * ((h + 3) * (w + 3))
    at = first + (row.astype(np.intp) + 1) * (w + 3) + (column.astype(np.intp) + 1)
    x, y = x[..., None], y[..., None]
    upper, lower = flat.take(at, axis=0), flat.take(at + (w + 3), axis=0)
    upper += x * (flat.take(at + 1, axis=0) - upper)
    lower += x * (flat.take(at + (w + 4), axis=0) - lower)
    upper += y * (lower - upper)
    return np.ascontiguousarray(upper.transpose(0, 3, 1, 2))


def grid(images: Array, width: int, height: int, angle: Numbers, scale: Numbers, dx: Numbers, dy: Numbers,
         aspect: Numbers) -> tuple[Array, Array, Array, Array]:
    """The grid of rotate_crop before its rotation: u (n, 1, width), v (n, height, 1), in pixels from the centre of the
    image; and the cosine and sine of the angle (n, 1, 1)."""
    dtype = images.dtype
    angle, scale, dx, dy, aspect = (one_each(value, images) for value in (angle, scale, dx, dy, aspect))
    u = ((np.arange(width, dtype=dtype) - dtype.type(width / 2)) * aspect + dx * aspect) / scale
    v = ((np.arange(height, dtype=dtype)[:, None] - dtype.type(height / 2)) + dy) / scale
    return u, v, np.cos(angle), np.sin(angle)


def one_each(value: Numbers, images: Array) -> Array:
    """One number or n numbers, as (n, 1, 1)."""
    return np.broadcast_to(np.asarray(value, images.dtype).reshape(-1, 1, 1), (len(images), 1, 1))


def distort(images: Array, hue: Numbers = 0., saturation: Numbers = 1.,
            exposure: Numbers = 1.) -> Array:
    """Shift the hue, multiply saturation and value: (n, c, h, w) in 0..1 -> the same shape, clipped to 0..1.

    hue is a share of the colour circle (-1..1); each argument is one number or n numbers.  The first three channels are
    red, green and blue; further ones are left as they are.  With one or two, the first is grey, and multiplied by the
    exposure.  The result is darknet's distort_image (to HSV, change, back to RGB), where the
    saturation may exceed 1 in between.

    With value v = max, chroma d = max - min and k = (n + 6 hue) mod 6 for n = 5, 3, 1, a channel of an HSV colour is
    v - d * clip(min(k, 4 - k), 0, 1).  Saturation multiplies d, exposure everything, so only the hue has to be
    computed, and without a shift not even that: v - d * clip(...) is the channel itself.
    """
    hue, saturation, exposure = (one_each(value, images) for value in (hue, saturation, exposure))
    if images.shape[1] != 3:
        out = images.copy()
        if images.shape[1] > 3:
            out[:, :3] = distort(images[:, :3], hue, saturation, exposure)
        else:
            out[:, :1] *= exposure[:, None]
        return np.clip(out, 0, 1, out=out)
    value = images.max(axis=1)
    if not hue.any():
        out = value[:, None] - saturation[:, None] * (value[:, None] - images)
    else:
        chroma = value - images.min(axis=1)
        sixths = _hue(images, value, chroma) + 6 * hue
        chroma *= saturation
        out = np.empty_like(images)
        for channel, offset in enumerate((5, 3, 1)):
            k = sixths + offset
            k -= 6 * np.floor(k / 6)
            np.subtract(value, chroma * np.clip(np.minimum(k, 4 - k), 0, 1), out=out[:, channel])
    out *= exposure[:, None]
    return np.clip(out, 0, 1, out=out)


def _hue(images: Array, value: Array, chroma: Array) -> Array:
    """(n, h, w): the position on the colour hexagon, 0 red, 2 green, 4 blue; 0 for greys."""
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    divisor = np.where(chroma == 0, 1, chroma)
    return np.where(value == red, (green - blue) / divisor,
                    np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor))
