"""The thresholds of the compiled backend, each once: what it decides, its unit, and where its value comes from.

"Since COMMIT" is the commit that introduced the value.  Those commits were compared as a whole, with `python -m bench`;
"no sweep" says that no measurement of this value by itself is on record.  A change needs one: `python -m bench` before
and after, figures in the commit message.
"""

# --- inference: programs on channel-blocked images -----------------------------------------------------------

# Values of the input that one part of a direct convolution reads, so that they stay in the cache of a core (256 KB).
# Since afc4a21; no sweep.
PLAN_STRIP_INPUTS = 1 << 16
# Transformed values (V and M) of a strip of Winograd's convolution: a megabyte, about the second-level cache.
# Since ac8908f, where training had it first; no sweep.
PLAN_WINOGRAD_STRIP = 1 << 18
# Channels times filters up to which Winograd's convolution goes strip by strip, because transforms cost more than
# products.  Since afc4a21; no sweep.
PLAN_WINOGRAD_STRIPS_WEIGHTS = 100 * 100
# With fewer tiles than MIN_TILES and more weights (channels times filters) than MAX_WEIGHTS the time is that of reading
# the weights, which Winograd's transform makes four times as large.  Since afc4a21; no sweep.
PLAN_WINOGRAD_MIN_TILES = 9
PLAN_WINOGRAD_MAX_WEIGHTS = 512 * 512
# Share of the computed outputs that must be inside the image: Winograd saves three multiplications of four, but its
# transforms take a part of that.  Since ac8908f, in training and inference; no sweep.
WINOGRAD_MIN_USEFUL = 0.5
# Parts of an instruction there should be at least, so that threads finish together.  Since afc4a21; no sweep.
PLAN_PARTS = 16
# Parts at most that the output channels of one of Winograd's 36 products are split into.  Since afc4a21; no sweep.
PLAN_WINOGRAD_SHARES = 4
# Input channels up to which a convolution reads a plain image: of a blocked one, most lanes of a register would be
# zeros.  Since afc4a21; no sweep.
PLAN_PLANAR_CHANNELS = 4
# Polls of a counter, a few microseconds, before a thread yields to the scheduler.  Since afc4a21; no sweep.
SPIN_LIMIT = 2000

# --- products of a few rows with a large matrix (simd/dot.py) ------------------------------------------------

# How far ahead `row_dots` prefetches, in vectors of a row of the matrix.  Since bdb6b46, where it was halved after
# timing a time step of the recurrent networks of `python -m bench`; the figures are not on record.
PREFETCH_VECTORS = 6
# How far ahead `row_sums` prefetches, in rows of the matrix.  Since bdb6b46, in the same way.
PREFETCH_ROWS = 4

# --- training: elementwise kernels -------------------------------------------------------------------------------

# Values that a kernel takes through all its steps at a time: 8 KB, a part of the first-level cache.  Since f7e3c09 for
# batch norm, the image kernels have used the same since; no sweep.
RUN = 2048
# Values of an array that an optimizer updates before the next array: 64 KB of weights, of gradients and of each state.
#  Since 315967c; no sweep.
UPDATE_PIECE = 1 << 14
# Simple operations that a value of an LSTM's state stands for where work is split among the threads: four gates with
# an exponential each.  Since a557da4; no sweep.
LSTM_VALUE_COST = 32

# --- training: products of fully connected and recurrent layers (train/dense.py) ------------------------------------

# Rows of x up to which y = x W^T reads W in place, and rows of dy up to which dx = dy W does: with more, packing W
# pays.  Both 64 since df5b251; fdde220 halved the first; no sweep.
DENSE_ROWS = 32
DENSE_GRADIENT_ROWS = 64
# Multiplications up to which one thread computes a product: it is done before another has woken up, which takes some 20
# microseconds.  Since df5b251; no sweep.
DENSE_ONE_THREAD = 1 << 21
# Values of W (512 KB) that stay in the cache of a core while all rows of x are multiplied with them.  Since df5b251; no
# sweep.
DENSE_CACHED_WEIGHTS = 1 << 17
# Rows of W whose columns are summed up in registers before the sums are stored.  Since df5b251; no sweep.
DENSE_SUM_ROWS = 32
# Terms of a sum between two stores where W is packed: a strip of DENSE_TERMS x 3 vectors is 24 KB.  Since df5b251; no
# sweep.
DENSE_TERMS = 128
# Strips of W that are packed together, so that its rows are read in long runs.  Since df5b251; no sweep.
DENSE_STRIPS = 6
# Panels of dy that a strip of x is multiplied with while it is in the cache.  Since fdde220, which halved it; no sweep.
DENSE_PANELS = 8
# How far ahead rows of W are prefetched before they are packed, in rows.  Since df5b251; no sweep.
DENSE_PREFETCH_ROWS = 8

