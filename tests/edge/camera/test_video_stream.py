"""What needs no camera. Streams and clips as they are: test_rtsp.py, test_process.py."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import pytest

from edge.camera import video_stream
from edge.camera.credentials import Address
from edge.camera.library_output import Said
from edge.camera.settings import CameraSettings
from edge.camera.video_stream import VideoStream, open_usb
from edge.errors import CameraError


class Recorder:
    """Stands for ``cv2.VideoCapture`` on a machine without cameras."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.set_to: dict[int, float] = {}

    def set(self, key: int, value: float) -> bool:
        self.set_to[key] = value
        return True


def test_a_usb_camera_is_asked_for_its_size_in_a_form_that_fits_through_usb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "video7"
    device.touch()
    monkeypatch.setattr(cv2, "VideoCapture", Recorder)
    capture = open_usb(str(device), (1920, 1080))
    assert isinstance(capture, Recorder)
    assert capture.arguments == (str(device), cv2.CAP_V4L2)
    assert list(capture.set_to)[:3] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
    ], "the size counts for the format that is set at that time"
    assert capture.set_to[cv2.CAP_PROP_FRAME_WIDTH] == 1920
    plain = open_usb(str(device), None)
    assert isinstance(plain, Recorder)
    assert set(plain.set_to) == {cv2.CAP_PROP_BUFFERSIZE}


def test_a_number_stands_for_a_device() -> None:
    with pytest.raises(CameraError, match="/dev/video93: no such camera"):
        open_usb("93", None)


def test_a_camera_that_may_not_be_used_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "video7"
    device.touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(CameraError, match="is the user in the group 'video'"):
        open_usb(str(device), None)


class Feed:
    """Stands for OpenCV, FFmpeg's messages and the clock: a stream whose decoder starts anew every
    ten seconds, though its size changes at ``changes_at_s`` only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes_at_s: float) -> None:
        self.now_s = 0.0
        self.changes_at_s = changes_at_s
        self.opened_s: list[float] = []
        monkeypatch.setattr("edge.camera.video_stream.time.monotonic", lambda: self.now_s)
        monkeypatch.setattr(video_stream, "LibraryOutput", lambda: self)
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: self.opened())

    def opened(self) -> Feed:
        self.opened_s.append(self.now_s)
        return self

    def take(self) -> Said:
        return Said(0, None, formats=int(self.now_s % 10 == 0))

    def get(self, _key: int) -> float:
        return 320.0 if self.opened_s[-1] >= self.changes_at_s else 160.0

    def isOpened(self) -> bool:
        return True

    def grab(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing to let go."""


def test_a_decoder_that_starts_anew_for_nothing_is_believed_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = Feed(monkeypatch, changes_at_s=100.0)
    settings = CameraSettings(id="a", url="rtsp://10.0.0.5/live")
    stream = VideoStream(settings, Address("rtsp://10.0.0.5/live"))
    while feed.now_s < 600:
        feed.now_s += 1
        assert stream.grab()
    waited = [b - a for a, b in itertools.pairwise(feed.opened_s)]
    in_vain = [s for s, at in zip(waited, feed.opened_s[1:], strict=True) if at < 100]
    assert in_vain == sorted(in_vain)
    assert in_vain[-1] >= 40
    after = feed.opened_s.index(next(at for at in feed.opened_s if at >= 100))
    assert waited[after] <= 20, "a change that was one is followed soon again"
