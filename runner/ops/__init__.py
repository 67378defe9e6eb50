"""Pure functions on arrays.  Layers call them as `ops.name(...)`, never `from runner.ops import name`."""
