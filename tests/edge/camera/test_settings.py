from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.camera.settings import CameraSettings
from tests.conftest import ROOT


def settings(**changes: Any) -> CameraSettings:
    return CameraSettings.model_validate(
        {"id": "shelf-3", "url": "rtsp://10.0.0.5/live", **changes}
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("rtsp://10.0.0.5/live", "rtsp"),
        ("RTSPS://${USER}:${PASSWORD}@[fe80::1]:322/1", "rtsp"),
        ("http://cam/snap.jpg", "http"),
        ("https://cam/mjpeg?channel=1", "http"),
        ("0", "usb"),
        ("/dev/video2", "usb"),
        ("/dev/v4l/by-id/usb-046d-index0", "usb"),
        ("clips/monday.mp4", "file"),
        ("file:///srv/monday.mp4", "file"),
    ],
)
def test_the_url_says_what_it_is(url: str, kind: str) -> None:
    assert settings(url=url).kind == kind


def test_a_path_is_what_it_leads_to(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    assert settings(url=str(clip)).kind == "file"
    clip.touch()
    assert settings(url=str(clip)).kind == "file"
    # udev's links, and a link that an operator made, lead to a character device
    (tmp_path / "shelf-camera").symlink_to("/dev/null")
    assert settings(url=str(tmp_path / "shelf-camera")).kind == "usb"


def test_a_clip_in_shared_memory_is_no_usb_camera() -> None:
    assert settings(url="/dev/shm/shelf-edge-test-not-there.mp4").kind == "file"
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".mp4") as file:
        assert settings(url=file.name).kind == "file"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "rtsp://admin:hunter2@10.0.0.5/live"}, r"url.*\$\{NAME\}"),
        ({"url": "rtsp://admin@10.0.0.5/live"}, r"url.*\$\{NAME\}"),
        ({"url": "http://cam/snap.cgi?user=a&pwd=hunter2"}, r"url.*pwd.*\$\{NAME\}"),
        ({"url": "ftp://cam/x"}, r"ftp:// is not supported"),
        ({"url": "rtsp:///live"}, r"names no host"),
        ({"url": "rtsp://cam:port/live"}, r"malformed"),
        ({"id": "shelf 3"}, r"id"),
        ({"fps": 0}, r"fps.*greater than 0"),
        ({"roi": [[0, 0], [1, 1]]}, r"roi.*three or more corners"),
        ({"roi": [[0, 0], [1, 1], [0.5, 0.5]]}, r"roi.*enclose an area"),
        ({"masks": [[[0, 0], [0, 1], [1.5, 1]]]}, r"masks.*less than or equal to 1"),
        ({"masks": [[[0, 0], [0, 1]]]}, r"masks.*three or more corners"),
        ({"opening_hours": ["daily 8-20"]}, r"opening_hours.*not of the form"),
        ({"time_zone": "Europe/Atlantis"}, r"time_zone.*not a time zone"),
        ({"scale": "tiles@"}, r"scale.*one of auto"),
        ({"decoder": "ffmpeg:hwaccel"}, r"decoder.*one of auto"),
        ({"backoff_min_s": 9, "backoff_max_s": 3}, r"backoff_max_s must be at least"),
        ({"colour": "red"}, r"colour"),
    ],
)
def test_a_mistake_is_named_and_never_shown_with_its_password(
    changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**changes)
    text = " ".join(str(caught.value).split())
    assert "hunter2" not in text
    assert re.search(says, text), text


def test_hours_are_those_of_the_time_zone() -> None:
    berlin = settings(opening_hours=["mon-fri 08:00-20:00"], time_zone="Europe/Berlin")
    assert berlin.is_open(datetime(2026, 7, 1, 6, 30, tzinfo=UTC))
    assert not berlin.is_open(datetime(2026, 1, 7, 6, 30, tzinfo=UTC))
    assert settings().is_open(datetime(2026, 1, 4, 3, 0, tzinfo=UTC))


def test_settings_and_the_parent_load_no_opencv() -> None:
    code = (
        "import sys; import edge.camera.settings, edge.camera.process;"
        " assert not {'cv2', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
