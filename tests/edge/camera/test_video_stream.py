"""USB cameras, as far as that goes without one. Streams and clips: test_rtsp.py, test_process.py."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from edge.camera.video_stream import open_usb
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
