"""Crops to embeddings: one preprocessing, bucketed batches, checked output."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from edge.errors import BundleError, InferenceError
from edge.manifest import TowerSpec
from edge.timing import Stopwatch
from edge.types import F32, U8, Embeddings
from edge.vision import preprocess
from edge.vision.batches import split
from edge.vision.session import Session

CPU_BATCH = 2
"""Largest batch on a CPU. Measured on the default tower, two threads side by side, in batches of 1, 2,
4, 8 and 16: 3.4, 3.6, 3.9, 3.7 and 3.9 ms a crop in INT8, 5.6, 5.5, 6.0, 6.4 and 6.7 in FP32."""

T = TypeVar("T")
R = TypeVar("R")
Fill = Callable[[slice, F32], object]


class Embedder:
    """A tower session with its manifest entry; for one thread at a time.

    With several ``workers`` batches run side by side, each on a thread of its own: for a session
    that computes in the calling thread, as ``Models`` opens it on a CPU. Threads that share the crops
    meet once a frame; threads that share each operator meet a hundred times a batch, and a core that
    is late costs all of them.

    Raises:
        BundleError: when input or output of the model do not fit the manifest.
    """

    def __init__(self, session: Session, spec: TowerSpec, *, workers: int = 1) -> None:
        self._session = session
        self._spec = spec
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tower")
        self._own = threading.local()
        self._sizes = spec.batch_sizes
        if session.provider == "cpu":
            self._sizes = tuple(s for s in spec.batch_sizes if s <= CPU_BATCH)
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

        ``watch`` gets the stages crops and tower: the time that passed, shared out by the time that
        the workers spent on each.

        Raises:
            InferenceError: when the tower gives NaN, infinite or zero vectors.
        """

        return self.embed_many([(image, xyxy)], watch)

    def embed_many(
        self, frames: Sequence[tuple[U8, F32]], watch: Stopwatch | None = None
    ) -> Embeddings:
        """As ``embed`` for the boxes of several frames, which share batches; rows in their order."""

        def fill(part: slice, batch: F32) -> None:
            start = 0
            for image, xyxy in frames:
                first, last = max(part.start, start), min(part.stop, start + len(xyxy))
                if first < last:
                    rows = xyxy[first - start : last - start]
                    into = batch[first - part.start : last - part.start]
                    preprocess.crops(image, rows, self._spec.preprocessing, into)
                start += len(xyxy)

        count = sum(len(xyxy) for _, xyxy in frames)
        return self._embed(count, fill, watch or Stopwatch())

    def embed_images(self, images: Sequence[U8]) -> Embeddings:
        """Embed whole pictures ``(H, W, 3) uint8`` RGB, one vector each."""

        def fill(part: slice, batch: F32) -> None:
            for image, place in zip(images[part], batch, strict=True):
                whole = np.array([[0, 0, image.shape[1], image.shape[0]]], dtype=np.float32)
                preprocess.crops(image, whole, self._spec.preprocessing, place[None])

        return self._embed(len(images), fill, Stopwatch())

    def bare_run(self, image: U8, xyxy: F32, batch_size: int) -> Callable[[], None]:
        """The model alone on these crops, its input ready: what a benchmark compares with.

        The batches run on the same workers as those of ``embed``.
        """
        ready = preprocess.crops(image, xyxy, self._spec.preprocessing)
        parts = [ready[i : i + batch_size] for i in range(0, len(ready), batch_size)]

        def run() -> None:
            self._map(self._session.run, parts)

        return run

    def _embed(self, count: int, fill: Fill, watch: Stopwatch) -> Embeddings:
        vectors = np.empty((count, self._spec.dim), dtype=np.float32)

        def work(part: slice) -> tuple[float, float]:
            begun = time.perf_counter()
            batch = self._buffer(part.stop - part.start)
            fill(part, batch)
            filled = time.perf_counter()
            vectors[part] = self._run(batch)
            return filled - begun, time.perf_counter() - filled

        begun = time.perf_counter()
        spent = self._map(work, split(count, self._sizes, self.workers))
        passed = time.perf_counter() - begun
        on_crops, in_all = sum(a for a, _ in spent), sum(a + b for a, b in spent)
        share = on_crops / in_all if in_all else 0.0
        watch.add("crops", share * passed)
        watch.add("tower", (1.0 - share) * passed)
        return self._checked(vectors)

    def _map(self, work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
        if self.workers == 1:
            return [work(part) for part in parts]
        return list(self._pool.map(work, parts))

    def _buffer(self, count: int) -> F32:
        """This worker's input of this batch size, allocated once: fresh memory costs page faults."""
        buffers: dict[int, F32] = self._own.__dict__.setdefault("buffers", {})
        if count not in buffers:
            size = self._spec.preprocessing.size
            buffers[count] = np.empty((count, 3, size, size), dtype=np.float32)
        return buffers[count]

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
