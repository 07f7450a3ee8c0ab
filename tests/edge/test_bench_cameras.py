from __future__ import annotations

from pathlib import Path

import pytest

from edge.bench_cameras import noisy_clip, run_density
from edge.errors import ConfigError
from tests.edge.daemon.running import shelf_clip

pytest.importorskip("onnx")


def test_a_device_is_measured_with_cameras(tmp_path: Path, tiny_bundle: Path) -> None:
    clip = shelf_clip(tmp_path / "a.avi")
    report = run_density(
        2, sources=[str(clip)], fps=5.0, seconds=3.0, bundle=tiny_bundle, provider="cpu"
    )
    assert [c.camera for c in report.cameras] == ["camera-1", "camera-2"]
    assert all(c.offered >= 5 and c.processed >= 1 for c in report.cameras)
    assert report.facings >= 2
    assert set(report.cpu) == {"supervisor", "inference", "capture"}
    assert report.provider == "cpu"
    assert report.bundle.startswith("tiny-1+")
    assert report.estimate >= 1


def test_the_clip_is_the_sample_as_a_sensor_sees_it(tmp_path: Path) -> None:
    from edge.camera.source import iter_frames
    from edge.types import Frame

    frames = list(iter_frames([noisy_clip(tmp_path / "c.avi", 5.0)], every_s=4.0))
    assert len(frames) == 2
    first, second = frames
    assert isinstance(first, Frame)
    assert isinstance(second, Frame)
    assert first.size_wh == (1280, 960)
    difference = abs(first.image.astype(int) - second.image)
    assert 0.5 < difference.mean() < 6.0


def test_no_camera_is_a_wrong_call() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        run_density(0)
