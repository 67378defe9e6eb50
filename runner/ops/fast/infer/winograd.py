"""The instructions of Winograd's convolution (winograd_matrices.py) on blocked images.

V = B^T d B, in blocks of channels (ic_blocks, tiles, LANES) for each of the 36 points, is multiplied by U = G g G^T,
point by point; the products M have the layout of V, and y = A^T M A.  Tiles are counted along the rows of an image.

With few channels `winograd` takes a strip of an image through all three stages in the cache of one thread.  With many
they are three instructions, because the weights are larger than the caches: `winograd_input`, a `convolve` whose images
are the 36 points, and `winograd_output`.
"""
from runner.ops.fast.infer.instructions import (
    ACTIVATION,
    ONE,
    PLANES_IN,
    PLANES_OUT,
    TILES,
    WEIGHTS,
    activate,
    clear_border,
    instruction,
    pixels_of_tile,
    slope_of,
)
from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.direct import Row, run_row
from runner.ops.fast.simd.isa import (
    FLOAT_BYTES,
    LANES,
    MAX_PIXELS_STRIDED,
    VECTOR_BYTES,
)
from runner.ops.fast.simd.math import f4
from runner.ops.fast.simd.transform import input_transform, output_transform
from runner.ops.winograd_matrices import IN_TILE, POINTS, TILE

IN_ROWS = {"x_h x_w": "rows and columns of the input"}
STRIPS = {"tile_cols": "tiles in a row of tiles", "strip": "rows of tiles in a part"}
EPILOGUE = {"epilogue": "address of the operation on tiles that adds the biases and applies the activation"}


def input_scratch(tile_cols: int) -> int:
    """Values of scratch memory of `input_tiles`: rows of B^T d, and rows of the image where it ends."""
    return 2 * IN_TILE * (TILE * tile_cols + 2) * LANES


def output_scratch(tile_cols: int) -> int:
    """Values of scratch memory of `output_tiles`: A^T M of a tile, rows of the image, and one more to `activate`."""
    return (TILE * IN_TILE + TILE * tile_cols * (TILE + 1)) * LANES


@compiled
def input_tiles(s, m, x, top, bottom, v, at, point_stride, scratch):
    """B^T d B of tile rows top ... bottom of a plane, whose first pixel is m[x]: tile t of them, from one point to the
    next point_stride, to v[at + t LANES:].  scratch: input_scratch values."""
    width = TILE * s.tile_cols + 2
    kept, row = min(width, s.x_w + 2), width * LANES
    image = IN_TILE * row           # where rows of the image and zeros below it begin
    for i in range(IN_TILE):
        scratch[i * row + kept * LANES:(i + 1) * row] = f4(0)
    for tile_row in range(top, bottom):
        y0 = TILE * tile_row - 1
        source = x + y0 * s.x_row - LANES
        if y0 + IN_TILE - 1 <= s.x_h:
            input_transform(m, source, s.x_row, scratch, 0, row, kept)
        else:
            for i in range(IN_TILE):
                if y0 + i <= s.x_h:
                    scratch[image + i * row:image + i * row + kept * LANES] = m[source + i * s.x_row:
                                                                                source + i * s.x_row + kept * LANES]
                else:
                    scratch[image + i * row:image + i * row + kept * LANES] = f4(0)
            input_transform(scratch, image, row, scratch, 0, row, kept)
        for i in range(IN_TILE):
            for t in range(s.tile_cols):
                input_transform(scratch, i * row + TILE * t * LANES, LANES, v,
                                at + IN_TILE * i * point_stride + ((tile_row - top) * s.tile_cols + t) * LANES,
                                point_stride, 1)


@compiled       # ten arguments: input_tiles' and the biases
def output_tiles(s, m, v, at, point_stride, y, top, bottom, biases, scratch):
    """act(A^T v A + biases) of tiles as input_tiles lays them out -> tile rows top ... bottom of a plane (h, w), whose
    first pixel is m[y].  scratch: output_scratch values."""
    row, base = TILE * s.tile_cols * LANES, scratch.ctypes.data
    full = TILE * IN_TILE * LANES       # where rows of the image begin
    last = Row(s.epilogue, 1, LANES, s.taps, 1, 1, biases, biases, slope_of(s), LANES, 0)
    for tile_row in range(top, bottom):
        for t in range(s.tile_cols):
            tile = at + ((tile_row - top) * s.tile_cols + t) * LANES
            for j in range(IN_TILE):
                output_transform(v, tile + j * point_stride, IN_TILE * point_stride, scratch, j * LANES,
                                 IN_TILE * LANES, 1)
            for i in range(TILE):
                output_transform(scratch, IN_TILE * i * LANES, LANES, scratch, full + i * row + TILE * t * LANES, LANES,
                                 1)
        for i in range(min(TILE, s.h - TILE * tile_row)):
            r = TILE * tile_row + i
            line = y + r * s.y_row
            run_row(last, s.w, MAX_PIXELS_STRIDED, base + FLOAT_BYTES * (full + i * row),
                    m.ctypes.data + FLOAT_BYTES * line)
            activate(s, m, line, s.w * LANES, scratch[full + TILE * row:])
            clear_border(m, line, r, s.h, s.w, s.border, s.y_row, LANES)


