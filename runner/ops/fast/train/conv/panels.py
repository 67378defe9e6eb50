"""How the vectors of a matrix's columns are split into panels of up to three, as many as a GEMM microkernel takes."""
from runner.ops.fast.jit import compiled

PANEL_VECTORS = 3       # of gemm_packed3 and gemm_strided3


@compiled
def panel_count(vectors):
    """Panels of at most PANEL_VECTORS vectors."""
    return (vectors + PANEL_VECTORS - 1) // PANEL_VECTORS


@compiled
def panel_range(vectors, p):
    """-> the first vector of panel p, and how many it has; panels differ by one vector at most."""
    count = panel_count(vectors)
    each, more = vectors // count, vectors % count
    return p * each + min(p, more), each + (1 if p < more else 0)
