"""Real streams from a real server, which dies, changes its mind, and asks for passwords."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.health import CameraState
from edge.camera.process import CaptureProcess
from edge.camera.settings import CameraSettings
from tests.streams import (
    SYSTEM_PYTHON,
    RtspServer,
    rtsp_server,
    wait_for,
    write_noisy_clip,
)

USER, PASSWORD = "shelf cam", "hunter2@/:x"
Open = Callable[..., CaptureProcess]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_clip(tmp_path_factory.mktemp("rtsp") / "shelf.avi")


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[RtspServer]:
    mjpeg = f"/mjpeg=clip:{clip}:mjpeg:10:10"
    with rtsp_server(*mounts_of("h264", clip), mjpeg) as running:
        yield running


@pytest.fixture(scope="module")
def server_of_h265(clip: Path) -> Iterator[RtspServer]:
    skip_without_element("x265enc")
    with rtsp_server(*mounts_of("h265", clip)) as running:
        yield running


def mounts_of(codec: str, clip: Path) -> list[str]:
    """The clip, and one whose size changes every six seconds."""
    large = write_noisy_clip(clip.with_name("large.avi"), frames=60)
    small = write_noisy_clip(clip.with_name("small.avi"), frames=60, size_wh=(160, 120))
    return [f"/{codec}=clip:{clip}:{codec}:10:10", f"/steps=clip:{small}+{large}:{codec}:10:10"]


def skip_without_element(name: str) -> None:
    """Skip where the system's GStreamer lacks an element."""
    code = (
        "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None)\n"
        f"raise SystemExit(Gst.ElementFactory.find({name!r}) is None)"
    )
    try:
        found = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, check=False)
    except OSError:
        pytest.skip(f"no {SYSTEM_PYTHON} for GStreamer")
    if found.returncode:
        pytest.skip(f"GStreamer has no {name} here")


def serving(request: pytest.FixtureRequest, codec: str) -> RtspServer:
    """The server that has a codec, started when it is first needed."""
    server: RtspServer = request.getfixturevalue("server_of_h265" if codec == "h265" else "server")
    return server


@pytest.fixture(scope="module")
def locked(clip: Path) -> Iterator[RtspServer]:
    with rtsp_server(f"/h264=clip:{clip}:h264:10", login=f"{USER}:{PASSWORD}") as running:
        yield running


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(url: str, **changes: Any) -> CaptureProcess:
            quick = {"id": "a", "url": url, "backoff_min_s": 0.05, "backoff_max_s": 0.5, "fps": 5}
            settings = CameraSettings.model_validate(quick | changes)
            capture = CaptureProcess(settings, directory=tmp_path)
            stack.callback(capture.stop)
            return capture

        yield make


@pytest.mark.parametrize(("sent", "codec"), [("h264", "h264"), ("h265", "hevc"), ("mjpeg", "mjpg")])
def test_a_stream_is_shown_as_it_was_sent(
    opened: Open, request: pytest.FixtureRequest, sent: str, codec: str
) -> None:
    capture = opened(serving(request, sent).url(f"/{sent}"))
    health = wait_for(capture, lambda h: h.handed_on >= 6)
    assert health.state == CameraState.LIVE
    frame = capture.latest()
    assert frame is not None
    assert frame.image.shape == (240, 320, 3)
    red = np.all(np.abs(frame.image.astype(int) - (255, 0, 0)) < 60, axis=2)
    assert red.sum() > 200, "the disc is red"
    info = capture.info
    assert info is not None
    assert (info.codec.lower(), info.transport) == (codec, "tcp")
    assert 0 < info.opened_s <= info.first_frame_s


def test_udp_works_where_it_is_asked_for(opened: Open, server: RtspServer) -> None:
    capture = opened(server.url("/h264"), transport="udp")
    wait_for(capture, CameraState.LIVE)
    assert capture.info is not None
    assert capture.info.transport == "udp"


def test_only_the_frames_of_the_target_rate_are_handed_on(opened: Open, server: RtspServer) -> None:
    capture = opened(server.url("/h264"), fps=2)
    start = wait_for(capture, CameraState.LIVE)
    begun_s = time.monotonic()
    health = wait_for(capture, lambda h: h.handed_on >= start.handed_on + 5)
    elapsed_s = time.monotonic() - begun_s
    assert elapsed_s > 1.5
    assert health.received - start.received > 2 * (health.handed_on - start.handed_on)


