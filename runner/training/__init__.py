"""Training: the loop, evaluation, and what is kept of a run."""
from runner.training.loop import Step, train

__all__ = ["Step", "train"]
