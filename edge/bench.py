"""Times a frame from decoded pixels to its result against the bare model runs it needs.

A processor's speed drifts, and its models' with it, so that a frame is only ever compared with bare runs
of the same round: the two stand next to each other, in an order that turns round with every round.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge.bench_report import BenchReport, BenchRound, Way, summarise
from edge.bundle import Bundle
from edge.camera.source import read_image
from edge.console import Progress
from edge.demo import SAMPLE
from edge.enrolment import enrol_folder
from edge.errors import ConfigError, InferenceError
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.types import F32, U8, Frame
from edge.vision.embedder import Embedder
from edge.vision.session import open_session

_BATCHES = (1, 2, 4, 8, 16, 32)
_SHARED_BATCHES = (1, 2, 4, 8)  # several at once: larger ones only filled the memory


def run_bench(
    image: Path | None,
    *,
    bundle: Path | None = None,
    provider: str = "auto",
    scale: str | None = None,
    repeat: int = 7,
    progress: Progress | None = None,
) -> BenchReport:
    """Time ``repeat`` rounds, each of the frame and of every bare run; see ``BenchReport``.

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
    tower_runs: dict[Way, Callable[[], None]] = {
        (embedder.workers if embedder is models.embedder else 0, size): run
        for embedder in _embedders(models)
        for size, run in _tower_runs(embedder, pixels, boxes).items()
    }

    def frame_run() -> dict[str, float]:
        return dict(pipeline(frame).timings_ms)

    rounds = []
    for done in range(repeat):
        rounds.append(_round(frame_run, detector_run, tower_runs, backwards=done % 2 == 1))
        if progress is not None:
            progress(done + 1, repeat)
    return summarise(
        rounds,
        facings=count,
        scale=result.scale,
        provider=result.provider,
        bundle=loaded.bundle_id,
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


def _round(
    frame_run: Callable[[], dict[str, float]],
    detector_run: Callable[[], None],
    tower_runs: Mapping[Way, Callable[[], None]],
    *,
    backwards: bool,
) -> BenchRound:
    """Frame (which gives its stages), detector, then the towers; ``backwards`` the other way round."""
    times: dict[str | Way, float] = {}
    stages: dict[str, float] = {}

    def whole_frame() -> None:
        stages.update(frame_run())

    steps: list[tuple[str | Way, Callable[[], None]]] = [
        ("frame", whole_frame),
        ("detector", detector_run),
        *tower_runs.items(),
    ]
    for name, step in reversed(steps) if backwards else steps:
        begun = time.perf_counter()
        step()
        times[name] = (time.perf_counter() - begun) * 1000.0
    towers = {way: times[way] for way in tower_runs}
    return BenchRound(times["frame"], stages, times["detector"], towers)
