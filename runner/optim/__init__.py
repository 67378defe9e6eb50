"""Weight updates: optimizers and learning-rate policies.  They hold their own state; layers hold none of it."""
from runner.optim.optimizers import Adam, Optimizer, Sgd, make_optimizer
from runner.optim.policy import rate_at

__all__ = ["Adam", "Optimizer", "Sgd", "make_optimizer", "rate_at"]
