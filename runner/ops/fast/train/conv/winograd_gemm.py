"""The 36 products of Winograd's convolution, on arrays laid out so that transforms and products find them near.

A transform writes or reads 36 values a channel at once, one for each product; were the products' matrices apart, these
would lie in 36 pages of memory, which is more than a processor can look up at a time.  So MR tiles and LANES
channels make a block in which the 36 pieces (MR, LANES) follow one another:

    (tiles / MR, channels / LANES, 36, MR, LANES)

and transformed kernels, of which a product takes 3 vectors of columns at a time, are (columns / PANEL, rows / DEEP, 36,
DEEP, PANEL).  Every tile of results is kept in registers and is the sum of its terms in their order.
"""
from typing import Any

from numba import types
from numba.extending import intrinsic

from runner.ops.fast.jit import compiled
from runner.ops.fast.simd.builder import INDEX, Writer
from runner.ops.fast.simd.isa import LANES, MR

PIECE = MR * LANES
BLOCK = 36 * PIECE      # values of a block
PANEL = 3 * LANES       # columns of transformed kernels side by side
DEEP = 8                # rows of them in one piece
KERNELS = 36 * DEEP * PANEL


def _split(w: Writer, i: Any, size: int, far: Any, near: int) -> Any:
    """i // size * far + i % size * near; size is a power of two."""
    b = w.builder
    part = b.mul(b.and_(i, INDEX(size - 1)), INDEX(near))
    return b.add(b.mul(b.lshr(i, INDEX(size.bit_length() - 1)), far), part)


def _make_product(vectors: int) -> Any:
    @intrinsic
    def tile(typing: Any, a: Any, a0: Any, b: Any, b0: Any, k: Any, c: Any, c0: Any, add: Any) -> Any:
        """c (MR tiles, vectors LANES) = or, if add, += a (MR tiles, k channels) b (k, vectors LANES)."""
        i = types.intp
        signature = types.void(a, i, b, i, i, c, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            a, b, c = (w.pointer(kinds[at], args[at], args[at + 1]) for at in (0, 2, 5))

            def step(i: Any, sums: list[Any]) -> list[Any]:
                left = _split(w, i, LANES, INDEX(BLOCK), 1)
                right = _split(w, i, DEEP, INDEX(KERNELS), PANEL)
                values = [w.load(b, builder.add(right, INDEX(v * LANES))) for v in range(vectors)]
                news = []
                for m in range(MR):
                    factor = w.broadcast(a, builder.add(left, INDEX(m * LANES)))
                    news += [w.multiply_add(factor, values[v], sums[m * vectors + v]) for v in range(vectors)]
                return news
            sums = w.loop(args[4], MR * vectors, step)
            places = [INDEX(v * BLOCK + m * LANES) for m in range(MR) for v in range(vectors)]
            w.store_or_add(sums, c, places, args[7])
            return context.get_dummy_value()
        return signature, write
    return tile


def _make_gradient(vectors: int) -> Any:
    @intrinsic
    def tile(typing: Any, a: Any, a0: Any, ak: Any, b: Any, b0: Any, bk: Any, k: Any, c: Any, c0: Any, cm: Any,
             add: Any) -> Any:
        """c (MR, vectors LANES) = or, if add, += a^T b over k tiles; ak, bk: from one block of tiles to the next."""
        i = types.intp
        signature = types.void(a, i, i, b, i, i, i, c, i, i, i)

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, kinds = Writer(context, builder), signature.args
            a, b, c = (w.pointer(kinds[at], args[at], args[at + 1]) for at in (0, 3, 7))

            def step(i: Any, sums: list[Any]) -> list[Any]:
                left, right = _split(w, i, MR, args[2], LANES), _split(w, i, MR, args[5], LANES)
                values = [w.load(b, builder.add(right, INDEX(v * BLOCK))) for v in range(vectors)]
                news = []
                for m in range(MR):
                    factor = w.broadcast(a, builder.add(left, INDEX(m)))
                    news += [w.multiply_add(factor, values[v], sums[m * vectors + v]) for v in range(vectors)]
                return news
            sums = w.loop(args[6], MR * vectors, step)
            places = [w.offset(INDEX(v * 36 * LANES), args[9], m) for m in range(MR) for v in range(vectors)]
            w.store_or_add(sums, c, places, args[10])
            return context.get_dummy_value()
        return signature, write
    return tile


product1, product2, product3 = _make_product(1), _make_product(2), _make_product(3)
gradient1, gradient2, gradient3 = _make_gradient(1), _make_gradient(2), _make_gradient(3)


@compiled
def panels(vectors):
    """So many vectors of columns in panels of 3 at most, alike in size: -> how many."""
    return (vectors + 2) // 3


@compiled
def panel(vectors, p):
    """-> the first vector of panel p, and how many it has."""
    count = (vectors + 2) // 3
    each, more = vectors // count, vectors % count
    return p * each + min(p, more), each + (1 if p < more else 0)


@compiled
def multiply(v, v0, blocks, deep, k, u, u0, vectors, m, m0, wide, add):
    """m (blocks of tiles, vectors of columns) = or += v u, k rows of a panel; deep, wide: channel blocks of v and m."""
    for frequency in range(36):
        b, place = u0 + frequency * DEEP * PANEL, m0 + frequency * PIECE
        for t in range(blocks):
            a, c = v0 + t * deep * BLOCK + frequency * PIECE, place + t * wide * BLOCK
            if vectors == 3:
                product3(v, a, u, b, k, m, c, add)
            elif vectors == 2:
                product2(v, a, u, b, k, m, c, add)
            else:
                product1(v, a, u, b, k, m, c, add)


@compiled
def multiply_turned(z, z0, high, v, v0, deep, tiles, rows, vectors, du, du0, pitch, add):
    """du (rows LANES, vectors LANES) = or += z^T v over so many tiles; du: a row of LANES-blocks of 36 vectors each."""
    for frequency in range(36):
        for r in range(0, rows * LANES, MR):
            a = z0 + r // LANES * BLOCK + frequency * PIECE + r % LANES
            c = du0 + r * pitch + frequency * LANES
            for p in range(panels(vectors)):
                first, count = panel(vectors, p)
                b, place = v0 + first * BLOCK + frequency * PIECE, c + first * 36 * LANES
                if count == 3:
                    gradient3(z, a, high * BLOCK, v, b, deep * BLOCK, tiles, du, place, pitch, add)
                elif count == 2:
                    gradient2(z, a, high * BLOCK, v, b, deep * BLOCK, tiles, du, place, pitch, add)
                else:
                    gradient1(z, a, high * BLOCK, v, b, deep * BLOCK, tiles, du, place, pitch, add)
