"""Tracks of synthetic sequences whose truth is known, the Kalman filter, and the assignments."""
import functools
import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from runner.detection.tracking import (
    LOST,
    NEW,
    NO_TRACK,
    TRACKED,
    Assignment,
    KalmanBox,
    Tracker,
    greedy_assignment,
    hungarian_assignment,
    mot_line,
)
from runner.errors import UsageError

ASSIGNMENTS = ["hungarian", "greedy"]
SIDE = 20.


def assignment(name: str) -> Assignment:
    if name == "greedy":
        return greedy_assignment
    pytest.importorskip("scipy")
    return hungarian_assignment


@dataclass
class Seen:
    """An object in one frame: who it is, its box, and the confidence of its detection; None: not detected."""
    who: str
    box: tuple[float, float, float, float]
    confidence: float | None = .9
    index: int = 0


@dataclass
class Score:
    mota: float
    idf1: float
    switches: int
    false_boxes: int
    missed: int


def track(frames: list[list[Seen]], tracker: Tracker) -> list[dict[str, int]]:
    """For each frame, the id of each object that was detected."""
    found = []
    for frame in frames:
        seen = [one for one in frame if one.confidence is not None]
        ids = tracker.update(np.array([one.box for one in seen]).reshape(-1, 4),
                             np.array([one.confidence for one in seen]), np.array([one.index for one in seen]))
        found.append({one.who: int(number) for one, number in zip(seen, ids, strict=True)})
    return found


def score(frames: list[list[Seen]], found: list[dict[str, int]]) -> Score:
    """MOTA and IDF1, with "-..." as boxes on no object; every object that is there counts, detected or not.

    MOTA = 1 - (missed + false + switches) / objects (Bernardin and Stiefelhagen 2008).  IDF1 = 2 IDTP / (objects +
    boxes), with the one-to-one relation of objects and ids that has the most IDTP (Ristani et al. 2016).
    """
    objects = missed = false_boxes = switches = boxes = 0
    last: dict[str, int] = {}
    together: Counter[tuple[str, int]] = Counter()
    for frame, ids in zip(frames, found, strict=True):
        for one in frame:
            number = ids.get(one.who, NO_TRACK)
            boxes += number != NO_TRACK
            if one.who.startswith("-"):
                false_boxes += number != NO_TRACK
                continue
            objects += 1
            if number == NO_TRACK:
                missed += 1
                continue
            switches += last.get(one.who, number) != number
            last[one.who] = number
            together[one.who, number] += 1
    who, numbers = sorted({name for name, _ in together}), sorted({number for _, number in together})

    @functools.cache
    def most(first: int, used: frozenset[int]) -> int:
        """The most IDTP of the objects from the first on, with the ids that are not used."""
        if first == len(who):
            return 0
        return max([most(first + 1, used), *(together[who[first], number] + most(first + 1, used | {number})
                                             for number in numbers if (who[first], number) in together
                                             and number not in used)])
    best = most(0, frozenset())
    return Score(1 - (missed + false_boxes + switches) / objects, 2 * best / (objects + boxes), switches, false_boxes,
                 missed)


def at(x: float, y: float, side: float = SIDE) -> tuple[float, float, float, float]:
    return x, y, side, side


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_objects_that_cross(name: str) -> None:
    """Two pass each other, one above: their boxes overlap in the middle."""
    frames = [[Seen("a", at(20 + 3 * t, 50)), Seen("b", at(140 - 3 * t, 58))] for t in range(41)]
    result = score(frames, track(frames, Tracker(assign=assignment(name))))
    assert result == Score(1, 1, 0, 0, 0)


