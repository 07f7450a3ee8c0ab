"""Rounds over all cameras: take the latest frames, look, embed together, vote, commit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge.daemon.clock import FrameClock
from edge.daemon.committer import Committer
from edge.daemon.events import Event
from edge.daemon.evidence import EvidenceStore
from edge.daemon.figures import StageTimes
from edge.daemon.lane import Lane, Taken
from edge.daemon.runtime import Runtime
from edge.errors import InferenceError
from edge.shelf.watch import Pass
from edge.timing import Stopwatch
from edge.types import Embeddings

log = logging.getLogger("edge.loop")

_MOST_FAILURES = 5
"""Rounds that may fail one after the other before a new process is worth more than a retry."""


@dataclass(slots=True)
class Loop:
    """The work of the inference process.

    ``progress`` counts what the models did: detector passes, embedded batches, canaries. Frames on
    which nothing changed cost no inference and count nothing.
    """

    runtime: Runtime
    lanes: dict[str, Lane]
    committer: Committer
    evidence: EvidenceStore
    clock: FrameClock
    checkpoint_s: float
    progress: int = 0
    stages: StageTimes = field(default_factory=StageTimes)
    _inferred_at: float = 0.0
    _saved_at: float = 0.0
    _failures: int = 0
    _dirty: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._inferred_at = self._saved_at = self.clock.seconds()

    def round(self) -> bool:
        """Process at most one frame a camera; whether there was any.

        State and events of all of them are committed in one transaction.

        Raises:
            InferenceError: when the models failed several times in a row.
        """
        steps = [step for lane in self.lanes.values() if (step := self._look(lane)) is not None]
        events: list[Event] = []
        if steps:
            try:
                events = self._finish(steps)
                self._failures = 0
            except InferenceError as error:
                self._failed(error)
        self._commit(events)
        return bool(steps)

    def idle_canary(self, after_s: float) -> None:
        """Run the canary when the models have done nothing for so long; BundleError when it fails."""
        if self.clock.seconds() - self._inferred_at >= after_s:
            self.runtime.run_canary()
            self._inferred()

    def swap(self, runtime: Runtime) -> None:
        """Go on with other models or another gallery, from the next round on."""
        self.runtime = runtime
        for lane in self.lanes.values():
            lane.use(runtime)
        self._inferred()

    def save(self) -> bool:
        """Commit all states and whatever waits; for the end. Whether it is on disk."""
        self.committer.add([], {name: lane.state() for name, lane in self.lanes.items()})
        return self.committer.flush(at_once=True)

    def _look(self, lane: Lane) -> tuple[Lane, Taken, Pass] | None:
        taken = lane.take()
        if taken is None:
            return None
        try:
            step = lane.fixed.look(taken.frame)
        except InferenceError as error:
            lane.figures.errors += 1
            self._failed(error)
            return None
        except Exception:
            # one camera's trouble must not become that of the others
            lane.figures.errors += 1
            log.exception("frame given up", extra={"camera": lane.camera_id})
            return None
        if step.detected:
            self._inferred()
        lane.settle_scale(step, self.runtime)
        return lane, taken, step

    def _finish(self, steps: list[tuple[Lane, Taken, Pass]]) -> list[Event]:
        watch = Stopwatch()
        wanted = [(step.image, step.plan.xyxy) for _, _, step in steps]
        counts = [len(xyxy) for _, xyxy in wanted]
        together: Embeddings | None = None
        if sum(counts):
            together = self.runtime.models.embedder.embed_many(wanted, watch)
            self._inferred()
        self.stages.add(watch.timings_ms())
        events: list[Event] = []
        about = self.runtime.describe()
        ends = np.cumsum(counts).tolist()
        for (lane, taken, step), count, end in zip(steps, counts, ends, strict=True):
            own = None
            if together is not None and count:
                own = Embeddings(together.vectors[end - count : end], together.tower)
            try:
                result, changes = lane.fixed.finish(step, own)
                told = lane.events_of(taken, changes, self.evidence, about)
            except Exception:
                lane.figures.errors += 1
                log.exception("frame given up", extra={"camera": lane.camera_id})
                continue
            self.stages.add(result.timings_ms)
            self._count(lane, taken, step, count)
            events += told
            self._dirty.add(lane.camera_id)
            if told:
                self.committer.add([], {lane.camera_id: lane.state()})
        return events

    def _count(self, lane: Lane, taken: Taken, step: Pass, embedded: int) -> None:
        figures = lane.figures
        figures.processed += 1
        figures.detector_runs += step.detected
        figures.embedded += embedded
        figures.postponed = lane.memory.postponed
        figures.slots = len(lane.memory.book)
        figures.spared += max(0, figures.slots - embedded)
        figures.age.add(self.clock.age_s(taken.shared.captured_ns))

    def _commit(self, events: list[Event]) -> None:
        now = self.clock.seconds()
        states: Mapping[str, bytes] = {}
        if now - self._saved_at >= self.checkpoint_s:
            states = {name: self.lanes[name].state() for name in self._dirty & set(self.lanes)}
            self._dirty.clear()
            self._saved_at = now
        self.committer.add(events, states)
        self.committer.flush()

    def _failed(self, error: InferenceError) -> None:
        self._failures += 1
        log.error("inference failed", extra={"problem": error, "in_a_row": self._failures})
        if self._failures >= _MOST_FAILURES:
            raise error

    def _inferred(self) -> None:
        self.progress += 1
        self._inferred_at = self.clock.seconds()
