"""The products of Winograd's convolution, one for each of its 36 points, on arrays blocked for them and the transforms.

A transform writes or reads the 36 points of a channel at once; were the products' matrices apart, these would be in 36
pages of memory, which is more than a processor can look up at a time.  So MR tiles and LANES channels make a block in
which the points (MR, LANES) follow one another,

    V, M, Z: (tiles / MR, channels / LANES, POINTS, MR, LANES)

and transformed filters, of which a product takes up to 3 vectors of columns at a time, are

    U: (columns / U_PANEL, rows / K_BLOCK, POINTS, K_BLOCK, U_PANEL)

A tile of results is kept in registers, and every result is the sum of its terms in their order.
"""
from typing import Any

from numba import types
from numba.extending import intrinsic

from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.builder import INDEX, Writer
from runner.ops.fast.simd.isa import LANES, MR
from runner.ops.fast.train.conv.panels import PANEL_VECTORS, panel_count, panel_range
from runner.ops.winograd_matrices import POINTS

POINT_BLOCK = MR * LANES                    # values of one point in a block of V, M or Z
TILE_BLOCK = POINTS * POINT_BLOCK           # values of such a block
U_PANEL = PANEL_VECTORS * LANES             # columns of a panel of U
K_BLOCK = 8                                 # rows of a block of U; a power of two
U_BLOCK = POINTS * K_BLOCK * U_PANEL        # values of such a block


def _split(w: Writer, i: Any, size: int, far: Any, near: int) -> Any:
    """i // size * far + i % size * near; size is a power of two."""
    b = w.builder
    part = b.mul(b.and_(i, INDEX(size - 1)), INDEX(near))
    return b.add(b.mul(b.lshr(i, INDEX(size.bit_length() - 1)), far), part)


def _make_product(vectors: int) -> Any:
    @intrinsic
    def product(typing: Any, a: Any, a0: Any, b: Any, b0: Any, k: Any, c: Any, c0: Any, add: Any) -> Any:
        """c (MR tiles, vectors LANES) = or, if add, += a (MR tiles, k channels) b (k, vectors LANES)."""
        i = types.intp
        signature = types.void(a, i, b, i, i, c, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            a, b, c = (w.pointer(kinds[at], args[at], args[at + 1]) for at in (0, 2, 5))

            def step(i: Any, sums: list[Any]) -> list[Any]:
                left = _split(w, i, LANES, INDEX(TILE_BLOCK), 1)
                right = _split(w, i, K_BLOCK, INDEX(U_BLOCK), U_PANEL)
                values = [w.load(b, builder.add(right, INDEX(v * LANES))) for v in range(vectors)]
                news = []
                for m in range(MR):
                    factor = w.broadcast(a, builder.add(left, INDEX(m * LANES)))
                    news += [w.multiply_add(factor, values[v], sums[m * vectors + v]) for v in range(vectors)]
                return news
            sums = w.loop(args[4], MR * vectors, step)
            places = [INDEX(v * TILE_BLOCK + m * LANES) for m in range(MR) for v in range(vectors)]
            w.store_or_add(sums, c, places, args[7])
            return context.get_dummy_value()
        return signature, write
    return product


def _make_gradient(vectors: int) -> Any:
    @intrinsic      # the eleven arguments of a GEMM
    def gradient(typing: Any, a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, k: Any, c: Any, c0: Any, ldc: Any,
                 add: Any) -> Any:
        """c (MR, vectors LANES) = or, if add, += a^T b over k tiles; lda, ldb: from one block of tiles to the next."""
        i = types.intp
        signature = types.void(a, i, i, b, i, i, i, c, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            a, b, c = (w.pointer(kinds[at], args[at], args[at + 1]) for at in (0, 3, 7))

            def step(i: Any, sums: list[Any]) -> list[Any]:
                left, right = _split(w, i, MR, args[2], LANES), _split(w, i, MR, args[5], LANES)
                values = [w.load(b, builder.add(right, INDEX(v * TILE_BLOCK))) for v in range(vectors)]
                news = []
                for m in range(MR):
                    factor = w.broadcast(a, builder.add(left, INDEX(m)))
                    news += [w.multiply_add(factor, values[v], sums[m * vectors + v]) for v in range(vectors)]
                return news
            sums = w.loop(args[6], MR * vectors, step)
            places = [w.offset(INDEX(v * POINTS * LANES), args[9], m) for m in range(MR) for v in range(vectors)]
            w.store_or_add(sums, c, places, args[10])
            return context.get_dummy_value()
        return signature, write
    return gradient


product1, product2, product3 = _make_product(1), _make_product(2), _make_product(3)
gradient1, gradient2, gradient3 = _make_gradient(1), _make_gradient(2), _make_gradient(3)


@compiled       # the arguments of a GEMM, with blocks in place of rows
def multiply(v, v0, blocks, ic_blocks, k, u, u0, vectors, m, m0, oc_blocks, add):
    """M = or, if add, += V U at every point, for one panel of U.

    V: `blocks` blocks of MR tiles, of `ic_blocks` blocks of channels each; U: k rows, `vectors` vectors of columns;
    M: of `oc_blocks` blocks of channels.
    """
    for point in range(POINTS):
        b, place = u0 + point * K_BLOCK * U_PANEL, m0 + point * POINT_BLOCK
        for t in range(blocks):
            a, c = v0 + t * ic_blocks * TILE_BLOCK + point * POINT_BLOCK, place + t * oc_blocks * TILE_BLOCK
            if vectors == 3:
                product3(v, a, u, b, k, m, c, add)
            elif vectors == 2:
                product2(v, a, u, b, k, m, c, add)
            else:
                product1(v, a, u, b, k, m, c, add)


@compiled       # the arguments of a GEMM, with blocks in place of rows
def multiply_transposed(z, z0, oc_blocks, v, v0, ic_blocks, tiles, rows, vectors, du, du0, pitch, add):
    """dU (rows LANES, vectors LANES) = or, if add, += Z^T V at every point, over `tiles` tiles.

    Z: of `oc_blocks` blocks of channels, V: of `ic_blocks`; dU: (rows LANES, vectors, POINTS, LANES), rows `pitch`
    apart.
    """
    lda, ldb = oc_blocks * TILE_BLOCK, ic_blocks * TILE_BLOCK
    for point in range(POINTS):
        for r in range(0, rows * LANES, MR):
            a = z0 + r // LANES * TILE_BLOCK + point * POINT_BLOCK + r % LANES
            c = du0 + r * pitch + point * LANES
            for p in range(panel_count(vectors)):
                first, count = panel_range(vectors, p)
                b, place = v0 + first * TILE_BLOCK + point * POINT_BLOCK, c + first * POINTS * LANES
                if count == 3:
                    gradient3(z, a, lda, v, b, ldb, tiles, du, place, pitch, add)
                elif count == 2:
                    gradient2(z, a, lda, v, b, ldb, tiles, du, place, pitch, add)
                else:
                    gradient1(z, a, lda, v, b, ldb, tiles, du, place, pitch, add)
