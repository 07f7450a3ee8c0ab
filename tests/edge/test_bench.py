from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge import bench
from edge.bench import BenchReport, run_bench
from edge.errors import ConfigError, InferenceError
from edge.vision.embedder import Embedder
from tests.factories import (
    CROP,
    DIM,
    SHELF,
    FakeSession,
    squares,
    tower_session,
    tower_spec,
    write_fronts,
    write_picture,
)


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sample"
    write_fronts(folder / "fronts")
    write_picture(folder / "shelf.jpg", squares(SHELF))
    monkeypatch.setattr(bench, "SAMPLE", folder)
    return folder


@pytest.mark.usefixtures("sample")
def test_a_bench_gives_its_numbers(tiny_bundle: Path) -> None:
    rounds: list[tuple[int, int]] = []
    report = run_bench(
        None,
        bundle=tiny_bundle,
        provider="cpu",
        repeat=3,
        progress=lambda done, total: rounds.append((done, total)),
    )
    assert rounds == [(1, 3), (2, 3), (3, 3)]
    assert report.facings == len(SHELF)
    assert set(report.stages_ms) == {"letterbox", "detector", "nms", "crops", "tower", "match"}
    assert report.best_batch in (1, 2, 4, 8)
    assert report.provider == "cpu"
    assert report.scale == "whole"
    assert report.peak_rss_mb > 10
    assert report.frame_ms >= sum(report.bare_ms.values()) * 0.5
    about = report.to_json()
    assert {"facings", "overhead_ratio", "stages_ms", "bare_ms", "provider", "peak_rss_mb"} <= set(
        about
    )
    assert f"{len(SHELF)} facings in " in report.to_text()


def test_ratios_are_of_the_same_frame() -> None:
    report = BenchReport(
        facings=50,
        frame_ms=220.0,
        stages_ms={},
        bare_ms={"detector": 50.0, "tower": 150.0},
        best_batch=8,
        bare_workers=2,
        scale="whole",
        provider="cpu",
        bundle="b",
        peak_rss_mb=1.0,
    )
    assert report.overhead_ratio == pytest.approx(1.1)
    assert report.facings_per_second == pytest.approx(50 / 0.22)


@pytest.mark.usefixtures("sample")
def test_an_empty_picture_cannot_be_timed(tiny_bundle: Path, tmp_path: Path) -> None:
    dark = write_picture(tmp_path / "dark.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"dark\.png: no product found"):
        run_bench(dark, bundle=tiny_bundle, provider="cpu", repeat=1)


def test_batches_that_a_provider_refuses_are_left_out() -> None:
    """TensorRT takes no batch beyond its profile."""

    class Limited(FakeSession):
        def run(self, batch: np.ndarray) -> list[np.ndarray]:
            if len(batch) > 4:
                raise InferenceError("beyond the profile")
            return super().run(batch)

    image = squares(SHELF)
    boxes = np.tile(np.array([[0, 0, 8, 8]], np.float32), (20, 1))
    ones = np.ones((4, DIM), np.float32)
    limited = Limited(lambda b: ones[: len(b)], (None, 3, CROP, CROP), (None, DIM))
    assert list(bench._tower_runs(Embedder(limited, tower_spec()), image, boxes)) == [1, 2, 4]
    free = Embedder(tower_session(), tower_spec())
    assert list(bench._tower_runs(free, image, boxes)) == [1, 2, 4, 8, 16, 32]
    assert list(bench._tower_runs(free, image, boxes[:1])) == [1]
