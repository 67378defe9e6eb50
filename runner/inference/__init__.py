"""Networks with fixed weights: the inference plan, and what is done with it, a module for each.

classify.infer  detect.detect  generate.generate    (not imported here: a package attribute `detect` would hide the
                                                     module of that name)
"""
from runner.inference.plan import Plan, batch_size

__all__ = ["Plan", "batch_size"]
