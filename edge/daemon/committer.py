"""Between those who make events and the outbox: keeps them while the disk takes nothing."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from edge.daemon.events import Event
from edge.daemon.outbox import Outbox
from edge.daemon.outbox_schema import DamagedError
from edge.errors import OutputError

log = logging.getLogger("edge.outbox")

RETRY_S = 2.0


class Committer:
    """Commits events and states together; after a failure all of it waits for the next try.

    While the disk is full (or read-only, or slow beyond SQLite's patience) events are kept in memory,
    at most ``most``: beyond it the oldest snapshot goes, else the oldest event, and is counted.
    """

    def __init__(
        self, outbox: Outbox, most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._outbox = outbox
        self._most = most
        self._clock = clock
        self._waiting: deque[Event] = deque()
        self._states: dict[str, bytes] = {}
        self._retry_at = float("-inf")
        self.problem = ""
        self.dropped = 0
        self.committed = 0

    @property
    def depth(self) -> int:
        """Events that are in memory only."""
        return len(self._waiting)

    def add(self, events: Iterable[Event], states: Mapping[str, bytes] | None = None) -> None:
        """Take events, in order, and the states that caused them; ``flush`` brings them to disk."""
        self._waiting.extend(events)
        self._states.update(states or {})
        while len(self._waiting) > self._most:
            oldest = next((e for e in self._waiting if e.is_snapshot), self._waiting[0])
            self._waiting.remove(oldest)
            self.dropped += 1

    def state(self, name: str) -> bytes | None:
        """A state that is not on disk yet; None where there is none."""
        return self._states.get(name)

    def flush(self, *, at_once: bool = False) -> bool:
        """Commit what waits, unless the last failure was a moment ago; whether nothing waits now.

        Raises DamagedError, which no retry mends.
        """
        if not self._waiting and not self._states:
            return True
        if not at_once and self._clock() < self._retry_at:
            return False
        try:
            self._outbox.commit(self._states, self._waiting)
        except DamagedError:
            raise
        except OutputError as error:
            self._retry_at = self._clock() + RETRY_S
            self.problem = str(error)
            log.error("events wait in memory", extra={"events": self.depth, "problem": error})
            return False
        if self.problem:
            log.warning("events are on disk again", extra={"events": self.depth})
        self.committed += len(self._waiting)
        self.problem = ""
        self._waiting.clear()
        self._states.clear()
        return True
