"""Crops to embeddings: one preprocessing, bucketed batches, checked output."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge.errors import BundleError, InferenceError
from edge.manifest import TowerSpec
from edge.timing import Stopwatch
from edge.types import F32, U8, Embeddings
from edge.vision import preprocess
from edge.vision.batches import BatchChoice
from edge.vision.session import Session


class Embedder:
    """A tower session with its manifest entry; for one thread at a time.

    Raises:
        BundleError: when input or output of the model do not fit the manifest.
    """

    def __init__(self, session: Session, spec: TowerSpec) -> None:
        self._session = session
        self._spec = spec
        self._batches = BatchChoice(spec.batch_sizes)
        self._buffers: dict[int, F32] = {}
        given, outputs = session.signature
        size = spec.preprocessing.size
        if len(given.shape) != 4 or given.shape[0] is not None:
            raise BundleError(f"tower input must have a dynamic batch, got {given.shape}")
        if any(n not in (None, e) for n, e in zip(given.shape[1:], (3, size, size), strict=True)):
            raise BundleError(f"tower input must be (batch, 3, {size}, {size}), got {given.shape}")
        if len(outputs[0].shape) != 2 or outputs[0].shape[1] not in (None, spec.dim):
            raise BundleError(f"tower output must be (batch, {spec.dim}), got {outputs[0].shape}")

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self._session.provider

    @property
    def tower(self) -> str:
        """The fingerprint of the tower."""
        return self._spec.fingerprint

    def warm_up(self) -> None:
        """Run every batch size once: on accelerators the first run of a shape plans and tunes."""
        size = self._spec.preprocessing.size
        for count in self._spec.batch_sizes:
            self._session.run(np.zeros((count, 3, size, size), np.float32))

    def embed(self, image: U8, xyxy: F32, watch: Stopwatch | None = None) -> Embeddings:
        """Embed the boxes ``(N, 4) float32`` of ``image (H, W, 3) uint8`` RGB.

        ``watch`` gets the stages crops and tower.

        Raises:
            InferenceError: when the tower gives NaN, infinite or zero vectors.
        """
        watch = watch or Stopwatch()
        vectors = np.empty((len(xyxy), self._spec.dim), dtype=np.float32)
        for part in self._batches.slices(len(xyxy)):
            with watch.stage("crops"):
                batch = self._buffer(part.stop - part.start)
                preprocess.crops(image, xyxy[part], self._spec.preprocessing, batch)
            with watch.stage("tower"):
                vectors[part] = self._run(batch)
        return self._checked(vectors)

    def embed_images(self, images: Sequence[U8]) -> Embeddings:
        """Embed whole pictures ``(H, W, 3) uint8`` RGB, one vector each."""
        vectors = np.empty((len(images), self._spec.dim), dtype=np.float32)
        for part in self._batches.slices(len(images)):
            batch = [
                preprocess.crops(
                    image,
                    np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float32),
                    self._spec.preprocessing,
                )
                for image in images[part]
            ]
            vectors[part] = self._run(np.concatenate(batch))
        return self._checked(vectors)

    def _buffer(self, count: int) -> F32:
        """The input of this batch size, allocated once."""
        if count not in self._buffers:
            size = self._spec.preprocessing.size
            self._buffers[count] = np.empty((count, 3, size, size), dtype=np.float32)
        return self._buffers[count]

    def bare_run(self, image: U8, xyxy: F32, batch_size: int) -> Callable[[], None]:
        """The model alone on these crops, its input ready: what a benchmark compares with."""
        ready = preprocess.crops(image, xyxy, self._spec.preprocessing)
        parts = [ready[i : i + batch_size] for i in range(0, len(ready), batch_size)]

        def run() -> None:
            for part in parts:
                self._session.run(part)

        return run

    def _run(self, batch: F32) -> F32:
        output = self._session.run(batch)[0]
        if output.shape != (len(batch), self._spec.dim):
            # a model may leave its output's shape open until it runs
            raise BundleError(
                f"tower output must be {(len(batch), self._spec.dim)}, got {output.shape}"
            )
        return np.asarray(output, dtype=np.float32)

    def _checked(self, vectors: F32) -> Embeddings:
        with np.errstate(over="ignore"):
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise InferenceError(
                f"tower on {self._session.provider} gave NaN or infinite embeddings"
            )
        if not (norms > 1e-12).all():
            raise InferenceError(f"tower on {self._session.provider} gave embeddings of length 0")
        return Embeddings(vectors / norms, self._spec.fingerprint)
