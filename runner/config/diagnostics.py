"""The errors and warnings of a cfg, collected so that all are reported together."""
from runner.errors import CfgError


class Report:
    """Collects errors and warnings, `file:line: [section] ...`, while a cfg is read.

    errors    the network cannot be built
    warnings  what was ignored, and why
    strict    an unknown option is an error even when it does not resemble a known one
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, sentence: str) -> None:
        if sentence not in self.errors:
            self.errors.append(sentence)

    def warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def raise_errors(self) -> None:
        """Raise CfgError with all errors so far, in the order of the file; do nothing if there are none."""
        if self.errors:
            raise CfgError(*sorted(self.errors, key=_line_number))


def _line_number(sentence: str) -> int:
    head = sentence.split(": [")[0].rstrip(":")
    number = head.rpartition(":")[2].split(":")[0]
    return int(number) if number.isdigit() else 0
