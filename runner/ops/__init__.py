"""Pure functions on arrays.  Layers call them as `ops.name(...)`, never `from runner.ops import name`."""
from runner.ops.prov_a import *
from runner.ops.prov_b import *
