"""What a plan does beside its convolutions: kernels of its program (kernels.py)."""
import numpy as np

from runner.ops import planned as reference
from runner.ops.fast import kernels
from runner.ops.fast.scalar import CODES
from runner.ops.planned import Run
from runner.ops.pool import Pair


def plan_add(activation: str) -> Run:
    slow = reference.plan_add(activation)
    return kernels.Add(activation, slow) if activation in CODES else slow


def plan_avgpool() -> Run:
    return kernels.Mean(reference.plan_avgpool())


def plan_logistic(curved: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> Run:
    return kernels.Logistic(curved, factors, offsets, reference.plan_logistic(curved, factors, offsets))


def plan_maxpool2d(size: int, stride: Pair, padding: int) -> Run:
    return kernels.Maxpool(size, stride, padding, reference.plan_maxpool2d(size, stride, padding))


def plan_softmax(groups: int, temperature: float) -> Run:
    return kernels.Softmax(groups, temperature, reference.plan_softmax(groups, temperature))


def plan_upsample(stride: int, scale: float) -> Run:
    slow = reference.plan_upsample(stride, scale)
    return kernels.Upsample(stride, slow) if scale == 1 else slow
