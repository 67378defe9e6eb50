"""Weight updates: optimizers and learning-rate policies.  They hold their own state; layers hold none of it."""
from runner.optim.average import Average
from runner.optim.optimizers import Adam, Optimizer, Sgd
from runner.optim.policy import rate_at
from runner.optim.rules import make_optimizer, state_arrays

__all__ = ["Adam", "Average", "Optimizer", "Sgd", "make_optimizer", "rate_at", "state_arrays"]
