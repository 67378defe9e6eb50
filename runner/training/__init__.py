"""Training: the loop, evaluation, and what is kept of a run."""
from runner.training.evaluate import Metrics, evaluate
from runner.training.loop import Step, train
from runner.training.run_folder import RunFolder

__all__ = ["Metrics", "RunFolder", "Step", "evaluate", "train"]
