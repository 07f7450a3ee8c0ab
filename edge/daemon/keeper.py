"""Keeps the inference process running: starts, watches, kills and restarts it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.camera.backoff import Backoff
from edge.daemon.channel import ClosedError
from edge.daemon.child import Child
from edge.daemon.outbox_schema import DamagedError
from edge.daemon.settings import SupervisionSettings
from edge.daemon.watchdog import Watchdog

log = logging.getLogger("edge.supervisor")

MODULE = "edge.daemon.inference"
_STABLE_S = 60.0
_IN_USE = ("provider", "bundle", "gallery", "skus")


class InferenceKeeper:
    """The inference process as the supervisor sees it. ``poll`` often, from the main thread.

    Attributes:
        phase: ``down``, ``loading``, ``building`` (an engine, which takes minutes) or ``ready``.
        info: what it uses, as it last said: provider, bundle, gallery.
        status: its latest figures.
        failure: message and exit status of an error that it could name.
    """

    def __init__(
        self,
        settings: SupervisionSettings,
        order: Callable[[], Mapping[str, Any]],
        watchdog: Watchdog,
        on_commit: Callable[[], None],
    ) -> None:
        """``order`` gives the fields of the first message to a new process; ``on_commit`` is called
        when events were committed."""
        self._settings = settings
        self._order = order
        self._watchdog = watchdog
        self._on_commit = on_commit
        self._child: Child | None = None
        self._backoff = Backoff(settings.restart_first_s, settings.restart_most_s)
        self._start_at = float("-inf")
        self._phase_since = time.monotonic()
        self.phase = "down"
        self.info: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.failure: tuple[str, int] | None = None
        self.starts = 0
        self.reloads: list[Mapping[str, Any]] = []

    @property
    def pid(self) -> int | None:
        """Process id, while it runs."""
        return self._child.pid if self._child is not None else None

    def use(self, settings: SupervisionSettings) -> None:
        """Go on with other times."""
        self._settings = settings
        self._backoff = Backoff(settings.restart_first_s, settings.restart_most_s)

    def poll(self, wait_s: float) -> None:
        """Do what is due; waits at most ``wait_s`` for a message.

        Raises:
            DamagedError: inference found the outbox damaged.
        """
        now = time.monotonic()
        if self._child is None:
            if now >= self._start_at:
                self._start(now)
            else:
                time.sleep(min(wait_s, self._start_at - now))
            return
        try:
            for message in self._child.channel.receive(wait_s):
                self._take(message)
        except ClosedError:
            self._ended()
            return
        now = time.monotonic()
        if self.phase == "building":
            if now - self._phase_since > self._settings.build_s:
                self._kill("building engines takes too long")
        elif self.phase == "loading":
            if now - self._phase_since > self._settings.load_s:
                self._kill("loading models takes too long")
        elif self._watchdog.is_stuck(now):
            self._kill("no progress of inference")
        elif self.phase == "ready" and now - self._phase_since > _STABLE_S:
            self._backoff.reset()

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Send a message; a process that is just ending gets its orders at the next start."""
        if self._child is not None:
            with contextlib.suppress(ClosedError):
                self._child.channel.send(kind, **fields)

    def stop(self, timeout_s: float) -> None:
        """Let it finish its round and save; kill it after the time."""
        if self._child is None:
            return
        self.tell("stop", {})
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                for message in self._child.channel.receive(0.1):
                    self._take(message)
            except ClosedError:
                break
        if not self._child.wait(max(0.1, deadline - time.monotonic())):
            self._child.kill()
        self._child = None
        self._enter("down")

    def _start(self, now: float) -> None:
        self.starts += 1
        self._child = Child(MODULE)
        self._watchdog.restarted(now)
        self._enter("loading")
        self.tell("start", self._order())

    def _take(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        now = time.monotonic()
        if kind == "status":
            self.status = dict(message)
            # models and gallery are swapped while it runs
            self.info |= {key: message[key] for key in _IN_USE if key in message}
            if self.phase == "ready":
                self._watchdog.progress(int(message["progress"]), now)
        elif kind == "committed":
            self._on_commit()
        elif kind == "phase":
            # loading may follow building: its time begins anew
            self._watchdog.restarted(now)
            self._enter(str(message["phase"]))
        elif kind == "ready":
            self.info = dict(message)
            self.failure = None
            self._enter("ready")
            self._watchdog.progress(int(message["progress"]), now)
        elif kind == "reloaded":
            self.reloads.append(message)
            self.info |= message.get("info") or {}
        elif kind == "failed":
            if message["damaged"]:
                raise DamagedError(str(message["problem"]))
            self.failure = (str(message["problem"]), int(message["exit_status"]))

    def _kill(self, why: str) -> None:
        assert self._child is not None
        log.error("inference is killed", extra={"why": why, "pid": self._child.pid})
        self._child.kill()
        self._ended()

    def _ended(self) -> None:
        assert self._child is not None
        if not self._child.wait(1.0):
            self._child.kill()
        pause_s = self._backoff.next_pause()
        self._start_at = time.monotonic() + pause_s
        log.error(
            "inference ended",
            extra={
                "exit_status": self._child.exit_status(),
                "problem": self.failure[0] if self.failure else "",
                "restart_s": round(pause_s, 2),
            },
        )
        self._child = None
        self.status = {}
        self._enter("down")

    def _enter(self, phase: str) -> None:
        if phase != self.phase:
            self._phase_since = time.monotonic()
        self.phase = phase
