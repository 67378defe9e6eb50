"""When a run evaluates, saves and ends."""
import time
from dataclasses import dataclass

SAVE_EVERY = 300.0      # seconds of work that a crash may cost


@dataclass(frozen=True)
class Control:
    """
    validate_every  updates between two evaluations; None: a tenth of max_batches, at least 50
    save_updates    updates between two checkpoints; None: save_seconds decides
    save_seconds    maximum time between two checkpoints
    keep            how many of the newest numbered copies ([net] backup_every) are kept; 0: all
    patience        early stopping: the run ends after this many evaluations without a better score; 0: never
    seconds         the run ends after this much time; 0: no limit
    """
    validate_every: int | None = None
    save_updates: int | None = None
    save_seconds: float = SAVE_EVERY
    keep: int = 0
    patience: int = 0
    seconds: float = 0.0

    def evaluation_due(self, update: int, total: int) -> bool:
        """Whether to evaluate after this update.  Not after the last of `total`: a run evaluates when it finishes."""
        every = self.validate_every or max(total // 10, 50)
        return update % every == 0 and update != total

    def save_due(self, update: int, last_saved: float) -> bool:
        """Whether to write a checkpoint after this update; last_saved is a time of time.perf_counter."""
        if self.save_updates:
            return update % self.save_updates == 0
        return time.perf_counter() - last_saved > self.save_seconds
