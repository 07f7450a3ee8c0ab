from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.camera.health import CameraState
from edge.camera.process import CaptureProcess
from edge.camera.settings import CameraSettings
from edge.config import CameraConfig
from edge.daemon import cameras as module
from edge.daemon.cameras import Cameras
from edge.errors import CameraError


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    made = Cameras("dev")
    yield made
    made.stop()


def config(tmp_path: Path, *names: str) -> list[CameraConfig]:
    return [CameraConfig(id=name, url=str(tmp_path / f"{name}.mp4")) for name in names]


def test_a_camera_without_memory_is_down_and_gets_it_later(
    cameras: Cameras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = {"b"}
    now_s = [100.0]

    def capture(settings: CameraSettings, **options: Any) -> CaptureProcess:
        if settings.id in full:
            raise CameraError("/dev/shm: no shared memory: No space left on device")
        return CaptureProcess(settings, directory=tmp_path, **options)

    monkeypatch.setattr(module, "CaptureProcess", capture)
    monkeypatch.setattr("edge.daemon.cameras.time.monotonic", lambda: now_s[0])
    cameras.set(config(tmp_path, "a", "b"))
    events = {e.camera: e.data for e in cameras.poll(60.0)}
    assert events["b"]["state"] == CameraState.DOWN
    assert "no shared memory" in events["b"]["reason"]
    assert set(cameras.segments) == {"a"}
    now_s[0] += 16
    cameras.poll(60.0)
    assert cameras.health["b"].failures == 2
    assert not cameras.some_came_late()
    full.clear()
    now_s[0] += 16
    cameras.poll(60.0)
    assert cameras.some_came_late()
    assert not cameras.some_came_late()
    assert set(cameras.segments) == {"a", "b"}
    assert "no shared memory" not in cameras.health["b"].reason


def test_a_camera_that_is_left_out_is_forgotten_with_its_troubles(
    cameras: Cameras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(settings: CameraSettings) -> CaptureProcess:
        raise CameraError(f"{settings.id}: no shared memory")

    monkeypatch.setattr(module, "CaptureProcess", none)
    cameras.set(config(tmp_path, "a", "b"))
    cameras.poll(60.0)
    cameras.set(config(tmp_path, "a"))
    cameras.poll(60.0)
    assert set(cameras.health) == {"a"}
