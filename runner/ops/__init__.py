"""Pure functions on arrays: what layers compute.  They know no option, no weight file and no graph.

Layers call them as `ops.name(...)`, never `from runner.ops import name`, so that `use` can replace a function by
a faster one of the same name.

There are two backends: "numpy", these files, and "fast", the same names compiled with numba (runner/ops/fast).  One
backend serves the whole process.  Choosing it is optional: the first network that is built takes "auto", which is
"fast" where numba is installed.  `use` chooses a backend, `backend` names the one in use.
"""
import importlib
import importlib.util
import inspect

from runner.errors import MissingExtra, UsageError
from runner.ops.activation import (
    ACTIVATION_ALIASES,
    ACTIVATIONS,
    FOREIGN_ACTIVATIONS,
    activate,
    activate_backward,
    logistic,
    signs,
)
from runner.ops.box import BOX_GRADIENTS, box_gradient, box_rmse, ciou, diou, diounms, giou, iou
from runner.ops.conv import conv2d, conv2d_backward, conv2d_transpose, conv2d_transpose_backward, conv2d_workspace
from runner.ops.dense import dense, dense_input_gradient, dense_weight_gradient
from runner.ops.fused import (
    batchnorm_activate,
    batchnorm_activate_backward,
    bias_activate,
    bias_activate_backward,
    sum_activate,
)
from runner.ops.image import crop, distort, resize, rotate_crop
from runner.ops.loss import LOSSES, MASKED, loss, objective
from runner.ops.lstm import lstm_cell, lstm_cell_backward
from runner.ops.norm import (
    add_bias,
    batchnorm_backward,
    batchnorm_inference,
    batchnorm_train,
    bias_gradient,
    lrn,
    lrn_backward,
    lrn_window,
)
from runner.ops.optimizer import adam_update, bind_adam, bind_finite, bind_sgd, sgd_update
from runner.ops.planned import (
    plan_add,
    plan_avgpool,
    plan_conv2d,
    plan_dense,
    plan_logistic,
    plan_maxpool2d,
    plan_softmax,
    plan_upsample,
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
    channel_shuffle,
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
from runner.ops.windows import count_windows

REFERENCE = {name: f for name, f in globals().items() if inspect.isfunction(f)}

BACKENDS = ("auto", "numpy", "fast")

__all__ = ["ACTIVATIONS", "ACTIVATION_ALIASES", "BACKENDS", "BOX_GRADIENTS", "FOREIGN_ACTIVATIONS", "LOSSES",
           "MASKED", "REFERENCE", *REFERENCE, "backend", "choose_default_backend", "kernels", "use"]

_in_use = ""        # the backend; "" until one is chosen


def use(choice: str | None = None) -> None:
    """Choose the backend of this process.

    "fast"    compiled with numba; raises MissingExtra where numba is not installed
    "numpy"   the readable one; None means the same
    "auto"    "fast" where numba is installed and works, else "numpy"
    a module  by its dotted name: those of its functions that have the name of an op, whose signature they must have
    """
    global _in_use
    if choice == "auto":
        try:
            use("fast")
        except MissingExtra:
            use("numpy")
        return
    globals().update(REFERENCE)
    if choice in (None, "numpy"):
        _in_use = "numpy"
    elif choice == "fast":
        _install(_compiled())
        _in_use = "fast"
    elif "." in str(choice) or importlib.util.find_spec(str(choice)):
        _install(vars(importlib.import_module(str(choice))))
        _in_use = str(choice)
    else:
        raise UsageError(f"the backend must be one of {', '.join(BACKENDS)}, or the name of a module. Got {choice!r}")


def choose_default_backend() -> None:
    """Choose "auto" unless a backend is chosen already; a network does so before it makes its first array."""
    if not _in_use:
        use("auto")


def backend() -> str:
    """The backend in use: "numpy", "fast" or a module's name; "numpy" until one is chosen."""
    return _in_use or "numpy"


kernels = backend       # its former name


def _compiled() -> dict:
    try:
        importlib.import_module("numba")
    except ImportError as error:        # not installed, or installed and refusing to work with this NumPy
        if importlib.util.find_spec("numba") is None:
            raise MissingExtra("numba", "the backend 'fast'", "fast") from None
        raise MissingExtra("numba", f"the backend 'fast' ({error})", "fast") from error
    return vars(importlib.import_module("runner.ops.fast"))


def _install(functions: dict) -> None:
    for name, f in functions.items():
        if name in REFERENCE and inspect.isfunction(f):
            if inspect.signature(f) != inspect.signature(REFERENCE[name]):
                raise TypeError(f"{f.__module__}.{name} has another signature than ops.{name}")
            globals()[name] = f
