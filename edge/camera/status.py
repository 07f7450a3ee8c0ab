"""What a capture process says of itself, beside its frames in shared memory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from edge.camera.mapping import HEADER_BYTES, STATUS_WORD, Mapping

Phase = Literal["loading", "opening", "reading", "failed"]
Picture = Literal["ok", "black", "grey", "frozen"]

_SEQUENCE, _LENGTH, _PROGRESS_NS, _RECEIVED, _HANDED_ON, _WITHHELD, _CPU_NS, _FROZEN = range(
    STATUS_WORD, STATUS_WORD + 8
)
_TEXT_START = (STATUS_WORD + 16) * 8
_TEXT_BYTES = HEADER_BYTES - _TEXT_START
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What is known of an open stream; empty or 0 where unknown.

    ``keyframe_s`` is the time between the last two key frames, ``lag_s`` how long the last frame
    had waited on its way, measured against the quickest frame of the last minute. ``errors`` are the
    decoder's: lost or damaged data.
    """

    codec: str = ""
    transport: str = ""
    decoder: str = ""
    width: int = 0
    height: int = 0
    opened_s: float = 0.0
    first_frame_s: float = 0.0
    keyframe_s: float = 0.0
    lag_s: float = 0.0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The part of a status that changes rarely; all times are monotonic nanoseconds."""

    phase: Phase = "loading"
    phase_ns: int = 0
    reason: str = ""
    picture: Picture = "ok"
    picture_ns: int = 0
    info: StreamInfo = StreamInfo()


@dataclass(frozen=True, slots=True)
class Status:
    """A whole status: the report and the counters of the process that runs now."""

    report: Report
    progress_ns: int
    received: int
    handed_on: int
    withheld: int
    cpu_ns: int


class StatusWriter:
    """Used by the capture process, and by its parent while there is none."""

    def __init__(self, mapping: Mapping) -> None:
        self._map = mapping
        self.report = Report()

    def clear(self, now_ns: int) -> None:
        """Forget the last process."""
        for word in (_RECEIVED, _HANDED_ON, _WITHHELD, _CPU_NS):
            self._map.words[word] = 0
        self._map.words[_PROGRESS_NS] = now_ns
        self.tell(Report(phase_ns=now_ns, picture_ns=now_ns))

    def tell(self, report: Report) -> None:
        """Replace the report; a reason that is too long is cut."""
        self.report = replace(report, reason=report.reason[:500])
        text = json.dumps(asdict(self.report)).encode()
        assert len(text) <= _TEXT_BYTES
        words = self._map.words
        words[_SEQUENCE] += 1 + words[_SEQUENCE] % 2
        self._map.fence()
        assert self._map.memory is not None
        self._map.memory[_TEXT_START : _TEXT_START + len(text)] = text
        words[_LENGTH] = len(text)
        self._map.fence()
        words[_SEQUENCE] += 1

    @property
    def frozen(self) -> int:
        """Digest of the picture at which the stream froze, over restarts of the process; 0: none."""
        return self._map.words[_FROZEN]

    @frozen.setter
    def frozen(self, digest: int) -> None:
        self._map.words[_FROZEN] = digest

    def progress(self, now_ns: int) -> None:
        """The process is not stuck in its source."""
        self._map.words[_PROGRESS_NS] = now_ns

    def count(self, *, handed_on: int = 0, withheld: int = 0, cpu_ns: int | None = None) -> None:
        """One more frame was received, and what became of it."""
        words = self._map.words
        words[_RECEIVED] += 1
        words[_HANDED_ON] += handed_on
        words[_WITHHELD] += withheld
        if cpu_ns is not None:
            words[_CPU_NS] = cpu_ns


def read_status(mapping: Mapping) -> Status | None:
    """The status as it stands; None where its writer was killed in the middle of a change."""
    words = mapping.words
    for _ in range(_ATTEMPTS):
        before = words[_SEQUENCE]
        mapping.fence()
        assert mapping.memory is not None
        text = bytes(mapping.memory[_TEXT_START : _TEXT_START + min(words[_LENGTH], _TEXT_BYTES)])
        mapping.fence()
        if before % 2 == 0 and words[_SEQUENCE] == before and text:
            fields = json.loads(text)
            report = Report(**{**fields, "info": StreamInfo(**fields["info"])})
            return Status(
                report,
                words[_PROGRESS_NS],
                words[_RECEIVED],
                words[_HANDED_ON],
                words[_WITHHELD],
                words[_CPU_NS],
            )
    return None
