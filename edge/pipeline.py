"""Frame to FrameResult: detect, crop, embed, match."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import canary
from edge.bundle import Bundle
from edge.errors import BundleError, EdgeError, GalleryError, InferenceError
from edge.gallery.gallery import Gallery
from edge.gallery.matcher import Matcher
from edge.manifest import Precision
from edge.timing import Stopwatch
from edge.types import Detections, Frame, FrameResult, Matches
from edge.vision.detector import TILE_BATCH, Detector
from edge.vision.embedder import Embedder
from edge.vision.session import (
    SessionOptions,
    available_threads,
    first_that_works,
    open_session,
)


@dataclass(frozen=True, slots=True)
class Models:
    """The two models of a bundle on one provider, after their canary."""

    bundle: Bundle
    detector: Detector
    embedder: Embedder
    detector_precision: Precision
    tower_precision: Precision
    canary: canary.CanaryReport

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self.embedder.provider

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        provider: str = "auto",
        scale: str | None = None,
        threads: int | None = None,
        cache: Path | None = None,
    ) -> Models:
        """Load both models and run the canary on them.

        With ``auto``, a provider that does not start or fails the canary gives way to the next, with
        a warning; one asked for by name is an error then.

        Raises:
            ConfigError: when there is no provider of that name.
            InferenceError: when the provider does not run.
            BundleError: when a model does not fit its manifest or its canary.
        """
        return first_that_works(
            provider, lambda name: cls._open(bundle, name, scale, threads, cache)
        )

    @classmethod
    def _open(
        cls,
        bundle: Bundle,
        provider: str,
        scale: str | None,
        threads: int | None,
        cache: Path | None,
    ) -> Models:
        manifest = bundle.manifest
        options = SessionOptions(threads, cache, (1, TILE_BATCH))
        finder, found = open_session(bundle.path, manifest.detector.variants, provider, options)
        # on a CPU crops are shared among threads instead of operators: see Embedder
        workers = (threads or available_threads()) if provider == "cpu" else 1
        options = SessionOptions(
            1 if provider == "cpu" else threads, cache, manifest.tower.batch_sizes
        )
        tower, used = open_session(bundle.path, manifest.tower.variants, provider, options)
        with naming(bundle.path / found.file):
            detector = Detector(finder, manifest.detector, scale)
            # a fixed scale is the camera's choice; the goldens were made with the manifest's
            probe = detector if scale is None else Detector(finder, manifest.detector)
        with naming(bundle.path / used.file):
            embedder = Embedder(tower, manifest.tower, workers=workers)
        with naming(bundle.path):
            report = canary.check(bundle, probe, embedder, (found.precision, used.precision))
        if embedder.provider != "cpu":
            # a CPU has nothing to tune, and the canary has touched every page by now
            embedder.warm_up()
        return cls(bundle, detector, embedder, found.precision, used.precision, report)


class Pipeline:
    """Models and a gallery, ready for frames.

    Args:
        models: loaded models.
        gallery: enrolled SKUs; without one every product is unknown.

    Raises:
        GalleryError: when another tower made the gallery; names both.
    """

    def __init__(self, models: Models, gallery: Gallery | None = None) -> None:
        self._models = models
        self._gallery = gallery
        self._matcher: Matcher | None = None
        if gallery is not None:
            manifest = models.bundle.manifest
            if gallery.tower != manifest.tower.fingerprint:
                raise GalleryError(
                    f"{gallery.path}: made with image tower {gallery.tower}, but bundle"
                    f" {models.bundle.bundle_id} has {manifest.tower.fingerprint}"
                )
            self._matcher = gallery.matcher(manifest.decision[models.tower_precision])

    @classmethod
    def open(
        cls,
        bundle: Bundle | None = None,
        gallery: Gallery | None = None,
        *,
        provider: str = "auto",
        scale: str | None = None,
    ) -> Pipeline:
        """A pipeline on the default or a given bundle. Errors as in ``Models.open``."""
        return cls(Models.open(bundle or Bundle.default(), provider=provider, scale=scale), gallery)

    @property
    def models(self) -> Models:
        """The loaded models."""
        return self._models

    def __call__(self, frame: Frame) -> FrameResult:
        """Find and identify every product of ``frame``.

        Raises:
            InferenceError: when a model fails on it.
        """
        watch = Stopwatch()
        detections, scale = self._models.detector.detect(frame.image, watch)
        matches = self._match(frame, detections, watch)
        return FrameResult(
            source=frame.camera_id,
            index=frame.index,
            captured_at=frame.captured_at,
            size_wh=frame.size_wh,
            scale=scale,
            provider=self._models.provider,
            bundle_id=self._models.bundle.bundle_id,
            gallery_version=self._gallery.version if self._gallery is not None else "",
            detections=detections,
            matches=matches,
            timings_ms=watch.timings_ms(),
        )

    def _match(self, frame: Frame, detections: Detections, watch: Stopwatch) -> Matches:
        if self._gallery is None or self._matcher is None:
            return _unmatched(len(detections))
        embeddings = self._models.embedder.embed(frame.image, detections.xyxy, watch)
        with watch.stage("match"):
            return self._gallery.match(embeddings, self._matcher)


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put ``path`` in front of an error about a model that does not say which file it means."""
    try:
        yield
    except (BundleError, InferenceError) as error:
        if str(path) in str(error):
            raise
        named: EdgeError = type(error)(f"{path}: {error}")
        raise named from error


def _unmatched(count: int) -> Matches:
    nothing = np.full(count, np.nan, dtype=np.float32)
    return Matches((None,) * count, ((),) * count, nothing, nothing, nothing, ((),) * count)
