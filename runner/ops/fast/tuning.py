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
