"""Streams that OpenCV opens: RTSP, video over HTTP, USB cameras and clips."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from edge.camera.credentials import Address
from edge.camera.library_output import LibraryOutput
from edge.camera.settings import CameraSettings
from edge.camera.stream import Description, Mark
from edge.errors import CameraError
from edge.types import U8

_FALLBACK_FPS = 25.0
_KEYFRAME = ord("I")
_LONGEST_STEP_S = 5.0
_ASK_S = 1.0
_REOPEN_S = 5.0
_LONGEST_REOPEN_S = 3600.0


class VideoStream:
    """One ``cv2.VideoCapture``; a clip is played at its own pace, like a camera."""

    pulled = False

    def __init__(self, settings: CameraSettings, address: Address) -> None:
        self._settings = settings
        self._address = address
        self._kind = settings.kind
        self._clip = self._kind == "file"
        self._started_s: float | None = None
        self._frames = 0
        self._output = LibraryOutput()
        self._errors = 0
        self._asked_s = begun_s = time.monotonic()
        self._capture = self._open()
        if not self._capture.isOpened():
            late = time.monotonic() - begun_s >= 0.8 * settings.open_deadline_s
            raise CameraError(
                f"no answer within {settings.open_deadline_s:g} s"
                if late
                else self._output.explain(address)
            )
        self._coded_wh = self._newest_wh = self._output.take().coded_wh
        self._opened_s = time.monotonic()
        self._is_new = True
        self._suspected = False
        self._patience_s = _REOPEN_S

    def grab(self) -> bool:
        """As in ``Stream``."""
        if not self._capture.grab():
            if not (self._clip and self._settings.loop and self._frames):
                return False
            self._reopen()
            if not self._capture.grab():
                return False
        self._frames += 1
        if time.monotonic() - self._asked_s >= _ASK_S:
            self._hear()
        if self._clip:
            self._wait_for_pace()
        elif self._is_other_size() and time.monotonic() - self._opened_s >= self._patience_s:
            self._follow_size()
        return True

    def retrieve(self) -> U8:
        """As in ``Stream``."""
        done, image = self._capture.retrieve()
        if not done or image is None or not image.size:
            raise CameraError("a frame cannot be decoded")
        if image.ndim == 2 or image.shape[2] == 1:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return np.asarray(image, dtype=np.uint8)

    def mark(self) -> Mark:
        """As in ``Stream``."""
        keyframe = int(self._capture.get(cv2.CAP_PROP_FRAME_TYPE)) == _KEYFRAME
        stamp_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        known = self._kind in ("rtsp", "http") and math.isfinite(stamp_s) and stamp_s > 0
        return Mark(keyframe, stamp_s if known else None)

    def describe(self) -> Description:
        """As in ``Stream``."""
        four = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        hardware = int(self._capture.get(cv2.CAP_PROP_HW_ACCELERATION))
        decoder = self._capture.getBackendName().lower()
        return Description(
            codec="".join(chr(b) for b in four.to_bytes(4, "little") if 32 < b < 127),
            transport=self._settings.transport if self._kind == "rtsp" else "",
            decoder=f"{decoder}, hardware {hardware}" if hardware > 0 else decoder,
            errors=self._errors,
        )

    def close(self) -> None:
        """As in ``Stream``."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        settings = self._settings
        if settings.decoder.startswith("gstreamer:"):
            if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
                raise CameraError("this OpenCV is built without GStreamer; set decoder to auto")
            pipeline = settings.decoder.partition(":")[2]
            return cv2.VideoCapture(
                pipeline.replace("{url}", self._address.with_login()), cv2.CAP_GSTREAMER
            )
        if self._kind == "usb":
            return open_usb(self._address.bare, settings.size)
        self._set_ffmpeg_options()
        hardware = cv2.VIDEO_ACCELERATION_ANY if settings.decoder == "auto" else 0
        parameters = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(settings.open_deadline_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(settings.read_deadline_s * 1000)),
            *(cv2.CAP_PROP_HW_ACCELERATION, hardware),
            # frame threads hold back one frame each
            *(cv2.CAP_PROP_N_THREADS, 1),
        ]
        source = _clip_path(self._address.bare) if self._clip else self._address.with_login()
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, parameters)

    def _set_ffmpeg_options(self) -> None:
        settings = self._settings
        options = []
        if self._kind == "rtsp":
            # the frame rate is not needed, and to learn it FFmpeg would watch for seconds; what it
            # has watched is kept (no fflags;nobuffer): the first key frame is among it
            options += [f"rtsp_transport;{settings.transport}", "fpsprobesize;0"]
        if settings.decoder.startswith("ffmpeg:"):
            options.append(settings.decoder.partition(":")[2])
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "|".join(options)

    def _reopen(self) -> None:
        self._capture.release()
        self._capture = self._open()
        self._started_s = None

    def _hear(self) -> None:
        """Read what FFmpeg said; it piles up in memory otherwise."""
        self._asked_s = time.monotonic()
        said = self._output.take()
        self._errors += said.errors
        self._newest_wh = said.coded_wh or self._newest_wh
        # the first format is that of the stream as it was opened
        self._suspected |= said.formats > 0 and not self._is_new
        self._is_new = False

    def _is_other_size(self) -> bool:
        """Whether the size has changed, or may have where the decoder names none (H.265)."""
        return self._suspected if self._newest_wh is None else self._newest_wh != self._coded_wh

    def _follow_size(self) -> None:
        """OpenCV scales all frames to the size of the first, so a new size needs a new start.

        A camera that changes something else again and again is asked less and less often.
        """
        before = self._size_wh()
        self._reopen()
        self._opened_s = time.monotonic()
        self._coded_wh = self._newest_wh = self._output.take().coded_wh or self._newest_wh
        self._is_new, self._suspected = True, False
        if not self._capture.grab():
            raise CameraError("the stream changed its resolution and cannot be opened again")
        in_vain = self._size_wh() == before
        self._patience_s = min(2 * self._patience_s, _LONGEST_REOPEN_S) if in_vain else _REOPEN_S

    def _size_wh(self) -> tuple[float, float]:
        get = self._capture.get
        return get(cv2.CAP_PROP_FRAME_WIDTH), get(cv2.CAP_PROP_FRAME_HEIGHT)

    def _wait_for_pace(self) -> None:
        now_s = time.monotonic()
        at_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if self._started_s is None or not math.isfinite(at_s):
            self._started_s = now_s - (at_s if math.isfinite(at_s) else 0.0)
            return
        ahead_s = self._started_s + at_s - now_s
        if not -_LONGEST_STEP_S < ahead_s < _LONGEST_STEP_S:
            self._started_s = now_s - at_s
        elif ahead_s > 0:
            time.sleep(ahead_s)


def open_usb(name: str, size_wh: tuple[int, int] | None) -> cv2.VideoCapture:
    """A V4L2 camera by number or path, in the size that is nearest to ``size_wh``.

    Raises:
        CameraError: there is none, or it may not be used.
    """
    path = Path(f"/dev/video{name}" if name.isdigit() else name)
    if not path.exists():
        raise CameraError(f"{path}: no such camera")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(f"{path}: no permission (is the user in the group 'video'?)")
    capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    if size_wh is not None:
        # uncompressed, USB 2 carries large pictures a few times a second only
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size_wh[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size_wh[1])
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _clip_path(name: str) -> str:
    path = Path(unquote(urlsplit(name).path) if name.startswith("file://") else name)
    if not path.is_file():
        raise CameraError(f"{path}: no such clip")
    return str(path.absolute())
