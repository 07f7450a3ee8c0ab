"""The inference process: models, gallery and the shelf memories of all cameras."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.config import Config
from edge.daemon.channel import Channel, ClosedError
from edge.daemon.child import enter_child
from edge.daemon.clock import FrameClock
from edge.daemon.committer import Committer
from edge.daemon.evidence import EvidenceStore
from edge.daemon.freed_memory import give_back
from edge.daemon.lane import Lane, LaneOrder
from edge.daemon.logs import set_up
from edge.daemon.loop import Loop
from edge.daemon.outbox import Outbox
from edge.daemon.outbox_schema import DamagedError
from edge.daemon.paths import evidence_folder, limits_of, outbox_path
from edge.daemon.runtime import Runtime, build_engines, may_build, open_runtime
from edge.daemon.swap import Loaded, Loader
from edge.errors import CameraError, EdgeError

log = logging.getLogger("edge.daemon")

_STATUS_S = 0.5
_IDLE_SLEEP_S = 0.008
_PATIENCE = 6
"""Times the usual interval until models or a gallery that could not be loaded are tried again."""


class InferenceProcess:
    """Takes orders from the supervisor, runs rounds, reports figures."""

    def __init__(self, channel: Channel, start: Mapping[str, Any]) -> None:
        self._channel = channel
        self._config = Config.from_json(start["config"])
        set_up(self._config.log, "inference")
        self._segments: dict[str, str] = dict(start["segments"])
        self._canary_s = float(start["canary_s"])
        self._outbox = Outbox(outbox_path(self._config), limits_of(self._config))
        self._clock = FrameClock()
        self._loader = Loader()
        self._refresh_at = 0.0
        self._told_at = 0.0
        self._committed = 0
        self._problems = {"configuration": "", "files": ""}
        self._stop = False
        self._wanted: Config | None = None
        self._loop = Loop(
            self._first_runtime(),
            {},
            Committer(self._outbox),
            EvidenceStore(evidence_folder(self._config), self._config.evidence),
            self._clock,
            self._config.outbox.checkpoint_s,
        )
        self._outbox.forget_states([camera.id for camera in self._config.cameras])
        self._loop.progress = 1
        give_back()
        self._set_lanes()

    def run(self) -> None:
        """Work until the supervisor says stop.

        Raises:
            EdgeError: what only a new process can mend.
            ClosedError: the supervisor is gone.
        """
        info = self._loop.runtime.describe()
        self._channel.send("ready", progress=self._loop.progress, **info)
        while not self._stop:
            worked = self._loop.round()
            # also while frames arrive: on a still shelf they need no inference
            self._loop.idle_canary(self._canary_s)
            self._load()
            self._swap()
            self._tell()
            for message in self._channel.receive(0.0 if worked else _IDLE_SLEEP_S):
                self._obey(message)
        if not self._loop.save():
            log.error("slot states are not on disk")
        self._tell(now=True)
        for lane in self._loop.lanes.values():
            lane.close()
        self._outbox.close()

    def _first_runtime(self) -> Runtime:
        if may_build(self._config):
            self._channel.send("phase", phase="building")
            build_engines(self._config)
            self._channel.send("phase", phase="loading")
        return open_runtime(self._config)

    def _set_lanes(self) -> None:
        """Make the lanes fit the configuration; those of unchanged cameras go on as they are."""
        orders = {
            camera.id: LaneOrder(
                camera,
                self._config.slots_of(camera),
                Path(self._segments[camera.id]),
                self._config.device.id,
                self._config.events.inventory_s,
            )
            for camera in self._config.cameras
            if camera.id in self._segments
        }
        lanes = self._loop.lanes
        for name in [n for n, lane in lanes.items() if orders.get(n) != lane.order]:
            lane = lanes.pop(name)
            self._loop.committer.add([], {name: lane.state()})
            lane.close()
        self._loop.committer.flush(at_once=True)
        for name, order in orders.items():
            if name not in lanes:
                state = self._loop.committer.state(name) or self._outbox.state(name)
                try:
                    lanes[name] = Lane(order, self._clock, self._loop.runtime, state)
                except CameraError as error:
                    log.error("no frames", extra={"camera": name, "problem": error})

    def _obey(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "stop":
            self._stop = True
        elif message["type"] == "reload":
            # the last one counts, where several come before a loader is free
            self._wanted = Config.from_json(message["config"])
            self._segments = dict(message["segments"])
            self._canary_s = float(message["canary_s"])

    def _load(self) -> None:
        """Start what is due beside the loop: a new configuration first, else a look at the files."""
        if self._loader.busy:
            return
        if self._wanted is not None:
            self._loader.reload(self._wanted, self._loop.runtime, self._config)
            self._wanted = None
            return
        now = time.monotonic()
        models = self._config.models
        followed = self._loop.runtime.live is not None or models.site is not None
        if followed and now >= self._refresh_at:
            self._refresh_at = now + models.gallery_refresh_s
            self._loader.refresh(self._config, self._loop.runtime)

    def _swap(self) -> None:
        loaded = self._loader.poll()
        if loaded is None:
            return
        self._problems["configuration" if loaded.asked else "files"] = loaded.problem
        if loaded.problem:
            log.error("kept what was loaded before", extra={"problem": loaded.problem})
            # what is broken may take long to find out, and seldom mends itself
            self._refresh_at = time.monotonic() + _PATIENCE * self._config.models.gallery_refresh_s
        elif loaded.runtime is not None:
            self._loop.swap(loaded.runtime)
            give_back()
            log.info("swapped", extra=loaded.runtime.describe())
        if loaded.asked:
            self._apply(loaded)

    def _apply(self, loaded: Loaded) -> None:
        """Take over the rest of a configuration; its models only where they could be loaded."""
        assert loaded.config is not None
        config = loaded.config
        if loaded.problem:
            config = config.model_copy(update={"models": self._config.models})
        self._config = config
        set_up(config.log, "inference")
        self._loop.checkpoint_s = config.outbox.checkpoint_s
        self._loop.evidence = EvidenceStore(evidence_folder(config), config.evidence)
        self._outbox.limits = limits_of(config)
        self._set_lanes()
        self._channel.send("reloaded", problem=loaded.problem, info=self._loop.runtime.describe())

    def _tell(self, *, now: bool = False) -> None:
        loop = self._loop
        if loop.committer.committed != self._committed:
            self._committed = loop.committer.committed
            self._channel.send("committed")
        seconds = time.monotonic()
        if not now and seconds - self._told_at < _STATUS_S:
            return
        self._told_at = seconds
        self._channel.send(
            "status",
            progress=loop.progress,
            cameras={name: lane.figures.to_json() for name, lane in loop.lanes.items()},
            stages_ms=loop.stages.total_ms,
            in_memory=loop.committer.depth,
            lost_in_memory=loop.committer.dropped,
            problem=loop.committer.problem,
            models_problem="; ".join(filter(None, self._problems.values())),
            evidence={
                "bytes": loop.evidence.bytes,
                "written": loop.evidence.written,
                "deleted": loop.evidence.deleted,
                "failed": loop.evidence.failed,
            },
            **loop.runtime.describe(),
        )


def main(fd: int, parent: int) -> int:
    """Run until told to stop; 0 then, an error's exit status otherwise."""
    channel = enter_child(fd, parent)
    try:
        start = next(iter(channel.receive(30.0)), None)
        if start is None:
            return 1
        InferenceProcess(channel, start).run()
    except EdgeError as error:
        log.error("inference gives up", extra={"problem": error})
        with contextlib.suppress(ClosedError):
            channel.send(
                "failed",
                problem=str(error),
                exit_status=error.exit_status,
                damaged=isinstance(error, DamagedError),
            )
        return error.exit_status
    except ClosedError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
