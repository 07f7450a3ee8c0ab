"""The latest frame of a camera in shared memory: one writer, any readers, nobody waits.

A sequence-numbered double buffer (a seqlock: Boehm, "Can seqlocks get along with programming
language memory models?", 2012). The writer fills the buffer that is not the latest, between two
changes of that buffer's sequence number; a reader copies and takes the copy only if the number was
even and is the same afterwards. Nobody holds a lock, so a process may be killed at any instruction.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.camera.mapping import HEADER_BYTES, WORD_LATEST, Mapping
from edge.errors import CameraError
from edge.types import U8

_SLOTS = (16, 32)
_SEQUENCE, _NUMBER, _UTC_NS, _AT_NS, _WIDTH, _HEIGHT, _LEFT, _TOP, _FULL_W, _FULL_H = range(10)
_SLOT_WORDS = 10
_READ_ATTEMPTS = 8


@dataclass(frozen=True, slots=True, eq=False)
class SharedFrame:
    """A whole frame, copied out of shared memory.

    ``image`` is ``(H, W, 3) uint8`` RGB, cut to the region of interest, whose corner lies at
    ``origin_xy`` in the camera's picture of ``full_wh`` pixels. ``index`` counts the frames of this
    segment from 1. ``captured_ns`` is monotonic, ``captured_at`` the wall clock's date (UTC) then.
    """

    image: U8
    index: int
    captured_at: datetime
    captured_ns: int
    origin_xy: tuple[int, int]
    full_wh: tuple[int, int]

    def age_s(self, now_ns: int) -> float:
        """Seconds since the picture was taken; ``now_ns`` is ``time.monotonic_ns()``."""
        return max(0.0, (now_ns - self.captured_ns) / 1e9)


class FrameWriter:
    """The only writer of a segment; it never waits."""

    def __init__(self, path: Path) -> None:
        self._map = Mapping(path)
        self._reserved = 0
        self._pending: tuple[int, int, int] | None = None

    @property
    def mapping(self) -> Mapping:
        """The segment, for what is stored beside the frames."""
        return self._map

    def begin(self, height: int, width: int) -> U8:
        """The buffer to fill, ``(height, width, 3) uint8``; readers meanwhile keep the last frame.

        Raises:
            CameraError: the picture is larger than the segment, or memory is short.
        """
        size = height * width * 3
        if size > self._map.capacity:
            raise CameraError(
                f"a picture of {width} x {height} pixels is larger than the shared memory"
                f" ({self._map.capacity // 3} pixels)"
            )
        self._reserve(size)
        words = self._map.words
        number = words[WORD_LATEST] + 1
        buffer = number % 2
        # odd: in work. A writer that was killed here left it odd, so go on to the next odd number
        words[_SLOTS[buffer] + _SEQUENCE] += 1 + words[_SLOTS[buffer] + _SEQUENCE] % 2
        self._map.fence()
        self._pending = (number, height, width)
        return self._map.pixels(buffer, height, width)

    def commit(
        self,
        *,
        captured_ns: int,
        captured_at: datetime,
        origin_xy: tuple[int, int] = (0, 0),
        full_wh: tuple[int, int] | None = None,
    ) -> int:
        """Make the filled buffer the latest frame; returns its index."""
        if self._pending is None:
            raise ValueError("commit without begin")
        (number, height, width), self._pending = self._pending, None
        words = self._map.words
        slot = _SLOTS[number % 2]
        full = full_wh or (width, height)
        utc_ns = int(captured_at.timestamp() * 1_000_000) * 1000
        values = (number, utc_ns, captured_ns, width, height, *origin_xy, *full)
        for offset, value in enumerate(values, 1):
            words[slot + offset] = value
        self._map.fence()
        words[slot + _SEQUENCE] += 1
        self._map.fence()
        words[WORD_LATEST] = number
        return number

    def close(self) -> None:
        """Unmap the segment."""
        self._map.close()

    def _reserve(self, size: int) -> None:
        """Take the memory now: a page that cannot be had later would kill this process."""
        if size <= self._reserved:
            return
        with self._map.path.open("r+b") as file:
            for buffer in (0, 1):
                try:
                    os.posix_fallocate(
                        file.fileno(), HEADER_BYTES + buffer * self._map.capacity, size
                    )
                except OSError as error:
                    raise CameraError(
                        f"{self._map.path.parent}: no room for frames of {size // 1_000_000} MB:"
                        f" {error.strerror}"
                    ) from error
        self._reserved = size


class FrameReader:
    """Takes the latest whole frame of a segment; any number of readers, in any process."""

    def __init__(self, path: Path) -> None:
        self._map = Mapping(path)

    @property
    def mapping(self) -> Mapping:
        """The segment, for what is stored beside the frames."""
        return self._map

    def latest(self, newer_than: int = 0) -> SharedFrame | None:
        """The latest frame with an index above ``newer_than``, or None; never waits for the writer.

        None is also returned in the unlikely case that the writer overtook every attempt to copy.
        """
        words = self._map.words
        for _ in range(_READ_ATTEMPTS):
            number = words[WORD_LATEST]
            if number <= newer_than:
                return None
            slot = _SLOTS[number % 2]
            before = words[slot + _SEQUENCE]
            self._map.fence()
            if before % 2:
                continue
            values = tuple(words[slot : slot + _SLOT_WORDS])
            self._map.fence()
            if words[slot + _SEQUENCE] != before or values[_NUMBER] <= newer_than:
                continue
            image = self._map.pixels(number % 2, values[_HEIGHT], values[_WIDTH]).copy()
            self._map.fence()
            if words[slot + _SEQUENCE] == before:
                return SharedFrame(
                    image=image,
                    index=values[_NUMBER],
                    captured_at=datetime.fromtimestamp(values[_UTC_NS] / 1e9, UTC),
                    captured_ns=values[_AT_NS],
                    origin_xy=(values[_LEFT], values[_TOP]),
                    full_wh=(values[_FULL_W], values[_FULL_H]),
                )
        return None

    def latest_ns(self) -> int:
        """Monotonic nanoseconds at which the latest frame was taken; 0 before the first."""
        words = self._map.words
        for _ in range(_READ_ATTEMPTS):
            number = words[WORD_LATEST]
            slot = _SLOTS[number % 2]
            before = words[slot + _SEQUENCE]
            self._map.fence()
            taken_ns = words[slot + _AT_NS]
            self._map.fence()
            if before % 2 == 0 and words[slot + _SEQUENCE] == before:
                return taken_ns if number else 0
        return 0

    def close(self) -> None:
        """Unmap the segment; frames that were read stay valid."""
        self._map.close()
