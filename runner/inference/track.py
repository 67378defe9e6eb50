"""Detections of consecutive images with the ids of their tracks."""
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from runner.detection.tracking import NO_TRACK, Tracker
from runner.inference.detect import THRESHOLD, ImageDetections

LOW = 0.1       # lowest confidence of a box that continues a track, where the threshold is higher


def track(results: Iterable[ImageDetections], *, thresh: float = THRESHOLD, low: float = LOW,
          keep_frames: int = 30) -> Iterator[ImageDetections]:
    """Yield the results of `detect` for consecutive images, the frames of a video for instance, each detection with
    the id of its track: the same object has the same `track`, from 1, in all images.

    thresh       lowest confidence of a detection that begins a track
    low          lowest confidence of one that continues a track: detect with this threshold.  Other detections below
                 `thresh` are left out
    keep_frames  for how many images an object that is not detected is remembered

    An object has an id from its second image on; in the first image all have one.  The method: ByteTrack
    (runner/detection/tracking.py).  UsageError unless 0 <= low <= thresh <= 1.
    """
    return _track(results, Tracker(high=thresh, low=low, keep_frames=keep_frames))


def _track(results: Iterable[ImageDetections], tracker: Tracker) -> Iterator[ImageDetections]:
    for result in results:
        boxes = np.array([one.box for one in result.detections], np.float64).reshape(-1, 4)
        ids = tracker.update(boxes, result.confidences, result.classes).tolist()
        yield replace(result, detections=tuple(
            replace(one, track=number if number != NO_TRACK else None)
            for one, number in zip(result.detections, ids, strict=True)
            if number != NO_TRACK or one.confidence >= tracker.high))
