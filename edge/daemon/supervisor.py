"""The supervisor: starts, watches and stops everything else; loads neither models nor pictures."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from edge.camera.segment import remove_stale
from edge.config import Config, load_config
from edge.daemon.cameras import Cameras
from edge.daemon.committer import Committer
from edge.daemon.device import DeviceReport
from edge.daemon.health import HealthServer
from edge.daemon.keeper import InferenceKeeper
from edge.daemon.logs import set_up
from edge.daemon.metrics import Figures, render
from edge.daemon.notify import Notifier, watchdog_s
from edge.daemon.outbox import Outbox
from edge.daemon.paths import limits_of, outbox_path
from edge.daemon.sinks import prepare_sinks, secrets_of, start_deliveries
from edge.daemon.watchdog import Watchdog
from edge.errors import ConfigError, EdgeError, OutputError

log = logging.getLogger("edge.supervisor")

TICK_S = 0.1
_STOP_S = 2.5
_EXTEND_S = 60.0


class Supervisor:
    """One run of the daemon.

    Args:
        path: the configuration file; read again on SIGHUP.

    Raises:
        ConfigError: the configuration or a secret is wrong.
        EdgeError: a folder, port or shared memory cannot be had.
    """

    def __init__(self, path: Path, notifier: Notifier | None = None) -> None:
        self._path = path
        self._config = config = load_config(path)
        set_up(config.log, "supervisor", secrets_of(config))
        self._notifier = notifier or Notifier()
        self._stop = self._reload = False
        self._reloading = False
        self._models_before = config.models
        self._starts_before = 0
        self._ready = False
        self._extended_at = float("-inf")
        config.device.state_dir.mkdir(parents=True, exist_ok=True)
        self._outbox = Outbox(outbox_path(config), limits_of(config), mend=True)
        self._committer = Committer(self._outbox)
        for stale in remove_stale():
            log.info("stale shared memory removed", extra={"file": str(stale)})
        self._cameras = Cameras(config.device.id)
        self._cameras.set(config.cameras)
        self._watchdog_s = watchdog_s()
        self._watchdog = Watchdog(
            self._notifier.watchdog,
            (self._watchdog_s or 30.0) / 4,
            config.supervision.progress_s,
        )
        self._keeper = InferenceKeeper(
            config.supervision, self._order, self._watchdog, self._wake_sinks
        )
        sinks = prepare_sinks(config, self._outbox)
        self._deliveries = start_deliveries(sinks, self._outbox)
        self._report = DeviceReport(config.device.id)
        self._figures = Figures(outbox_path(config))
        self._server = self._serve(config)

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; the exit status.

        Raises:
            EdgeError: inference could never be started, and said why.
        """
        restore = self._catch_signals()
        try:
            while not self._stop:
                self._tick()
                if self._reload:
                    self._reload = False
                    self._read_again()
            return 0
        finally:
            self._shut_down()
            restore()

    # ------------------------------------------------------------------------------- each tick

    def _tick(self) -> None:
        self._keeper.poll(TICK_S)
        self._committer.add(self._cameras.poll(self._config.events.health_s))
        if self._cameras.some_came_late():
            self._keeper.tell("reload", self._order())
        if not self._ready:
            self._starting()
        if self._reloading:
            self._see_reload()
        state = self._report.judge(
            self._keeper, self._cameras, self._deliveries, self._committer.problem
        )
        self._notifier.status(state.line)
        self._committer.add(self._report.events(state, self._config.events.health_s))
        depth = self._committer.depth
        if self._committer.flush() and depth:
            self._wake_sinks()
        self._figures.update(self._keeper, self._cameras, self._deliveries, self._committer, state)

    def _starting(self) -> None:
        if self._keeper.phase == "ready":
            self._ready = True
            self._notifier.ready()
            log.info("ready", extra={k: v for k, v in self._keeper.info.items() if k != "type"})
            return
        if self._keeper.failure is not None:
            # it named the reason: systemd and the operator shall see it, not a loop of restarts
            problem, exit_status = self._keeper.failure
            error = ConfigError(problem) if exit_status == 2 else EdgeError(problem)
            raise error
        if self._keeper.phase == "building":
            now = time.monotonic()
            if now - self._extended_at > _EXTEND_S / 4:
                self._extended_at = now
                self._notifier.extend_timeout(_EXTEND_S)

    def _order(self) -> dict[str, object]:
        patience_s = min(self._watchdog_s or 1e9, self._config.supervision.progress_s)
        return {
            "config": self._config.to_json(),
            "segments": self._cameras.segments,
            "canary_s": patience_s / 3,
        }

    def _wake_sinks(self) -> None:
        for delivery in self._deliveries:
            delivery.wake()

    # ---------------------------------------------------------------------------------- reload

    def _read_again(self) -> None:
        """Take over the configuration as it is now; a wrong one changes nothing."""
        self._notifier.reloading()
        before = self._config
        try:
            config = load_config(self._path)
            secrets = secrets_of(config)
            if config.device != before.device:
                raise ConfigError("device: id and state_dir need a restart")
            sinks = prepare_sinks(config, self._outbox) if _deliver_anew(config, before) else None
            if config.http != before.http:
                server, self._server = self._server, self._serve(config)
                if server is not None:
                    server.close()
        except (ConfigError, OutputError) as error:
            log.error("configuration not taken over", extra={"problem": error})
            self._notifier.ready()
            return
        self._config = config
        set_up(config.log, "supervisor", secrets)
        self._outbox.limits = limits_of(config)
        self._cameras.set(config.cameras)
        if sinks is not None:
            for delivery in self._deliveries:
                delivery.stop()
            self._deliveries = start_deliveries(sinks, self._outbox)
        self._keeper.use(config.supervision)
        self._watchdog.stuck_s = config.supervision.progress_s
        self._models_before = before.models
        self._starts_before = self._keeper.starts
        self._reloading = True
        self._keeper.reloads.clear()
        self._keeper.tell("reload", self._order())

    def _see_reload(self) -> None:
        """End a reload when inference says so, or when a new process began with it."""
        if self._keeper.reloads:
            problem = str(self._keeper.reloads[-1].get("problem") or "")
            self._keeper.reloads.clear()
            if problem:
                log.error("models or gallery not taken over", extra={"problem": problem})
                # a process that is started anew must get those that worked
                self._config = self._config.model_copy(update={"models": self._models_before})
            else:
                log.info("configuration taken over")
        elif self._keeper.phase != "down" and self._keeper.starts == self._starts_before:
            return
        self._reloading = False
        self._notifier.ready()

    # ------------------------------------------------------------------------- start and stop

    def _serve(self, config: Config) -> HealthServer | None:
        if not config.http.port:
            return None
        return HealthServer(
            config.http.port,
            is_alive=self._is_alive,
            is_ready=lambda: self._keeper.phase == "ready" and self._cameras.serving > 0,
            details=self._report.details,
            metrics=lambda: render(self._figures),
        )

    def _is_alive(self) -> bool:
        return self._keeper.phase != "down" and not self._watchdog.is_stuck(time.monotonic())

    def _catch_signals(self) -> Callable[[], None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stop = True

        def reload(_number: int, _frame: FrameType | None) -> None:
            self._reload = True

        wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, handler) for number, handler in wanted.items()}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _shut_down(self) -> None:
        self._notifier.stopping()
        self._cameras.ask_to_stop()
        self._keeper.stop(_STOP_S)
        self._committer.flush(at_once=True)
        self._cameras.stop()
        for delivery in self._deliveries:
            delivery.ask_to_stop()
        for delivery in self._deliveries:
            delivery.stop(0.5)
        if self._server is not None:
            self._server.close()
        self._outbox.close()
        log.info("stopped", extra={"pid": os.getpid()})


def _deliver_anew(now: Config, before: Config) -> bool:
    """Whether sinks have to be made again; the cameras' names are part of discovery."""
    return now.sinks != before.sinks or now.cameras != before.cameras
