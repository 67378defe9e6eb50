"""What the processor offers: the width of its vector registers, and the tile sizes that follow from it.

Everything in this folder is compiled for the processor it runs on, so these are constants of a process.
"""
import platform

from llvmlite import binding

_FEATURES = binding.get_host_cpu_features()
_ARM64 = platform.machine() in ("arm64", "aarch64")

IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
HAS_AVX512 = bool(_FEATURES.get("avx512f"))
HAS_FMA = HAS_AVX512 or bool(_FEATURES.get("fma")) or _ARM64
LANES = 16 if HAS_AVX512 else 8             # float32 values in a vector
MR = 8 if HAS_AVX512 or _ARM64 else 4       # rows of a GEMM tile: MR x 3 vectors of sums fit the registers
DOT_ROWS, DOT_COLUMNS = (4, 6) if HAS_AVX512 else (3, 3)    # of a tile of dot products
TAP_VECTORS = 4                             # vectors of sums `accumulate_taps` keeps in registers
FLOAT_BYTES = 4
VECTOR_BYTES = FLOAT_BYTES * LANES

# tiles of the direct convolution (direct.py): pixels x vectors of channels that fit the registers
MAX_VECTORS = 4 if HAS_AVX512 else 2        # of a pixel
MAX_PIXELS = 14 if HAS_AVX512 else 6        # with one or two vectors each, consecutive in memory
MAX_PIXELS_STRIDED = 8 if HAS_AVX512 else 6     # the same, apart: each pixel needs an address
MAX_PIXELS_4_VECTORS = 6                    # with four vectors each
