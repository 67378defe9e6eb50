"""The kernels of runner/ops compiled with numba: same names, same signatures, the same numbers but for rounding.

A kernel that lacks a case (float64, a rare activation, a fork's formula) calls the reference.  What the reference
saves for backward is what these save, so either backward takes it.
"""
from runner.ops.fast.infer.operators import (
    plan_add,
    plan_avgpool,
    plan_logistic,
    plan_maxpool2d,
    plan_softmax,
    plan_upsample,
)
from runner.ops.fast.planned import plan_conv2d, plan_dense
from runner.ops.fast.train.activation import activate, activate_backward
from runner.ops.fast.train.conv import (
    conv2d,
    conv2d_backward,
    conv2d_transpose,
    conv2d_transpose_backward,
    conv2d_workspace,
)
from runner.ops.fast.train.dense import dense, dense_input_gradient, dense_weight_gradient
from runner.ops.fast.train.fused import (
    batchnorm_activate,
    batchnorm_activate_backward,
    bias_activate,
    bias_activate_backward,
    sum_activate,
)
from runner.ops.fast.train.image import crop, distort, resize, rotate_crop
from runner.ops.fast.train.lstm import lstm_cell, lstm_cell_backward
from runner.ops.fast.train.optimizer import adam_update, bind_adam, bind_finite, bind_sgd, sgd_update
from runner.ops.fast.train.pool import avgpool, avgpool_backward, maxpool2d, maxpool2d_backward
from runner.ops.fast.train.resample import downsample, upsample, upsample_backward
from runner.ops.fast.train.softmax import softmax

__all__ = [
    "activate",
    "activate_backward",
    "adam_update",
    "avgpool",
    "avgpool_backward",
    "batchnorm_activate",
    "batchnorm_activate_backward",
    "bias_activate",
    "bias_activate_backward",
    "bind_adam",
    "bind_finite",
    "bind_sgd",
    "conv2d",
    "conv2d_backward",
    "conv2d_transpose",
    "conv2d_transpose_backward",
    "conv2d_workspace",
    "crop",
    "dense",
    "dense_input_gradient",
    "dense_weight_gradient",
    "distort",
    "downsample",
    "lstm_cell",
    "lstm_cell_backward",
    "maxpool2d",
    "maxpool2d_backward",
    "plan_add",
    "plan_avgpool",
    "plan_conv2d",
    "plan_dense",
    "plan_logistic",
    "plan_maxpool2d",
    "plan_softmax",
    "plan_upsample",
    "resize",
    "rotate_crop",
    "sgd_update",
    "softmax",
    "sum_activate",
    "upsample",
    "upsample_backward",
]
