"""Reports: one HTML file that shows a run, or several side by side, and needs nothing else."""
from runner.training.report.compare import Compared, compare, compare_page
from runner.training.report.run_report import write_report

__all__ = ["Compared", "compare", "compare_page", "write_report"]
