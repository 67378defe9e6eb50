"""Tracking: which boxes of consecutive frames are the same object  (ByteTrack, Zhang et al. 2022, arXiv:2110.06864).

A Kalman filter with constant velocity predicts the box of every track in the next frame.  Boxes with a high confidence
are matched with the tracks first, by IoU; boxes with a low confidence, as a partly hidden object has, are then matched
with the tracks that are left.  An unmatched box of high confidence begins a track, which is confirmed by a second box
in the next frame; a track without a box is lost, and removed after a number of frames.

States of a track: new -> tracked <-> lost -> removed; and new -> removed.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner import ops
from runner.errors import UsageError

NEW, TRACKED, LOST, REMOVED = "new", "tracked", "lost", "removed"
FIRST_IOU, SECOND_IOU, NEW_IOU = 0.2, 0.5, 0.3      # lowest IoU of a match: high confidence, low confidence, new tracks
SAME_IOU = 0.85         # a lost and a tracked object that overlap more are one
POSITION_STD, VELOCITY_STD = 1 / 20, 1 / 160        # of the box size, per frame: ByteTrack's, and DeepSORT's before
NO_TRACK = 0            # the id of a box without a confirmed track
Assignment = Callable[[np.ndarray, float], "list[tuple[int, int]]"]


def hungarian_assignment(cost: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """The pairs (row, column) of cost (n, m) whose sum of limit - cost is largest; all cost at most `limit`.

    ImportError without SciPy.
    """
    from scipy.optimize import linear_sum_assignment
    # a pair above the limit counts as no pair, so it costs the same as the limit
    rows, columns = linear_sum_assignment(np.minimum(cost, limit))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if cost[row, column] <= limit]


def greedy_assignment(cost: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of cost (n, m), one by one the pair of lowest cost of those left; none above `limit`."""
    pairs = []
    used_rows, used_columns = set[int](), set[int]()
    rows, columns = np.nonzero(cost <= limit)
    for at in np.argsort(cost[rows, columns], kind="stable").tolist():
        row, column = int(rows[at]), int(columns[at])
        if row not in used_rows and column not in used_columns:
            pairs.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return sorted(pairs)


def has_hungarian() -> bool:
    """Whether SciPy, the optional requirements-track.txt, is installed."""
    try:
        import scipy.optimize  # noqa: F401
    except ImportError:
        return False
    return True


class KalmanBox:
    """Kalman filter of one box (centre x, y, w, h), with constant velocity: the state is the box and its velocity.

    The noise is proportional to the size of the box and independent for the four values, so the filter is four
    filters of two values.  (The state with w and h instead of aspect ratio and h: BoT-SORT, arXiv:2206.14651.)

    mean  (2, 4) box, and its velocity per frame
    cov   (4, 2, 2) covariance of each value and its velocity
    """

    def __init__(self, box: np.ndarray):
        self.mean = np.stack([np.asarray(box, np.float64), np.zeros(4)])
        size = self._size()
        self.cov = np.zeros((4, 2, 2))
        self.cov[:, 0, 0] = (2 * POSITION_STD * size) ** 2
        self.cov[:, 1, 1] = (10 * VELOCITY_STD * size) ** 2

    @property
    def box(self) -> np.ndarray:
        """(4,) the estimated box."""
        return self.mean[0]

    def predict(self, moving: bool = True) -> None:
        """One frame on.  moving False: the size stays as it is, as of an object that is not seen."""
        if not moving:
            self.mean[1, 2:] = 0
        size = self._size()
        step = np.array([[1., 1.], [0., 1.]])
        self.mean[0] += self.mean[1]
        self.mean[0, 2:] = np.maximum(self.mean[0, 2:], 1e-12)      # a shrinking box does not turn inside out
        self.cov = step @ self.cov @ step.T
        self.cov[:, 0, 0] += (POSITION_STD * size) ** 2
        self.cov[:, 1, 1] += (VELOCITY_STD * size) ** 2

    def update(self, box: np.ndarray) -> None:
        """The box that was detected in this frame."""
        variance = self.cov[:, 0, 0] + (POSITION_STD * self._size()) ** 2
        gain = self.cov[:, :, 0] / variance[:, None]                # (4, 2)
        self.mean += (gain * (np.asarray(box, np.float64) - self.mean[0])[:, None]).T
        self.cov -= gain[:, :, None] * self.cov[:, None, 0, :]

    def _size(self) -> np.ndarray:
        """What the noise of each value is proportional to: w, h, w, h."""
        return np.tile(np.maximum(self.mean[0, 2:], 1e-12), 2)


@dataclass
class Track:
    """
    filter     of its box
    index      its class
    state      NEW, TRACKED, LOST or REMOVED
    id         from 1; NO_TRACK until it is confirmed
    first, last  frames of its first and last box, from 1
    """
    filter: KalmanBox
    index: int
    first: int
    last: int
    state: str = NEW
    id: int = NO_TRACK