@pytest.mark.parametrize("name", ASSIGNMENTS)
@pytest.mark.parametrize("hidden, kept", [(5, True), (30, True), (32, False)])
def test_an_object_that_is_hidden(name: str, hidden: int, kept: bool) -> None:
    """It moves on behind something for some frames; it is the same afterwards, up to `keep_frames`."""
    frames = [[Seen("a", at(20 + 2 * t, 50), None if 15 <= t < 15 + hidden else .9)] for t in range(30 + hidden)]
    result = score(frames, track(frames, Tracker(assign=assignment(name))))
    assert result.switches == (not kept)
    # a new track has no id in its first frame
    assert result.missed == hidden + (not kept)


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_low_confidence_continues_a_track_but_does_not_begin_one(name: str) -> None:
    frames = [[Seen("a", at(20 + 2 * t, 50), .15 if 10 <= t < 50 else .9), Seen("-dirt", at(300, 300), .15),
               Seen("-noise", at(200, 100), .05)] for t in range(60)]
    found = track(frames, Tracker(assign=assignment(name)))
    assert score(frames, found) == Score(1, 1, 0, 0, 0)
    # without the second matching, the track ends
    without = track(frames, Tracker(low=.25, assign=assignment(name)))
    assert score(frames, without).missed == 41 and score(frames, without).switches == 1


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_births_and_deaths(name: str) -> None:
    frames = [[Seen("a", at(20 + 2 * t, 50)) for _ in range(t < 30)]
              + [Seen("b", at(400, 20 + 3 * t)) for _ in range(t >= 10)]
              + [Seen("c", at(20 + 2 * (t - 62), 50)) for _ in range(t >= 62)] for t in range(80)]
    tracker = Tracker(assign=assignment(name))
    found = track(frames, tracker)
    result = score(frames, found)
    assert (result.switches, result.false_boxes, result.missed) == (0, 0, 2), "b and c in their first frames"
    assert {found[5]["a"], found[40]["b"], found[70]["c"]} == {1, 2, 3}
    assert [one.state for one in tracker.tracks] == [TRACKED, TRACKED], "a is removed"


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_boxes_that_flicker_get_no_id(name: str) -> None:
    """A false box is in every third frame: it is never confirmed."""
    frames = [[Seen("a", at(50, 50)), *([Seen("-flicker", at(200, 50))] if t % 3 == 1 else [])] for t in range(30)]
    tracker = Tracker(assign=assignment(name))
    assert score(frames, track(frames, tracker)) == Score(1, 1, 0, 0, 0)
    assert len(tracker.tracks) == 1


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_a_crowd_with_noise(name: str) -> None:
    """Nine objects on straight lines, with detections that are shifted, missing or of low confidence."""
    rng = np.random.default_rng(0)
    starts, speeds = rng.uniform(0, 400, (9, 2)), rng.uniform(-3, 3, (9, 2))
    frames = []
    for t in range(60):
        u = rng.random(9)
        frames.append([Seen(str(k), (*(starts[k] + speeds[k] * t + rng.normal(0, .7, 2)).tolist(), 30., 40.),
                            None if u[k] < .05 else .2 if u[k] < .15 else .9) for k in range(9)])
    result = score(frames, track(frames, Tracker(assign=assignment(name))))
    nothing = sum(one.confidence is None for frame in frames for one in frame)
    assert result.mota > .93 and result.missed <= nothing + 5 and result.switches <= 1 and result.idf1 > .95


def test_classes_do_not_mix() -> None:
    """Two objects of different classes at the same place; then one changes its class, and is another track."""
    frames = [[Seen("a", at(50 + t, 50)), Seen("b", at(52 + t, 50), index=1)] for t in range(10)]
    assert score(frames, track(frames, Tracker())) == Score(1, 1, 0, 0, 0)
    changed = [[Seen("a", at(50, 50), index=int(t >= 5))] for t in range(10)]
    assert [ids["a"] for ids in track(changed, Tracker())] == [1, 1, 1, 1, 1, 0, 2, 2, 2, 2]


def test_states() -> None:
    tracker = Tracker(keep_frames=2)

    def states(*boxes: tuple[float, float, float, float]) -> list[str]:
        tracker.update(np.array(boxes).reshape(-1, 4), np.full(len(boxes), .9), np.zeros(len(boxes), int))
        return [one.state for one in tracker.tracks]
    assert states(at(0, 0)) == [TRACKED]
    assert states(at(0, 0), at(90, 0)) == [TRACKED, NEW]
    assert states(at(90, 0)) == [LOST, TRACKED]
    assert states(at(90, 0)) == [LOST, TRACKED]
    assert states() == [LOST], "the first is removed"
    assert [one.id for one in tracker.tracks] == [2]


