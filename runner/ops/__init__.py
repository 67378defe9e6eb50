"""Pure functions on arrays: what layers compute.  They know no option, no weight file and no graph.

Layers call them as `ops.name(...)`, never `from runner.ops import name`, so that `use` can put a faster function
behind the same name.
"""
import importlib
import inspect

from runner.ops.activation import ACTIVATIONS, activate, activate_backward, logistic, signs
from runner.ops.box import BOX_GRADIENTS, box_gradient, box_rmse, ciou, diou, diounms, giou, iou
from runner.ops.cell import lstm_cell, lstm_cell_backward
from runner.ops.conv import conv2d, conv2d_backward, conv2d_transpose, conv2d_transpose_backward
from runner.ops.dense import dense, dense_backward
from runner.ops.loss import LOSSES, MASKED, loss, objective
from runner.ops.norm import (
    add_bias,
    batchnorm_backward,
    batchnorm_inference,
    batchnorm_train,
    bias_gradient,
    lrn,
    lrn_backward,
)
from runner.ops.pool import (
    avgpool,
    avgpool_backward,
    local_avgpool2d,
    local_avgpool2d_backward,
    maxpool2d,
    maxpool2d_backward,
    maxpool_depth,
    maxpool_depth_backward,
)
from runner.ops.resample import (
    channels_first,
    channels_last,
    depth_to_space,
    downsample,
    downsample_backward,
    reorg,
    reorg_inverse,
    space_to_depth,
    upsample,
    upsample_backward,
)
from runner.ops.softmax import (
    binary_cross_entropy,
    cross_entropy,
    softmax,
    softmax_backward,
    softmax_spatial,
    softmax_tree,
)

REFERENCE = {name: f for name, f in globals().items() if inspect.isfunction(f)}

__all__ = ["ACTIVATIONS", "BOX_GRADIENTS", "LOSSES", "MASKED", "REFERENCE", *REFERENCE, "use"]


def use(module: str | None = None) -> None:
    """Put the functions of a module behind the same names; None: the reference ones again."""
    globals().update(REFERENCE)
    if module is None:
        return
    for name, f in vars(importlib.import_module(module)).items():
        if name in REFERENCE and inspect.isfunction(f):
            if inspect.signature(f) != inspect.signature(REFERENCE[name]):
                raise TypeError(f"{module}.{name} does not take what ops.{name} takes")
            globals()[name] = f
