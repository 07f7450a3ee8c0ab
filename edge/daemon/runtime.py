"""The models and the gallery in use; swapped as a whole between two rounds."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge import canary
from edge.bundle import Bundle
from edge.config import Config
from edge.daemon.child import Child
from edge.daemon.pair import Pair, wanted_pair
from edge.errors import InferenceError
from edge.gallery.gallery import Gallery
from edge.gallery.live import LiveGallery
from edge.gallery.matcher import Matcher
from edge.manifest import Precision
from edge.pipeline import Models
from edge.types import Embeddings, Matches
from edge.vision.session import available_providers

log = logging.getLogger("edge.daemon")

BUILDER = "edge.daemon.builder"


@dataclass(frozen=True, slots=True)
class Runtime:
    """Models after their canary and, where there is one, a gallery that fits them.

    ``live`` follows the gallery's file; ``gallery`` is the state that is searched; ``pair`` is what
    they were loaded from.
    """

    models: Models
    live: LiveGallery | None = None
    gallery: Gallery | None = None
    matcher: Matcher | None = None
    pair: Pair = field(default_factory=Pair)

    @classmethod
    def open(cls, models: Models, gallery: Path | None) -> Runtime:
        """Open the gallery for loaded models.

        Raises:
            GalleryError: it is damaged, or another tower made it.
        """
        if gallery is None:
            return cls(models)
        live = LiveGallery.open(gallery, tower=models.bundle.manifest.tower.fingerprint)
        return cls(models, live)._searching(live)

    def refreshed(self) -> Runtime | None:
        """With what was enrolled since; None where that is nothing.

        Raises:
            GalleryError: the file is damaged, gone, or of another tower now.
        """
        if self.live is None or not self.live.refresh():
            return None
        return self._searching(self.live)

    def match(self, embeddings: Embeddings) -> Matches | None:
        """The gallery's decision; None without a gallery."""
        if self.gallery is None or self.matcher is None:
            return None
        return self.gallery.match(embeddings, self.matcher)

    def _searching(self, live: LiveGallery) -> Runtime:
        now = live.current
        point = self.models.bundle.manifest.decision[self.models.tower_precision]
        return replace(self, live=live, gallery=now, matcher=now.matcher(point))

    def models_at(self, scale: str | None) -> Models:
        """The models with the detector at a camera's scale; the bundle's own choice for None."""
        if scale is None:
            return self.models
        return replace(self.models, detector=self.models.detector.at_scale(scale))

    def run_canary(self) -> None:
        """Let the models prove that they still compute what they should; BundleError otherwise."""
        bundle = self.models.bundle
        precision = _precision(bundle, self.models.detector.provider)
        canary.check(
            bundle,
            self.models.detector,
            self.models.embedder,
            (precision, self.models.tower_precision),
        )

    def describe(self) -> dict[str, object]:
        """Provider, bundle and gallery, for events and metrics."""
        return {
            "provider": self.models.provider,
            "bundle": self.models.bundle.bundle_id,
            "gallery": self.gallery.version if self.gallery is not None else None,
            "skus": len(self.gallery.skus) if self.gallery is not None else 0,
        }


def open_runtime(config: Config) -> Runtime:
    """Models and gallery as configured.

    Raises:
        BundleError, InferenceError, GalleryError: one of them cannot be used.
    """
    pair = wanted_pair(config.models)
    return replace(Runtime.open(load_models(config, pair.bundle), pair.gallery), pair=pair)


def load_models(config: Config, folder: Path | None) -> Models:
    """The bundle in ``folder`` (None: the default) with its canary passed; engines are built by
    another process first.

    Raises:
        BundleError, InferenceError: it cannot be loaded or answers wrongly.
    """
    settings = config.models
    bundle = Bundle.load(folder) if folder is not None else Bundle.default()
    cache = config.device.state_dir / "engines"
    return Models.open(bundle, provider=settings.provider, threads=settings.threads, cache=cache)


def may_build(config: Config) -> bool:
    """Whether loading may have to build engines, which takes minutes."""
    wanted = config.models.provider
    return wanted == "tensorrt" or (wanted == "auto" and "tensorrt" in available_providers())


def build_engines(config: Config) -> None:
    """Load the models once in a process of its own, so that their engines are in the cache.

    A build that takes ten minutes or runs out of memory so never takes frames or the daemon with it.

    Raises:
        InferenceError: it did not end, or ended badly.
    """
    child = Child(BUILDER)
    child.channel.send("start", config=config.to_json())
    if not child.wait(config.supervision.build_s):
        child.kill()
        raise InferenceError(f"building engines took more than {config.supervision.build_s:g} s")
    if child.exit_status() != 0:
        # auto may still find a provider that works: loading says what is wrong
        log.warning("building engines failed", extra={"exit_status": child.exit_status()})


def _precision(bundle: Bundle, provider: str) -> Precision:
    for variant in bundle.manifest.detector.variants:
        if provider in variant.providers:
            return variant.precision
    raise InferenceError(f"{bundle.path}: the bundle has no detector for {provider}")