def test_key_frames_are_known(opened: Open, server: RtspServer) -> None:
    capture = opened(server.url("/h264"), fps=10)
    wait_for(capture, lambda h: capture.info is not None and capture.info.keyframe_s > 0)
    assert capture.info is not None
    assert capture.info.keyframe_s == pytest.approx(1.0, abs=0.7)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_change_of_resolution_is_followed(
    opened: Open, request: pytest.FixtureRequest, codec: str
) -> None:
    capture = opened(serving(request, codec).url("/steps"), fps=15)
    seen: set[tuple[int, int]] = set()

    def both(_: object) -> bool:
        frame = capture.latest()
        if frame is not None:
            seen.add(frame.full_wh)
            assert frame.image.shape[1::-1] == frame.full_wh
        return len(seen) == 2

    health = wait_for(capture, both)
    assert seen == {(320, 240), (160, 120)}
    assert health.failures == 0


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_a_server_that_is_killed_and_comes_back(opened: Open, clip: Path, rounds: int) -> None:
    with rtsp_server(f"/a=clip:{clip}:h264:10:10") as server:
        capture = opened(server.url("/a"), read_deadline_s=3)
        last = 0
        descriptors = 0
        for number in range(rounds):
            wait_for(capture, CameraState.LIVE)
            frame = capture.latest(newer_than=last)
            assert frame is not None
            assert frame.index > last
            last = frame.index
            server.kill()
            health = wait_for(capture, CameraState.DOWN)
            assert health.reason
            begun_s = time.monotonic()
            server.start()
            started_s = time.monotonic() - begun_s
            health = wait_for(capture, CameraState.LIVE)
            print(
                f"round {number}: server {started_s:.1f} s, live after"
                f" {time.monotonic() - begun_s - started_s:.1f} s more, {health.failures} failures"
            )
            now = len(list(Path("/proc/self/fd").iterdir()))
            descriptors = descriptors or now
            assert now <= descriptors
        assert health.failures >= rounds


def test_a_server_that_hangs_is_left_and_found_again(opened: Open, clip: Path) -> None:
    with rtsp_server(f"/a=clip:{clip}:h264:10:10") as server:
        capture = opened(server.url("/a"), read_deadline_s=2, open_deadline_s=3)
        wait_for(capture, CameraState.LIVE)
        server.hang()
        wait_for(capture, CameraState.STALLED)
        health = wait_for(capture, CameraState.DOWN)
        assert health.reason == "no picture for 2 s"
        health = wait_for(capture, lambda h: h.failures >= 2)
        assert health.state == CameraState.DOWN
        server.hang(hang=False)
        wait_for(capture, CameraState.LIVE)


def login(monkeypatch: pytest.MonkeyPatch, password: str) -> str:
    monkeypatch.setenv("CAM_USER", USER)
    monkeypatch.setenv("CAM_PASSWORD", password)
    return "${CAM_USER}:${CAM_PASSWORD}"


def texts_of(pid: int) -> str:
    """What every user of the machine can read of a process."""
    return (
        Path(f"/proc/{pid}/cmdline").read_bytes().decode() + Path(f"/proc/{pid}/comm").read_text()
    )


def test_the_right_password_opens_and_is_never_seen(
    opened: Open,
    locked: RtspServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    capture = opened(locked.url("/h264", login(monkeypatch, PASSWORD)))
    health = wait_for(capture, CameraState.LIVE)
    assert health.pid is not None
    seen = texts_of(health.pid) + str(health) + str(capture.info) + caplog.text
    seen += repr(capture.settings)
    assert "edge.camera.capture" in seen
    assert "hunter2" not in seen
    assert b"hunter2" not in capture.segment.read_bytes()[:8192]


def test_a_wrong_password_is_said_and_never_seen(
    opened: Open,
    locked: RtspServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    capture = opened(locked.url("/h264", login(monkeypatch, "wrong-hunter2")))
    health = wait_for(capture, CameraState.DOWN)
    assert health.reason == "user or password is wrong or missing (401)"
    assert "hunter2" not in str(health) + caplog.text
    assert b"hunter2" not in capture.segment.read_bytes()[:8192]


def test_a_login_from_a_file_opens(opened: Open, locked: RtspServer, tmp_path: Path) -> None:
    path = tmp_path / "login"
    path.write_text(f"{USER}:{PASSWORD}\n")
    path.chmod(0o600)
    wait_for(opened(locked.url("/h264"), credentials_file=str(path)), CameraState.LIVE)


def test_an_absent_stream_is_said(opened: Open, server: RtspServer) -> None:
    health = wait_for(opened(server.url("/nothing")), CameraState.DOWN)
    assert health.reason == "the host has no such stream (404)"