# --- training: convolutions as implicit GEMM (train/conv/implicit_gemm.py) ------------------------------------------

# Rows of columns that im2col makes at a time.  Since 4d3f731; no sweep.
GEMM_ROWS = 256
# Columns of a block at least, where there are as many, and at most.  Since 4d3f731 and 276c721; no sweep.
GEMM_MIN_COLUMNS = 192
GEMM_MAX_COLUMNS = 3072
# Values of columns and results of a block, 256 KB, that should be in the cache of a core.  Since 276c721; no sweep.
GEMM_CACHE = 1 << 16
# Filters that a block of columns is multiplied with before it is made anew.  Since af5d620; no sweep.
GEMM_FILTERS = 512
# Panels of filters up to which a pointwise convolution reads the image in place: with more, its columns are read so
# often that copying them pays.  Since 320bc47; no sweep.
GEMM_DIRECT_PANELS = 3

# --- training: weight gradients (train/conv/wgrad.py) -----------------------------------------------------------------

# Rows of columns, and points of each, that im2col makes at a time for dot products.  Since db7d982; no sweep.
WGRAD_DOT_ROWS = 72
WGRAD_DOT_POINTS = 1536
# The same for products in tiles.  Since 276c721; no sweep.
WGRAD_GEMM_ROWS = 144
WGRAD_GEMM_POINTS = 512
# Parts at least that the sum over all points is cut into, whatever the number of threads.  Since 4d3f731; no sweep.
WGRAD_MIN_PARTS = 8

# --- training: data gradients at a stride (train/conv/dgrad_strided.py) -----------------------------------------------

# Points of dy in a block, and rows of columns that im2col makes at a time.  Since 320bc47, with the values of
# implicit_gemm.py; no sweep.
DGRAD_COLUMNS = 192
DGRAD_ROWS = 256
# Results of a block (512 KB), all phases together.  Since 320bc47; no sweep.
DGRAD_RESULTS = 1 << 17

# --- training: depthwise convolutions and small images ----------------------------------------------------------------

# Points that the lanes of a vector sum up separately, in float32, before the lanes are added.  Since 8590495; no sweep.
DEPTHWISE_SUM_LANES_AFTER = 4096
# Pairs of pixels of an output and weights of a tap (channels times filters) up to which one product for a group of
# images is the fastest algorithm.  Since 23b1869; no sweep.
SMALL_IMAGES: tuple[tuple[int, int], ...] = (5 * 5, 128 * 128), (16 * 16, 512)
# Images of such a group at most.  Since 23b1869; no sweep.
SMALL_GROUP_IMAGES = 16
# Values of columns of such a group: a megabyte.  Since 23b1869; no sweep.
SMALL_GROUP_COLUMNS = 1 << 18

# --- training: Winograd's convolution (train/conv/winograd.py) --------------------------------------------------------

# Channels and filters it needs at least: with fewer, blocks of channels are mostly zeros.  Since ac8908f; no sweep.
WINOGRAD_MIN_CHANNELS = 8
# Tiles it needs at least, of all images that share a product.  Since ac8908f; no sweep.
WINOGRAD_MIN_TILES = 24
# Channels times filters up to which an image goes through all steps strip by strip, because transforms cost more than
# products: forward and data gradient, and weight gradient.  Since ac8908f and fe188c7; no sweep.
WINOGRAD_STRIPS_WEIGHTS = 128 * 128
WGRAD_STRIPS_WEIGHTS = 64 * 64
# Values of V and of the results of a strip: a megabyte, about the second-level cache.  Since ac8908f; no sweep.
WINOGRAD_STRIP = 1 << 18
# Values of V of the images that go through the products together: 8 MB.  Since fe188c7; no sweep.
WINOGRAD_GROUP = 1 << 21
# Tiles that are multiplied with a block of U before it is made anew.  Since fe188c7; no sweep.
WINOGRAD_TILES_PER_U = 128
# Values of results whose sums are not complete: a megabyte.  Since fe188c7; no sweep.
WINOGRAD_RESULTS = 1 << 18
# Rows of U that are made at a time; a multiple of LANES.  Since fe188c7; no sweep.
WINOGRAD_U_ROWS = 32
# Blocks of channels that one task transforms at most.  Since fe188c7; no sweep.
WINOGRAD_TRANSFORM_BLOCKS = 4
# Blocks of filters and of channels whose weight gradient is summed up at a time.  Since fe188c7; no sweep.
WINOGRAD_WGRAD_BLOCKS = 4, 6
