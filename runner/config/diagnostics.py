"""The errors and warnings of a cfg, collected so that all are reported together."""
from runner.errors import CfgError
from runner.reading.numbers import is_whole, whole

MOST = 100              # errors, and as many warnings, that are reported one by one; the others are counted
LONGEST = 1000          # characters of a sentence; a value of the file may have any length


class Report:
    """Collects errors and warnings, `file:line: [section] ...`, while a cfg is read.

    errors    the network cannot be built
    warnings  what was ignored, and why
    count, warning_count    how many there are, with those beyond MOST
    strict    an unknown option is an error even when it does not resemble a known one
    training  False: the network will not be trained, so warnings about its training are left out
    """

    def __init__(self, strict: bool = False, training: bool = True):
        self.strict, self.training = strict, training
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.count = 0
        self.warning_count = 0

    @property
    def is_full(self) -> bool:
        """There are MOST errors: a further one is only counted, so that no words need to be looked for."""
        return self.count >= MOST

    def error(self, sentence: str) -> None:
        self.count = _add(self.errors, self.count, sentence, "errors")

    def warn(self, sentence: str) -> None:
        self.warning_count = _add(self.warnings, self.warning_count, sentence, "warnings")

    def warn_training(self, sentence: str) -> None:
        """A warning about how the network is trained, not about what it computes."""
        if self.training:
            self.warn(sentence)

    def raise_errors(self) -> None:
        """Raise CfgError with all errors so far, in the order of the file; do nothing if there are none."""
        if self.errors:
            raise CfgError(*sorted(self.errors[:MOST], key=_line_number), *self.errors[MOST:])


def _add(sentences: list[str], count: int, sentence: str, what: str) -> int:
    """Add a sentence to a list that holds `count` so far -> the new count.  Beyond MOST, the last entry counts."""
    sentence = cut(sentence)
    if sentence in sentences:
        return count
    sentences[MOST:] = [f"... and {count + 1 - MOST:,} more {what}"] if count >= MOST else []
    if count < MOST:
        sentences.append(sentence)
    return count + 1


def cut(sentence: str, longest: int = LONGEST) -> str:
    """The sentence; of one that is too long, beginning and end."""
    if len(sentence) <= longest:
        return sentence
    head, tail = longest * 2 // 3, longest // 3
    return f"{sentence[:head]} ... ({len(sentence) - head - tail:,} characters left out) ... {sentence[-tail:]}"


def _line_number(sentence: str) -> int:
    head = sentence.split(": [")[0].rstrip(":")
    number = head.rpartition(":")[2].split(":")[0]
    return whole(number) if is_whole(number) else 0
