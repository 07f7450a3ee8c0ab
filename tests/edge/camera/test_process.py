from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.clock import Clock
from edge.camera.health import CameraState
from edge.camera.mapping import Mapping
from edge.camera.process import CaptureProcess
from edge.camera.settings import CameraSettings
from edge.camera.shared_frame import FrameReader
from edge.camera.status import read_status
from tests.conftest import ROOT
from tests.edge.camera.pictures import encode, noise
from tests.streams import (
    PATIENCE_S,
    closed_port,
    gone,
    http_server,
    kill_hard,
    silent_server,
    wait_for,
    write_clip_of,
    write_noisy_clip,
)

Open = Callable[..., CaptureProcess]


def phase_of(mapping: Mapping) -> str:
    status = read_status(mapping)
    return status.report.phase if status else ""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_clip(tmp_path_factory.mktemp("clip") / "shelf.avi")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Makes captures with short pauses, and stops them at the end."""
    with ExitStack() as stack:

        def make(
            url: object, *, clock: Clock | None = None, jitter: Any = None, **changes: Any
        ) -> CaptureProcess:
            quick = {"id": "a", "url": str(url), "backoff_min_s": 0.05, "backoff_max_s": 0.2}
            capture = CaptureProcess(
                CameraSettings.model_validate(quick | changes),
                directory=tmp_path,
                clock=clock or Clock(),
                **({"jitter": jitter} if jitter else {}),
            )
            stack.callback(capture.stop)
            return capture

        yield make


def test_a_clip_is_played_like_a_camera(opened: Open, clip: Path) -> None:
    capture = opened(clip, fps=5)
    assert capture.latest() is None
    assert capture.poll().state == CameraState.STARTING
    health = wait_for(capture, lambda h: h.handed_on >= 8)
    assert (health.state, health.reason, health.failures) == (CameraState.LIVE, "", 0)
    assert (health.width, health.height) == (320, 240)
    assert health.received > health.handed_on
    assert 5 < health.fps < 12
    frame = capture.latest()
    assert frame is not None
    assert frame.image.shape == (240, 320, 3)
    assert frame.age_s(time.monotonic_ns()) < 5
    assert abs(frame.captured_at - datetime.now(UTC)) < timedelta(seconds=5)
    red = np.all(np.abs(frame.image.astype(int) - (255, 0, 0)) < 40, axis=2)
    assert red.sum() > 300, "the disc is red in RGB"


def test_a_clip_that_is_not_to_be_repeated_ends(opened: Open, clip: Path) -> None:
    capture = opened(clip, loop=False, backoff_min_s=30, backoff_max_s=30, jitter=lambda c: c)
    health = wait_for(capture, CameraState.DOWN)
    assert health.reason == "the stream ended"
    health = wait_for(capture, lambda h: h.next_attempt_s is not None)
    assert health.pid is None
    assert 15 < (health.next_attempt_s or 0) <= 30
    assert (health.failures, health.received) == (1, 20)
    assert capture.latest() is not None, "the last frame stays, with its age"


def test_region_and_masks_are_applied_before_a_frame_leaves_the_process(
    opened: Open, clip: Path
) -> None:
    capture = opened(
        clip,
        roi=[[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 1]],
        masks=[[[0.5, 0.5], [0.75, 0.5], [0.75, 0.75], [0.5, 0.75]]],
    )
    wait_for(capture, CameraState.LIVE)
    frame = capture.latest()
    assert frame is not None
    assert (frame.image.shape, frame.origin_xy, frame.full_wh) == (
        (120, 160, 3),
        (160, 120),
        (320, 240),
    )
    assert (frame.image[:55, :75] == 114).all()
    assert frame.image[65:, 85:].std() > 5


@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=pytest.mark.soak)])
def test_a_killed_capture_is_replaced_and_frames_go_on(
    opened: Open, clip: Path, rounds: int
) -> None:
    capture = opened(clip)
    last, received, pauses = 0, 0, random.Random(0)
    for number in range(1, rounds + 1):
        first = wait_for(capture, CameraState.LIVE)
        frame = capture.latest(newer_than=last)
        assert frame is not None
        last = frame.index
        time.sleep(pauses.uniform(0.0, 0.3))
        assert first.pid is not None
        kill_hard(first.pid)
        health = wait_for(capture, CameraState.DOWN)
        assert health.reason == "the capture process ended (killed by signal 9)"
        assert health.failures == number
        assert health.received > received, "counters go on"
        received = health.received
    after = wait_for(capture, CameraState.LIVE)
    assert after.pid != first.pid
    newer = wait_for(capture, lambda _: capture.latest(newer_than=last) is not None)
    assert newer.failures == rounds


@pytest.mark.parametrize(("stable_s", "ceilings"), [(1e9, [0.05, 0.1, 0.2]), (0.1, [0.05] * 3)])
def test_pauses_double_until_a_stream_has_lasted(
    opened: Open,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    stable_s: float,
    ceilings: list[float],
) -> None:
    monkeypatch.setattr("edge.camera.process.STABLE_S", stable_s)
    asked: list[float] = []

    def no_pause(ceiling: float) -> float:
        asked.append(ceiling)
        return 0.0

    capture = opened(clip, fps=60, jitter=no_pause)
    for number in range(3):
        wait_for(capture, CameraState.LIVE)
        health = wait_for(capture, lambda h: h.since_s > 0.2)
        assert (health.failures, health.state) == (number, CameraState.LIVE)
        assert health.pid is not None
        kill_hard(health.pid)
        wait_for(capture, CameraState.DOWN)
    assert asked == ceilings


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing_costs_its_deadline_and_not_more(
    opened: Open, scheme: str
) -> None:
    with silent_server() as port:
        capture = opened(f"{scheme}://127.0.0.1:{port}/1", open_deadline_s=1)
        health = wait_for(capture, CameraState.DOWN)
        assert "no answer" in health.reason
        begun_s = time.monotonic()
        for _ in range(20):
            capture.poll()
        assert time.monotonic() - begun_s < 0.5


def test_a_capture_that_hangs_is_killed_and_replaced(opened: Open, clip: Path) -> None:
    """A process that is stopped stands for one that hangs in a driver."""
    capture = opened(clip, read_deadline_s=2)
    health = wait_for(capture, CameraState.LIVE)
    assert health.pid is not None
    os.kill(health.pid, signal.SIGSTOP)
    stalled = wait_for(capture, CameraState.STALLED)
    assert "no picture for" in stalled.reason
    down = wait_for(capture, CameraState.DOWN)
    assert down.reason == "no picture for 2 s"
    assert wait_for(capture, CameraState.LIVE).pid != health.pid
    assert gone(health.pid)


def test_an_open_that_hangs_is_killed(opened: Open) -> None:
    with silent_server() as port:
        capture = opened(f"rtsp://127.0.0.1:{port}/1", open_deadline_s=3)
        status = FrameReader(capture.segment).mapping
        health = wait_for(capture, lambda _: phase_of(status) == "opening")
        assert health.pid is not None
        os.kill(health.pid, signal.SIGSTOP)
        down = wait_for(capture, CameraState.DOWN)
        assert down.reason == "the stream cannot be opened within 3 s"
        wait_for(capture, lambda h: h.pid != health.pid)
        assert gone(health.pid)


def test_a_dead_camera_does_not_delay_another(opened: Open, clip: Path) -> None:
    with silent_server() as port:
        dead = opened(f"rtsp://127.0.0.1:{port}/1", id="dead")
        good = opened(clip, id="good")
        end_s = time.monotonic() + PATIENCE_S
        slowest = 0.0
        while good.poll().handed_on < 5:
            begun_s = time.monotonic()
            assert dead.poll().state == CameraState.STARTING
            slowest = max(slowest, time.monotonic() - begun_s)
            assert begun_s < end_s
            time.sleep(0.01)
        assert slowest < 0.5


def test_a_stop_takes_less_than_two_seconds_even_of_a_hanging_process(
    opened: Open, clip: Path, tmp_path: Path
) -> None:
    capture = opened(clip)
    health = wait_for(capture, CameraState.LIVE)
    assert health.pid is not None
    os.kill(health.pid, signal.SIGSTOP)
    begun_s = time.monotonic()
    capture.stop()
    assert time.monotonic() - begun_s < 2
    assert gone(health.pid)
    assert list(tmp_path.iterdir()) == []
    assert capture.latest() is None
    assert capture.poll().state == CameraState.CLOSED


def test_many_that_hang_take_no_longer_to_stop_than_one(opened: Open, clip: Path) -> None:
    captures = [opened(clip, id=f"c{number}") for number in range(3)]
    for capture in captures:
        health = wait_for(capture, lambda h: h.pid is not None)
        assert health.pid is not None
        os.kill(health.pid, signal.SIGSTOP)
    begun_s = time.monotonic()
    for capture in captures:
        capture.ask_to_stop()
    for capture in captures:
        capture.stop()
    assert time.monotonic() - begun_s < 2


def test_children_die_with_their_parent(clip: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from edge.camera.process import CaptureProcess\n"
        "from edge.camera.settings import CameraSettings\n"
        "settings = CameraSettings(id='a', url=sys.argv[1])\n"
        "capture = CaptureProcess(settings, directory=Path(sys.argv[2]))\n"
        "while (health := capture.poll()).state != 'live': time.sleep(0.02)\n"
        "print(health.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(clip), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    end_s = time.monotonic() + 5
    while not gone(child):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_clock_that_jumps_a_day_changes_neither_ages_nor_health(opened: Open, clip: Path) -> None:
    shift = timedelta()
    capture = opened(clip, clock=Clock(utc=lambda: datetime.now(UTC) + shift))
    wait_for(capture, CameraState.LIVE)
    for days in (1, -1):
        shift = timedelta(days=days)
        before = capture.poll()
        after = wait_for(capture, lambda h, n=before.handed_on: h.handed_on > n + 2)  # type: ignore[misc]
        assert after.state == CameraState.LIVE
        assert after.age_s is not None
        assert after.age_s < 5
        assert (after.failures, after.pid) == (0, before.pid)


def test_a_camera_rests_outside_its_hours(opened: Open, clip: Path) -> None:
    now = datetime(2026, 6, 1, 7, 59, 0, tzinfo=UTC)
    capture = opened(clip, clock=Clock(utc=lambda: now), opening_hours=["mon-sun 08:00-20:00"])
    health = capture.poll()
    assert (health.state, health.reason, health.pid) == (
        CameraState.CLOSED,
        "outside the opening hours",
        None,
    )
    now = now.replace(hour=8)
    running = wait_for(capture, CameraState.LIVE)
    now = now.replace(hour=20)
    closed = wait_for(capture, lambda h: h.pid is None)
    assert (closed.state, closed.failures) == (CameraState.CLOSED, 0)
    assert running.pid is not None
    assert gone(running.pid)


@pytest.mark.parametrize(
    ("level", "state", "reason"),
    [(3, CameraState.BLACK, "the picture is black"), (128, CameraState.GREY, "are grey")],
)
def test_pictures_that_show_nothing_are_withheld_and_told(
    opened: Open, tmp_path_factory: pytest.TempPathFactory, level: int, state: str, reason: str
) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(5)]
    for picture in pictures:
        picture[:, : 64 if level < 50 else 32] = level
    path = write_clip_of(tmp_path_factory.mktemp("bad") / "bad.avi", pictures)
    capture = opened(path, black_after_s=0.5, grey_after_s=0.5)
    health = wait_for(capture, CameraState(state))
    assert reason in health.reason
    assert health.withheld > 0
    assert health.handed_on == 0
    assert capture.latest() is None


def test_a_frozen_camera_stays_frozen_while_it_is_opened_again(opened: Open) -> None:
    picture = encode(noise(64, 48), ".jpg")
    with http_server(lambda: picture) as url:
        capture = opened(url, fps=10, frozen_after_s=1)
        live = wait_for(capture, CameraState.LIVE)
        frozen = wait_for(capture, CameraState.FROZEN)
        assert frozen.reason == "the pictures are exactly equal"
        assert live.handed_on <= frozen.handed_on < 15
        while (health := wait_for(capture, lambda _: True)).failures < 2 or health.pid is None:
            assert health.state == CameraState.FROZEN
        picture = encode(noise(64, 48, seed=1), ".jpg")
        after = wait_for(capture, CameraState.LIVE)
        assert after.handed_on > health.handed_on


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("absent.mp4", "absent.mp4: no such clip"),
        ("/dev/video93", "/dev/video93: no such camera"),
        ("rtsp://${NO_SUCH_VARIABLE}@127.0.0.1/1", "variable NO_SUCH_VARIABLE is not set"),
        ("rtsp://127.0.0.1:{closed}/1", "the connection was refused"),
        ("http://127.0.0.1:{closed}/1", "the connection was refused"),
    ],
)
def test_the_reason_says_what_is_wrong(opened: Open, url: str, reason: str) -> None:
    with closed_port() as closed:
        health = wait_for(opened(url.replace("{closed}", str(closed))), CameraState.DOWN)
    assert reason in health.reason


def test_gstreamer_is_named_where_this_opencv_has_none(opened: Open) -> None:
    import cv2

    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    capture = opened("rtsp://127.0.0.1/1", decoder="gstreamer:rtspsrc location={url} ! appsink")
    assert "built without GStreamer" in wait_for(capture, CameraState.DOWN).reason


def test_a_process_that_cannot_be_started_is_tried_again(
    opened: Open, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    capture = opened(clip)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        health = wait_for(capture, CameraState.DOWN)
        assert health.reason == "no process can be started: Resource temporarily unavailable"
    wait_for(capture, CameraState.LIVE)


def test_another_attempt_is_not_a_new_state(opened: Open) -> None:
    with closed_port() as port:
        capture = opened(f"http://127.0.0.1:{port}/1")
        wait_for(capture, CameraState.DOWN)
        while (health := wait_for(capture, lambda _: True)).failures < 3:
            assert health.state == CameraState.DOWN


@pytest.mark.soak
def test_memory_and_descriptors_of_a_capture_stay_flat(opened: Open, tmp_path: Path) -> None:
    """Minutes at 60 frames a second, with the clip opened again and again: the last quarter within
    3% of the second."""
    clip = write_noisy_clip(tmp_path / "fast.avi", frames=120, fps=60)
    capture = opened(clip, fps=60)
    health = wait_for(capture, CameraState.LIVE)
    memory, descriptors = [], []
    end_s = time.monotonic() + 240
    while time.monotonic() < end_s:
        health = capture.poll()
        capture.latest()
        statm = Path(f"/proc/{health.pid}/statm").read_text().split()
        memory.append(int(statm[1]) * 4096)
        descriptors.append(len(list(Path(f"/proc/{health.pid}/fd").iterdir())))
        time.sleep(0.1)
    quarter = len(memory) // 4
    second, last = (np.mean(memory[at : at + quarter]) for at in (quarter, 3 * quarter))
    print(f"{health.received} frames, {second / 1e6:.1f} MB, then {last / 1e6:.1f} MB")
    assert health.failures == 0
    assert last < second * 1.03
    assert max(descriptors[quarter:]) <= max(descriptors[:quarter])