@dataclass
class Tracker:
    """Tracks of one sequence of frames; `update` takes the boxes of each frame in turn.

    high         lowest confidence in the first matching, and of a new track
    low          lowest confidence in the second matching; boxes below it are ignored
    keep_frames  how many frames a lost track is kept
    assign       matches tracks with boxes; None: hungarian_assignment where SciPy is installed, else greedy_assignment

    Boxes are matched within their class.  UsageError unless 0 <= low <= high <= 1.
    """
    high: float = 0.25
    low: float = 0.1
    keep_frames: int = 30
    assign: Assignment | None = None
    frame: int = 0
    tracks: list[Track] = field(default_factory=list)
    _ids: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise UsageError(f"a tracker needs 0 <= low <= high <= 1. Got low={self.low:g}, high={self.high:g}")
        if self.keep_frames < 0:
            raise UsageError(f"keep_frames must be at least 0. Got {self.keep_frames}")
        if self.assign is None:
            self.assign = hungarian_assignment if has_hungarian() else greedy_assignment

    def update(self, boxes: np.ndarray, confidences: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """The boxes of the next frame -> the id of the track of each (n,) int64, NO_TRACK without a confirmed one.

        boxes        (n, 4) centre x, y, w, h in any unit, the same in all frames
        confidences  (n,)
        classes      (n,) class numbers
        """
        self.frame += 1
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        confidences, classes = np.asarray(confidences, np.float64), np.asarray(classes).astype(int)
        for track in self.tracks:
            track.filter.predict(moving=track.state == TRACKED)
        owner: list[Track | None] = [None] * len(boxes)
        high = np.flatnonzero(confidences >= self.high).tolist()
        low = np.flatnonzero((confidences < self.high) & (confidences >= self.low)).tolist()

        def match(tracks: Sequence[Track], candidates: list[int], least: float) -> list[int]:
            """Give boxes to tracks -> the candidates that are left."""
            for row, column in self._pairs(tracks, boxes[candidates], classes[candidates], least):
                box = candidates[column]
                owner[box] = tracks[row]
                self._found(tracks[row], boxes[box])
            return [box for box in candidates if owner[box] is None]

        def unmatched(*states: str) -> list[Track]:
            return [track for track in self.tracks if track.state in states and track.last < self.frame]
        high = match(unmatched(TRACKED, LOST), high, FIRST_IOU)
        match(unmatched(TRACKED), low, SECOND_IOU)
        high = match(unmatched(NEW), high, NEW_IOU)
        for track in unmatched(NEW):
            track.state = REMOVED
        for track in unmatched(TRACKED):
            track.state = LOST
        for box in high:
            owner[box] = self._begin(boxes[box], int(classes[box]))
        self._remove()
        return np.array([track.id if track else NO_TRACK for track in owner], np.int64)

    def _pairs(self, tracks: Sequence[Track], boxes: np.ndarray, classes: np.ndarray,
               least: float) -> list[tuple[int, int]]:
        if not tracks or not len(boxes):
            return []
        predicted = np.array([track.filter.box for track in tracks])
        cost = 1 - ops.iou(predicted[:, None], boxes[None])
        cost[np.array([track.index for track in tracks])[:, None] != classes] = 2       # of another class
        assert self.assign is not None
        return self.assign(cost, 1 - least)

    def _found(self, track: Track, box: np.ndarray) -> None:
        track.filter.update(box)
        track.last = self.frame
        if track.state == NEW:
            self._confirm(track)
        track.state = TRACKED

    def _begin(self, box: np.ndarray, index: int) -> Track:
        track = Track(KalmanBox(box), index, self.frame, self.frame)
        if self.frame == 1:         # nothing is known before: all boxes of the first frame are objects
            self._confirm(track)
            track.state = TRACKED
        self.tracks.append(track)
        return track

    def _confirm(self, track: Track) -> None:
        self._ids += 1
        track.id = self._ids

    def _remove(self) -> None:
        """Tracks lost for too long, and lost ones whose object has another track."""
        seen = [track for track in self.tracks if track.state == TRACKED]
        for track in self.tracks:
            if track.state == LOST and (self.frame - track.last > self.keep_frames or any(
                    other.index == track.index and ops.iou(other.filter.box, track.filter.box) > SAME_IOU
                    for other in seen)):
                track.state = REMOVED
        self.tracks = [track for track in self.tracks if track.state != REMOVED]


def mot_line(frame: int, track: int, corners: Sequence[float], confidence: float) -> str:
    """A line of a result file of MOTChallenge: frame, id, left, top, width, height, confidence, -1, -1, -1.

    corners: left, top, right, bottom in pixels from 0; frames, ids and pixels of the file are counted from 1.
    """
    left, top, right, bottom = corners
    values: list[Any] = [frame, track, *(f"{value:.2f}" for value in (left + 1, top + 1, right - left, bottom - top)),
                         f"{confidence:.6f}", -1, -1, -1]
    return ",".join(map(str, values))
