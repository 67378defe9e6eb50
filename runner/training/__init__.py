"""Training: the loop, the kinds of job it serves, and what is kept of a run."""
from runner.training.boxes import BoxMetrics, BoxRules
from runner.training.control import Control
from runner.training.evaluate import ClassMetrics, evaluate
from runner.training.jobs import Asked, Job, Metrics, Table, open_job
from runner.training.loop import Step, train
from runner.training.run import Run, Update
from runner.training.run_folder import RunFolder

__all__ = ["Asked", "BoxMetrics", "BoxRules", "ClassMetrics", "Control", "Job", "Metrics", "Run", "RunFolder", "Step",
           "Table", "Update", "evaluate", "open_job", "train"]
