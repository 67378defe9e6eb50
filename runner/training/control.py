"""How a run is controlled: when it measures, saves, and ends."""
import time
from dataclasses import dataclass

SAVE_EVERY = 300.0      # seconds of work a crash may cost


@dataclass(frozen=True)
class Control:
    """
    validate_every  updates between two measurements; None: a tenth of max_batches, at least 50
    save_updates    updates between two states; None: save_seconds decide
    save_seconds    the longest time between two states
    keep            how many of the numbered copies ([net] backup_every) are kept, the newest; 0: all
    patience        measurements without a better score after which the run ends; 0: it goes on
    seconds         after this time of work it ends; 0: it goes on
    """
    validate_every: int | None = None
    save_updates: int | None = None
    save_seconds: float = SAVE_EVERY
    keep: int = 0
    patience: int = 0
    seconds: float = 0.0

    def validates(self, update: int, total: int) -> bool:
        """Is the network measured after this update?  After the last one it is in any case, at the end."""
        every = self.validate_every or max(total // 10, 50)
        return update % every == 0 and update != total

    def saves(self, update: int, saved: float) -> bool:
        """Is the state due, which was saved at that time (time.perf_counter) before?"""
        if self.save_updates:
            return update % self.save_updates == 0
        return time.perf_counter() - saved > self.save_seconds
