"""Training: the loop, the tasks it trains, their evaluation, and the folder of a run."""
from runner.run_folder import RunFolder
from runner.training.classification_metrics import ClassificationMetrics, evaluate
from runner.training.control import Control
from runner.training.detection_metrics import DetectionCriteria, DetectionMetrics
from runner.training.loop import Step, train
from runner.training.run import Run, Update
from runner.training.tasks import Metrics, Table, Task, TaskOptions, open_task

__all__ = [
           "ClassificationMetrics",
           "Control",
           "DetectionCriteria",
           "DetectionMetrics",
           "Metrics",
           "Run",
           "RunFolder",
           "Step",
           "Table",
           "Task",
           "TaskOptions",
           "Update",
           "evaluate",
           "open_task",
           "train",
]
