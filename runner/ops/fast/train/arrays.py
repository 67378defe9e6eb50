"""What the kernels of this folder take: the test that every public function begins with."""
import numpy as np

f4 = np.float32


def is_contiguous_float32(*arrays: np.ndarray) -> bool:
    """Are these arrays float32, and C-contiguous?"""
    for array in arrays:
        if array.dtype != f4 or not array.flags.c_contiguous:
            return False
    return True


def is_supported(*arrays: np.ndarray) -> bool:
    """Are these contiguous float32 arrays, and none of them empty?  Others go to the reference."""
    return is_contiguous_float32(*arrays) and all(array.size for array in arrays)
