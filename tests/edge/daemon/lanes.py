"""The inference loop inside the test's own process, fed with pictures by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from edge.camera.clock import Clock
from edge.camera.segment import Segment
from edge.camera.shared_frame import FrameWriter
from edge.config import CameraConfig
from edge.daemon.clock import FrameClock
from edge.daemon.committer import Committer
from edge.daemon.evidence import EvidenceStore
from edge.daemon.lane import Lane, LaneOrder
from edge.daemon.loop import Loop
from edge.daemon.outbox import Outbox
from edge.daemon.runtime import Runtime
from edge.daemon.settings import EvidenceSettings
from edge.shelf.slot_settings import SlotSettings
from edge.types import U8

SLOTS = SlotSettings(calm_s=0.3, votes=1, detect_s=5.0, gap_after_s=30.0)
START = datetime(2031, 5, 4, 9, 30, tzinfo=UTC)


@dataclass
class HandClock:
    """Both clocks, moved by hand."""

    monotonic_s: float = 1000.0
    wall: datetime = START

    def tick(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall += timedelta(seconds=seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: int(self.monotonic_s * 1e9), lambda: self.wall)


@dataclass
class Bench:
    """A loop with cameras whose pictures the test writes."""

    folder: Path
    runtime: Runtime
    names: tuple[str, ...] = ("a",)
    slots: SlotSettings = SLOTS
    inventory_s: float = 3600.0
    checkpoint_s: float = 30.0
    hand: HandClock = field(default_factory=HandClock)
    capacity_pixels: int = 256 * 256

    def __post_init__(self) -> None:
        self.segments = {
            name: Segment(name, directory=self.folder, capacity_pixels=self.capacity_pixels)
            for name in self.names
        }
        self.writers = {name: FrameWriter(s.path) for name, s in self.segments.items()}
        self.outbox = Outbox(self.folder / "outbox.db")
        self.outbox.register(["x"])
        self.start()

    def start(self) -> None:
        """Begin as a new process would, with what is in the outbox."""
        clock = FrameClock(self.hand.clock)
        self.loop = Loop(
            self.runtime,
            {},
            Committer(self.outbox),
            EvidenceStore(self.folder / "evidence", EvidenceSettings()),
            clock,
            checkpoint_s=self.checkpoint_s,
        )
        for name in self.names:
            camera = CameraConfig(id=name, url="/dev/video0")
            order = LaneOrder(camera, self.slots, self.segments[name].path, "dev", self.inventory_s)
            state = self.outbox.state(name)
            self.loop.lanes[name] = Lane(order, clock, self.runtime, state)

    def show(self, pictures: Mapping[str, U8], step_s: float = 0.2) -> bool:
        """Time passes, each camera gets a picture, and a round is done."""
        self.hand.tick(step_s)
        for name, picture in pictures.items():
            self.write(name, picture)
        return self.loop.round()

    def write(self, name: str, picture: U8) -> None:
        buffer = self.writers[name].begin(*picture.shape[:2])
        buffer[:] = picture
        self.writers[name].commit(
            captured_ns=int(self.hand.monotonic_s * 1e9), captured_at=self.hand.wall
        )

    def events(self, kind: str = "change") -> list[str]:
        """The payloads that wait, of a kind."""
        return [s.payload for s in self.outbox.waiting("x", 100_000) if s.kind == kind]

    def close(self) -> None:
        for lane in self.loop.lanes.values():
            lane.close()
        for name, writer in self.writers.items():
            writer.close()
            self.segments[name].close()
        self.outbox.close()


def noisy(picture: U8, seed: int, levels: int = 3) -> U8:
    """The picture as a sensor sees it, another each time."""
    noise = np.random.default_rng(seed).integers(-levels, levels + 1, picture.shape)
    return np.asarray(np.clip(picture.astype(np.int16) + noise, 0, 255), np.uint8)
