"""What the kernels of this folder take: the one test that every public function begins with."""
import numpy as np

f4 = np.float32


def is_supported(*arrays: np.ndarray) -> bool:
    """Are these contiguous float32 arrays that are not empty?  Others go to the reference."""
    for array in arrays:
        if array.dtype != f4 or not array.size or not array.flags.c_contiguous:
            return False
    return True
