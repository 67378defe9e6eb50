"""Frames of a video file or a camera, and video files of frames.  Needs OpenCV, the optional requirements-video.txt."""
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from runner.errors import DataError, MissingExtra
from runner.reading.numbers import is_whole, whole

SUFFIXES = frozenset(".mp4 .m4v .avi .mov .mkv .webm .mpg .mpeg .wmv".split())
CAMERA = "camera"       # the first one; camera:1 the second
RATE = 25.0             # frames per second where the source does not say


def is_video(source: str) -> bool:
    """Whether an argument names a video file or a camera."""
    return camera_number(source) is not None or Path(source).suffix.lower() in SUFFIXES


def camera_number(source: str) -> int | None:
    """camera -> 0, camera:2 -> 2, anything else None."""
    word, _, number = source.partition(":")
    return whole(number or "0") if word == CAMERA and is_whole(number or "0") else None


def opencv() -> Any:
    """The module cv2.  MissingExtra without it."""
    try:
        import cv2
    except ImportError:
        raise MissingExtra("opencv-python-headless", "reading videos and cameras", "video") from None
    return cv2


class Video:
    """Frames of a source in order: float32 (channels, height, width) in 0..1.  Close it, or use `with`.

    rate  frames per second
    """

    def __init__(self, source: str, channels: int = 3):
        if channels not in (1, 3):
            raise DataError(f"{source}: the images of a video have 3 channels, and channels={channels} needs images "
                            f"with {channels}")
        self.source, self.channels, self._cv2 = source, channels, opencv()
        camera = camera_number(source)
        if camera is None and not Path(source).is_file():
            raise DataError(f"{source}: there is no such file")
        self._capture = self._cv2.VideoCapture(source if camera is None else camera)
        if not self._capture.isOpened():
            raise DataError(f"{source}: there is no such camera, or it is in use" if camera is not None else
                            f"{source}: this is not a video that OpenCV can read")
        self.rate = float(self._capture.get(self._cv2.CAP_PROP_FPS)) or RATE

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            good, frame = self._capture.read()
            if not good:
                return
            yield _as_image(frame, self.channels)

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._capture.release()


def _as_image(frame: np.ndarray, channels: int) -> np.ndarray:
    """OpenCV's (h, w, 3) blue, green, red bytes -> (channels, h, w) floats; grey as in runner.images.decode."""
    blue, green, red = frame.transpose(2, 0, 1)
    if channels == 1:
        grey = (77 * red.astype(np.uint16) + 150 * green.astype(np.uint16) + 29 * blue.astype(np.uint16)) >> 8
        return (grey[None] / np.float32(255)).astype(np.float32)
    return np.stack([red, green, blue]) / np.float32(255)


class VideoWriter:
    """Writes images of one size to an .mp4 file; the first one sets the size.  Close it, or use `with`."""

    def __init__(self, target: str | Path, rate: float):
        self.target, self.rate, self._cv2 = Path(target), rate, opencv()
        self._writer: Any = None

    def write(self, image: Image.Image) -> None:
        if self._writer is None:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            code = self._cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = self._cv2.VideoWriter(str(self.target), code, self.rate, image.size)
            if not self._writer.isOpened():
                raise DataError(f"{self.target}: OpenCV cannot write this video")
        self._writer.write(np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1]))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.release()
