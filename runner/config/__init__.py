"""The cfg language: text -> sections (grammar), sections -> typed options (options), --set (overrides)."""
from runner.config.diagnostics import Report
from runner.config.differences import differences
from runner.config.grammar import Line, Section, parse, read, write
from runner.config.options import Options, by_layer, ignored, opt
from runner.config.overrides import override

__all__ = ["Line", "Options", "Report", "Section", "by_layer", "differences", "ignored", "opt", "override", "parse",
           "read", "write"]
