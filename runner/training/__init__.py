"""Training: the loop, the kinds of job it serves, and what is kept of a run."""
from runner.run_folder import RunFolder
from runner.training.classification_metrics import ClassMetrics, evaluate
from runner.training.control import Control
from runner.training.detection_metrics import BoxMetrics, BoxRules
from runner.training.loop import Step, train
from runner.training.run import Run, Update
from runner.training.tasks import Asked, Job, Metrics, Table, open_job

__all__ = ["Asked", "BoxMetrics", "BoxRules", "ClassMetrics", "Control", "Job", "Metrics", "Run", "RunFolder", "Step",
           "Table", "Update", "evaluate", "open_job", "train"]
