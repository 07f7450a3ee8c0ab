"""Video files: frames sampled by the clip's own clock."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.errors import CameraError
from edge.types import U8

FALLBACK_FPS = 25.0
"""Assumed where a container states neither timestamps nor a rate."""

_log = logging.getLogger(__name__)
# read once, when FFmpeg is first used in the process: its chatter on stderr names no file
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame of a clip: ``bgr (H, W, 3) uint8``, its number, and seconds since the first."""

    bgr: U8
    number: int
    at_s: float


def sample_clip(path: Path, name: str, every_s: float) -> Iterator[Sample]:
    """Yield the first frame and then one frame each ``every_s`` seconds of the clip.

    Frames between are skipped without being converted. Time is the container's timestamps; where
    these do not advance, the frame number over its rate.

    Raises:
        CameraError: the clip cannot be opened, has no frame, or breaks off early (after the frames
            before that were given out).
    """
    capture = _open(path, name)
    try:
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        declared = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = fps if math.isfinite(fps) and 0 < fps <= 1000 else 0.0
        clock = _Clock(rate, name)
        number, due_s, last_s = 0, 0.0, 0.0
        while capture.grab():
            last_s = clock.seconds(number, float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000)
            if last_s >= due_s - 1e-6:
                done, image = capture.retrieve()
                if done and image is not None and image.size:
                    yield Sample(_three_channels(image), number, last_s)
                    due_s += every_s * (math.floor((last_s - due_s) / every_s + 1e-6) + 1)
            number += 1
        if number == 0:
            raise CameraError(f"{name}: the clip has no frames")
        # counts are estimates in some containers: only a large gap, in frames and in time, tells
        if rate and number < 0.8 * declared and last_s < 0.8 * declared / rate:
            raise CameraError(f"{name}: the clip breaks off after frame {number} of {declared:.0f}")
    finally:
        capture.release()


def frame_at(path: Path, name: str, number: int) -> U8:
    """Frame ``number`` of a clip as ``(H, W, 3) uint8`` BGR; CameraError where there is none."""
    capture = _open(path, name)
    try:
        for _ in range(number + 1):  # seeking lands on another frame in some containers
            if not capture.grab():
                raise CameraError(f"{name}: the clip has no frame {number}")
        done, image = capture.retrieve()
        if not done or image is None:
            raise CameraError(f"{name}: frame {number} cannot be decoded")
        return _three_channels(image)
    finally:
        capture.release()


def clip_length(path: Path, name: str) -> tuple[float, float]:
    """Frames and seconds that a clip states (0 where unknown)."""
    capture = _open(path, name)
    try:
        frames = max(0.0, float(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        return frames, frames / fps if math.isfinite(fps) and fps > 0 else 0.0
    finally:
        capture.release()


class _Clock:
    """Seconds since the first frame, from timestamps while they advance, else from the rate."""

    def __init__(self, rate: float, name: str) -> None:
        self._rate = rate
        self._name = name
        self._first_s = 0.0
        self._last_s = -1.0
        self._stamped = True

    def seconds(self, number: int, stamp_s: float) -> float:
        if number == 0:
            self._first_s = stamp_s if math.isfinite(stamp_s) else 0.0
            self._last_s = 0.0
            return 0.0
        at_s = stamp_s - self._first_s
        if self._stamped and not (math.isfinite(at_s) and at_s > self._last_s):
            self._stamped = False
            if not self._rate:
                _log.warning(
                    "%s: no timestamps and no frame rate, taking %g a second",
                    self._name,
                    FALLBACK_FPS,
                )
        if not self._stamped:
            at_s = max(self._last_s, number / (self._rate or FALLBACK_FPS))
        self._last_s = at_s
        return at_s


def _open(path: Path, name: str) -> cv2.VideoCapture:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # absolute, so that FFmpeg takes no part of the name for a protocol; no other backend, because
    # some take a name for a pattern of pictures
    full = str(path.absolute())
    try:
        full.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CameraError(f"{name}: the clip's name is not UTF-8, rename it") from error
    capture = cv2.VideoCapture(full, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise CameraError(f"{name}: the clip cannot be opened, it is damaged or has no frames")
    return capture


def _three_channels(image: np.ndarray) -> U8:
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.asarray(image, dtype=np.uint8)