def test_the_unit_of_boxes_does_not_matter() -> None:
    frames = [[Seen("a", at(20 + 3 * t, 50)), Seen("b", at(140 - 3 * t, 60))] for t in range(41)]
    small = [[Seen(one.who, tuple(value / 640 for value in one.box)) for one in frame]  # type: ignore[arg-type]
             for frame in frames]
    assert track(frames, Tracker()) == track(small, Tracker())


def test_the_filter_learns_a_velocity() -> None:
    """As the general matrix form of a Kalman filter, and the velocity of the truth in the end."""
    rng = np.random.default_rng(1)
    own = KalmanBox(np.array([10., 20, 30, 40]))
    mean = np.array([10., 20, 30, 40, 0, 0, 0, 0])
    size = np.array([30., 40, 30, 40])
    cov = np.diag(np.concatenate([size / 10, size / 16]) ** 2)
    forward, observe = np.eye(8) + np.eye(8, k=4), np.eye(4, 8)
    for t in range(1, 40):
        size = np.tile(mean[2:4], 2)
        mean = forward @ mean
        cov = forward @ cov @ forward.T + np.diag(np.concatenate([size / 20, size / 160]) ** 2)
        box = np.array([10 + 2. * t, 20 - t, 30, 40 + .5 * t]) + rng.normal(0, .1, 4)
        noise = np.diag((np.tile(mean[2:4], 2) / 20) ** 2)
        gain = cov @ observe.T @ np.linalg.inv(observe @ cov @ observe.T + noise)
        mean, cov = mean + gain @ (box - observe @ mean), cov - gain @ observe @ cov
        own.predict()
        own.update(box)
        np.testing.assert_allclose(own.mean.ravel(), mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(own.mean[1], [2, -1, 0, .5], atol=.1)


def test_a_shrinking_box_stays_a_box() -> None:
    box = KalmanBox(np.array([0., 0, 10, 10]))
    for side in (8, 5, 2):
        box.predict()
        box.update(np.array([0., 0, side, side]))
    for _ in range(30):
        box.predict()
        assert (box.box[2:] > 0).all() and np.isfinite(box.cov).all()


def test_assignments_compared_with_every_possibility() -> None:
    """The Hungarian one has the largest sum of limit - cost; the greedy one never a larger, and takes the best pair."""
    rng = np.random.default_rng(2)

    def gain(pairs: list[tuple[int, int]], cost: np.ndarray) -> float:
        return sum(.8 - cost[pair] for pair in pairs)
    for rows, columns in itertools.product(range(1, 5), repeat=2):
        cost = rng.random((rows, columns))
        best = max(gain([(r, c) for r, c in enumerate(chosen) if c < columns and cost[r, c] <= .8], cost)
                   for chosen in itertools.permutations(range(columns + rows), rows))
        greedy = greedy_assignment(cost, .8)
        assert gain(greedy, cost) <= best + 1e-12
        assert (np.unravel_index(cost.argmin(), cost.shape) in greedy) == (cost.min() <= .8)
        assert len({r for r, _ in greedy}) == len({c for _, c in greedy}) == len(greedy)
        pytest.importorskip("scipy")
        assert gain(hungarian_assignment(cost, .8), cost) == pytest.approx(best)


def test_where_the_assignments_differ() -> None:
    """The best pair alone is not the best assignment."""
    cost = np.array([[.1, .2], [.15, .9]])
    assert greedy_assignment(cost, .8) == [(0, 0)]
    pytest.importorskip("scipy")
    assert hungarian_assignment(cost, .8) == [(0, 1), (1, 0)]


def test_mistakes() -> None:
    with pytest.raises(UsageError, match="0 <= low <= high <= 1"):
        Tracker(high=.1, low=.2)
    with pytest.raises(UsageError, match="keep_frames must be at least 0"):
        Tracker(keep_frames=-1)


def test_empty_frames() -> None:
    tracker = Tracker()
    for _ in range(3):
        assert tracker.update(np.zeros((0, 4)), np.zeros(0), np.zeros(0)).shape == (0,)


def test_a_line_of_motchallenge_counts_from_one() -> None:
    assert mot_line(1, 3, (0, 10.5, 20, 40), .875) == "1,3,1.00,11.50,20.00,29.50,0.875000,-1,-1,-1"
