from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge import bench
from edge.bench import run_bench
from edge.bench_report import BenchReport, BenchRound, summarise
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
    seen: list[tuple[int, int]] = []
    report = run_bench(
        None,
        bundle=tiny_bundle,
        provider="cpu",
        repeat=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
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


ALL, TWO = (0, 8), (2, 4)


def rounds(*speeds: float, noise: Sequence[float] = ()) -> list[BenchRound]:
    """Rounds of a machine that ran at these speeds; ``noise`` is added to the frame of each."""
    extra = noise or [0.0] * len(speeds)
    return [
        BenchRound(
            frame_ms=(220.0 + more) / speed,
            stages_ms={"detector": 50.0 / speed},
            detector_ms=50.0 / speed,
            tower_ms={ALL: 170.0 / speed, TWO: 150.0 / speed},
        )
        for speed, more in zip(speeds, extra, strict=True)
    ]


def report_of(measured: list[BenchRound]) -> BenchReport:
    return summarise(measured, facings=50, scale="whole", provider="cpu", bundle="b")


def test_the_ratio_is_of_frame_and_bare_runs_of_one_round() -> None:
    report = report_of(rounds(1.0))
    assert report.overhead_ratio == pytest.approx(1.1)
    assert report.overhead_quartiles == pytest.approx((1.1, 1.1))
    assert report.bare_ms == {"detector": 50.0, "tower": 150.0}
    assert (report.bare_workers, report.best_batch) == TWO
    assert report.facings_per_second == pytest.approx(50 / 0.22)


def test_a_machine_that_changes_its_speed_does_not_change_the_ratio() -> None:
    report = report_of(rounds(1.0, 0.4, 0.4, 2.0, 1.0))
    assert report.overhead_ratio == pytest.approx(1.1)
    assert report.overhead_quartiles == pytest.approx((1.1, 1.1))


def test_the_spread_of_the_ratios_is_told() -> None:
    report = report_of(rounds(1, 1, 1, 1, 1, noise=(-20, -10, 0, 10, 200)))
    assert report.overhead_ratio == pytest.approx(1.1)
    assert report.overhead_quartiles == pytest.approx((1.05, 1.15))
    about = report.to_json()
    assert (about["overhead_quartiles"], about["rounds"]) == ([1.05, 1.15], 5)
    assert "overhead 1.100 x the bare models, quartiles 1.050 to 1.150 of 5 rounds" in (
        report.to_text()
    )


def test_the_bare_tower_runs_in_the_way_that_is_fastest_over_all_rounds() -> None:
    measured = rounds(1.0, 1.0, 1.0)
    lucky = replace(measured[0], tower_ms={ALL: 100.0, TWO: 150.0})
    assert (report_of([lucky, *measured[1:]]).bare_workers, 4) == TWO
    assert report_of([lucky, lucky, measured[2]]).bare_ms["tower"] == 100.0


def test_every_other_round_runs_backwards() -> None:
    done: list[str] = []

    def frame() -> dict[str, float]:
        done.append("frame")
        return {"detector": 1.0}

    def says(word: str) -> Callable[[], None]:
        return lambda: done.append(word)

    runs = {way: says(f"tower {way}") for way in (ALL, TWO)}
    for backwards in (False, True):
        measured = bench._round(frame, says("detector"), runs, backwards=backwards)
        assert set(measured.tower_ms) == {ALL, TWO}
        assert measured.stages_ms == {"detector": 1.0}
    assert done == [
        "frame", "detector", f"tower {ALL}", f"tower {TWO}",
        f"tower {TWO}", f"tower {ALL}", "detector", "frame",
    ]  # fmt: skip


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
