"""Times a frame from decoded pixels to its result against the bare model runs it needs."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.bundle import Bundle
from edge.camera.source import read_image
from edge.console import Progress
from edge.demo import SAMPLE
from edge.enrolment import enrol_folder
from edge.errors import ConfigError, InferenceError
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.types import F32, U8, Frame, FrameResult
from edge.vision.embedder import Embedder
from edge.vision.session import open_session

_BATCHES = (1, 2, 4, 8, 16, 32)
_SHARED_BATCHES = (1, 2, 4, 8)  # several at once: larger ones only filled the memory


@dataclass(frozen=True, slots=True)
class BenchReport:
    """``bare_ms`` is the time of ``session.run`` alone: the detector once on the whole frame, the
    tower on as many crops as were found, in the fastest way found here: batches of ``best_batch`` on
    ``bare_workers`` threads, or (0) one after the other with all threads on each operator."""

    facings: int
    frame_ms: float
    stages_ms: dict[str, float]
    bare_ms: dict[str, float]
    best_batch: int
    bare_workers: int
    scale: str
    provider: str
    bundle: str
    peak_rss_mb: float

    @property
    def overhead_ratio(self) -> float:
        """Frame time over bare time."""
        return self.frame_ms / sum(self.bare_ms.values())

    @property
    def facings_per_second(self) -> float:
        """Facings found and matched a second."""
        return self.facings / self.frame_ms * 1000.0

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "facings": self.facings,
            "overhead_ratio": round(self.overhead_ratio, 4),
            "facings_per_second": round(self.facings_per_second, 1),
            "frame_ms": round(self.frame_ms, 2),
            "stages_ms": {k: round(v, 2) for k, v in self.stages_ms.items()},
            "bare_ms": {k: round(v, 2) for k, v in self.bare_ms.items()},
            "best_batch": self.best_batch,
            "bare_workers": self.bare_workers,
            "scale": self.scale,
            "provider": self.provider,
            "bundle": self.bundle,
            "peak_rss_mb": round(self.peak_rss_mb, 1),
        }

    def to_text(self) -> str:
        """For people."""
        stages = ", ".join(f"{k} {v:.1f}" for k, v in self.stages_ms.items())
        bare = ", ".join(f"{k} {v:.1f}" for k, v in self.bare_ms.items())
        return "\n".join(
            [
                f"{self.facings} facings in {self.frame_ms:.0f} ms on {self.provider}"
                f" ({self.facings_per_second:.0f} facings/s), scale {self.scale}",
                f"overhead {self.overhead_ratio:.3f} x the bare models ({bare} ms,"
                f" batch {self.best_batch} on {self.bare_workers or 'all'} threads)",
                f"stages (ms): {stages}",
                f"peak memory {self.peak_rss_mb:.0f} MB; bundle {self.bundle}",
            ]
        )


def run_bench(
    image: Path | None,
    *,
    bundle: Path | None = None,
    provider: str = "auto",
    scale: str | None = None,
    repeat: int = 7,
    progress: Progress | None = None,
) -> BenchReport:
    """Medians over ``repeat`` rounds; each round times the frame and the bare runs in turn.

    Raises:
        ConfigError: when no product is found on ``image``, so that there is nothing to time.
    """
    loaded = Bundle.load(bundle) if bundle is not None else Bundle.default()
    models = Models.open(loaded, provider=provider, scale=scale)
    source = image if image is not None else SAMPLE / "shelf.jpg"
    pixels = read_image(source)
    with tempfile.TemporaryDirectory(prefix="shelf-edge-bench-") as folder:
        file = Path(folder) / "gallery.db"
        enrol_folder(models, SAMPLE / "fronts", file)
        pipeline = Pipeline(models, Gallery.open(file, tower=models.embedder.tower))
    frame = Frame(pixels, str(source), 0, datetime.now(UTC))
    result = pipeline(frame)
    count = len(result.detections)
    if count == 0:
        raise ConfigError(f"{source}: no product found, nothing to time")
    detector_run = models.detector.bare_run(pixels)
    boxes = result.detections.xyxy
    tower_runs = {
        (embedder.workers if embedder is models.embedder else 0, size): run
        for embedder in _embedders(models)
        for size, run in _tower_runs(embedder, pixels, boxes).items()
    }
    frame_ms: list[float] = []
    detector_ms: list[float] = []
    tower_ms: dict[tuple[int, int], list[float]] = {way: [] for way in tower_runs}
    stages: list[dict[str, float]] = []
    for done in range(repeat):
        timed, result = _timed_frame(pipeline, frame)
        frame_ms.append(timed)
        stages.append(dict(result.timings_ms))
        detector_ms.append(_timed(detector_run))
        for way, run in tower_runs.items():
            tower_ms[way].append(_timed(run))
        if progress is not None:
            progress(done + 1, repeat)
    medians = {way: statistics.median(times) for way, times in tower_ms.items()}
    best = min(medians, key=lambda way: medians[way])
    return BenchReport(
        facings=count,
        frame_ms=statistics.median(frame_ms),
        stages_ms={k: float(np.median([s.get(k, 0.0) for s in stages])) for k in stages[0]},
        bare_ms={"detector": statistics.median(detector_ms), "tower": medians[best]},
        best_batch=best[1],
        bare_workers=best[0],
        scale=result.scale,
        provider=result.provider,
        bundle=loaded.bundle_id,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    )


def _embedders(models: Models) -> list[Embedder]:
    """The pipeline's own, and where it shares crops among threads one that shares operators."""
    if models.embedder.workers == 1:
        return [models.embedder]
    tower = models.bundle.manifest.tower
    session, _ = open_session(models.bundle.path, tower.variants, models.provider)
    return [Embedder(session, tower), models.embedder]


def _tower_runs(embedder: Embedder, pixels: U8, xyxy: F32) -> dict[int, Callable[[], None]]:
    """The bare tower by batch size, each run once; sizes that the provider refuses are left out."""
    runs: dict[int, Callable[[], None]] = {}
    for size in _BATCHES if embedder.workers == 1 else _SHARED_BATCHES:
        run = embedder.bare_run(pixels, xyxy, size)
        try:
            run()
        except InferenceError:
            # TensorRT takes no batch beyond its profile
            if not runs:
                raise
            break
        runs[size] = run
        if size >= len(xyxy):
            break
    return runs


def _timed_frame(pipeline: Pipeline, frame: Frame) -> tuple[float, FrameResult]:
    begun = time.perf_counter()
    result = pipeline(frame)
    return (time.perf_counter() - begun) * 1000.0, result


def _timed(run: Callable[[], None]) -> float:
    begun = time.perf_counter()
    run()
    return (time.perf_counter() - begun) * 1000.0
