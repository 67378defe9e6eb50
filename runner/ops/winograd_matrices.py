"""The matrices of Winograd's convolution F(4x4, 3x3) (Lavin & Gray 2016; points 0, 1, -1, 2, -2, infinity).

A tile of 4 x 4 outputs depends on 6 x 6 inputs d.  With filters g (3, 3) it is

    A^T [(G g G^T) * (B^T d B)] A

where * multiplies value by value: 36 multiplications where the plain sum has 144.
"""
import numpy as np

TILE = 4                    # rows and columns of an output tile
IN_TILE = 6                 # and of the inputs it depends on
POINTS = IN_TILE ** 2       # products of a tile
TAPS = 3                    # rows and columns of a filter

B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])

# the same along rows and columns at once, on flattened tiles
INPUT_TRANSFORM, FILTER_TRANSFORM, OUTPUT_TRANSFORM = (     # (36, 36), (36, 9), (16, 36)
    np.kron(matrix, matrix) for matrix in (B_T, G, A_T))


def tile_grid(out: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of tiles that cover an output of (oh, ow)."""
    return -(-out[0] // TILE), -(-out[1] // TILE)


def useful_share(out: tuple[int, ...]) -> float:
    """The share of the tiles' outputs that are inside an output of (oh, ow): the rest is computed in vain."""
    rows, columns = tile_grid(out)
    return out[0] * out[1] / (rows * columns * TILE ** 2)