@compiled
def multiply(s, products, tiles, v_stride, m_stride, scratch):
    """M = V U for `tiles` tiles: V at the beginning of scratch, M from scratch[products] on; v_stride and m_stride:
    from one point to the next."""
    limit, base = pixels_of_tile(s.group, LANES), scratch.ctypes.data
    for point in range(POINTS):
        for first in range(0, s.oc_blocks, s.group):
            row = Row(s.tile, min(s.group, s.oc_blocks - first), LANES, s.taps, s.ic_blocks, LANES,
                      s.weights + point * s.point_bytes + first // s.group * s.panel_bytes, s.zeros, ONE, LANES,
                      s.strip_tiles * LANES)
            run_row(row, tiles, limit, base + FLOAT_BYTES * point * v_stride,
                    base + FLOAT_BYTES * (products + point * m_stride + first * s.strip_tiles * LANES))


@instruction(PLANES_IN, PLANES_OUT, TILES, WEIGHTS, ACTIVATION, IN_ROWS, STRIPS, EPILOGUE, {
    "ic_blocks": "blocks of channels of the input", "group": "blocks of output channels computed together",
    "strip_tiles": "tiles of a part", "point_bytes": "bytes from the weights of one point to the next",
    "zeros": "address of a vector of zeros for each block of channels"})
def winograd(s, part, m, external, scratch):
    """y = act(conv(x) + biases): a strip of rows of tiles of an image.  taps: from one block of channels of V on.

    scratch: V, M, then what input_tiles and output_tiles need.
    """
    rows = -(-s.h // TILE)
    strips = -(-rows // s.strip)
    image, strip = part // strips, part % strips
    top, bottom = strip * s.strip, min(rows, (strip + 1) * s.strip)
    v_stride, m_stride = s.ic_blocks * s.strip_tiles * LANES, s.oc_blocks * s.strip_tiles * LANES
    products = POINTS * v_stride
    rest = scratch[products + POINTS * m_stride:]
    for k in range(s.ic_blocks):
        input_tiles(s, m, s.x + image * s.x_image + k * s.x_plane, top, bottom, scratch, k * s.strip_tiles * LANES,
                    v_stride, rest)
    multiply(s, products, (bottom - top) * s.tile_cols, v_stride, m_stride, scratch)
    for k in range(s.oc_blocks):
        output_tiles(s, m, scratch, products + k * s.strip_tiles * LANES, m_stride,
                     s.y + image * s.y_image + k * s.y_plane, top, bottom, s.biases + k * VECTOR_BYTES, rest)


@instruction(PLANES_IN, IN_ROWS, STRIPS, {
    "ic_blocks": "blocks of channels of the input", "v": "the first tile of V",
    "v_plane v_point": "from one block of channels, one point to the next"})
def winograd_input(s, part, m, external, scratch):
    """V = B^T d B: a strip of rows of tiles of a block of channels of an image."""
    rows = -(-s.x_h // TILE)
    strips = -(-rows // s.strip)
    image, k, top = part // strips // s.ic_blocks, part // strips % s.ic_blocks, part % strips * s.strip
    input_tiles(s, m, s.x + image * s.x_image + k * s.x_plane, top, min(rows, top + s.strip), m,
                s.v + k * s.v_plane + (image * rows + top) * s.tile_cols * LANES, s.v_point, scratch)


@instruction(PLANES_OUT, STRIPS, ACTIVATION, EPILOGUE, {
    "m": "the first tile of M", "m_plane m_point": "from one block of channels, one point to the next",
    "taps": TILES["taps"], "biases": TILES["biases"]})
def winograd_output(s, part, m, external, scratch):
    """y = act(A^T M A + biases): a strip of rows of tiles of a block of channels of an image.  taps: 0."""
    rows = -(-s.h // TILE)
    strips = -(-rows // s.strip)
    image, k, top = part // strips // s.oc_blocks, part // strips % s.oc_blocks, part % strips * s.strip
    output_tiles(s, m, m, s.m + k * s.m_plane + (image * rows + top) * s.tile_cols * LANES, s.m_point,
                 s.y + image * s.y_image + k * s.y_plane, top, min(rows, top + s.strip),
                 s.biases + k * VECTOR_BYTES, scratch)
