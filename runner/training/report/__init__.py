"""Reports: a run, or a comparison of several, as one self-contained HTML file."""
from runner.training.report.compare import Comparison, compare, compare_page
from runner.training.report.run_report import write_report

__all__ = ["Comparison", "compare", "compare_page", "write_report"]
