"""Carries events from the outbox to one sink, in order, until it has acknowledged them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edge.camera.backoff import Backoff
from edge.daemon.outbox import Outbox, Stored
from edge.errors import OutputError

log = logging.getLogger("edge.delivery")

BATCH = 200
IDLE_S = 2.0
"""How long a sink sleeps when nothing wakes it: events of a process that could not say so."""


class SinkError(Exception):
    """A sink cannot take events now; the message has no secret in it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sink did with a batch: the first ``taken`` are off our hands, ``refused`` of these
    because the sink will never accept them; ``problem`` says why it went no further."""

    taken: int
    refused: int = 0
    problem: str | None = None


class Sink(Protocol):
    """Somewhere events go. Used by one thread."""

    name: str

    def send(self, events: Sequence[Stored]) -> Sent:
        """Hand over events in order and wait for the acknowledgements, for at most some seconds.

        Raises:
            SinkError: when none of them could be handed over.
        """

    def close(self) -> None:
        """Say goodbye, within a second; ``send`` may be called again."""


@dataclass(slots=True)
class SinkStatus:
    """Figures of a sink for metrics; written by its thread, read by others."""

    sent: int = 0
    refused: int = 0
    failures: int = 0
    ok: bool = True
    problem: str = ""


@dataclass(slots=True)
class Delivery:
    """A thread that empties the outbox into one sink."""

    sink: Sink
    path: Path
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 60.0))
    status: SinkStatus = field(default_factory=SinkStatus)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to deliver; the sink's name must be registered in the outbox."""
        self._thread = threading.Thread(
            target=self._run, name=f"sink-{self.sink.name}", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    def ask_to_stop(self) -> None:
        """Begin to stop, so that several sinks stop together."""
        self._stop.set()
        self._wake.set()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop after the batch in hand; what is not acknowledged stays in the outbox."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        outbox: Outbox | None = None
        try:
            while not self._stop.is_set():
                try:
                    if outbox is None:
                        outbox = Outbox(self.path)
                    more = self._deliver(outbox)
                except (SinkError, OutputError) as error:
                    self._failed(str(error))
                    continue
                except Exception:
                    # a thread that dies in silence is the worst failure of all: for months nobody
                    # would notice, and the outbox would fill up and drop
                    log.exception("delivery breaks off", extra={"sink": self.sink.name})
                    self._failed("internal error, see the log")
                    self._let_go(outbox)
                    outbox = None
                    continue
                if not more:
                    self._wake.wait(IDLE_S)
                    self._wake.clear()
        finally:
            self._let_go(outbox)

    def _let_go(self, outbox: Outbox | None) -> None:
        """Let go of everything that may be in a state that nobody thought of."""
        with contextlib.suppress(Exception):
            self.sink.close()
        if outbox is not None:
            with contextlib.suppress(Exception):
                outbox.close()

    def _deliver(self, outbox: Outbox) -> bool:
        """One batch; whether there may be more at once."""
        batch = outbox.waiting(self.sink.name, BATCH)
        if not batch:
            return False
        sent = self.sink.send(batch)
        if sent.taken:
            outbox.acknowledge(self.sink.name, batch[sent.taken - 1].seq, sent.refused)
            self.status.sent += sent.taken - sent.refused
            self.status.refused += sent.refused
        if sent.problem is not None:
            self._failed(sent.problem)
            return True
        if not self.status.ok:
            log.warning("sink works again", extra={"sink": self.sink.name})
        self.status.ok, self.status.problem = True, ""
        self.backoff.reset()
        return len(batch) == BATCH

    def _failed(self, problem: str) -> None:
        self.status.failures += 1
        self.status.ok, self.status.problem = False, problem
        wait_s = self.backoff.next_pause()
        log.warning(
            "sink fails",
            extra={"sink": self.sink.name, "problem": problem, "retry_s": round(wait_s, 1)},
        )
        self._stop.wait(wait_s)
