"""The health of the device as a whole: one judgement, for systemd, events and /healthz."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from edge.daemon.cameras import SERVING, Cameras
from edge.daemon.delivery import Delivery
from edge.daemon.events import DEVICE, Event, event_id
from edge.daemon.keeper import InferenceKeeper

_THERMAL = Path("/sys/class/thermal")


@dataclass(frozen=True, slots=True)
class DeviceState:
    """``starting`` until models are loaded, ``degraded`` with reasons, else ``ok``."""

    state: Literal["starting", "ok", "degraded"]
    reasons: tuple[str, ...]
    line: str


class DeviceReport:
    """Judges, and tells when the judgement changes or its time has come."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._begun = time.monotonic()
        self._told: DeviceState | None = None
        self._told_at = float("-inf")
        self._details: dict[str, Any] = {}

    def judge(
        self,
        keeper: InferenceKeeper,
        cameras: Cameras,
        deliveries: Sequence[Delivery],
        disk_problem: str,
    ) -> DeviceState:
        """How things are now. Cameras that are down make it degraded, never a reason to restart."""
        down = sorted(n for n, h in cameras.health.items() if h.state not in SERVING)
        reasons = [f"inference {keeper.phase}"] if keeper.phase != "ready" else []
        reasons += [f"camera {name} {cameras.health[name].state}" for name in down]
        reasons += [
            f"sink {d.sink.name}: {d.status.problem}" for d in deliveries if not d.status.ok
        ]
        if disk_problem or keeper.status.get("problem"):
            reasons.append("events wait in memory: the disk takes nothing")
        if keeper.status.get("models_problem"):
            reasons.append(f"models kept as they were: {keeper.status['models_problem']}")
        kind: Literal["starting", "ok", "degraded"] = "degraded" if reasons else "ok"
        if keeper.starts <= 1 and keeper.phase in ("loading", "building"):
            kind = "starting"
        good = len(cameras.health) - len(down)
        line = f"{kind}: {good} of {len(cameras.health)} cameras"
        if keeper.info.get("provider"):
            line += f" on {keeper.info['provider']}"
        if reasons:
            line += "; " + "; ".join(reasons[:4])
        state = DeviceState(kind, tuple(reasons), line)
        self._details = self._data(state, keeper, cameras)
        return state

    def events(self, state: DeviceState, health_s: float) -> list[Event]:
        """The health of the device, when it changed or was not told for ``health_s``."""
        now = time.monotonic()
        same = self._told is not None and (state.state, state.reasons) == (
            self._told.state,
            self._told.reasons,
        )
        # reasons that change all the time (a sink's words) must not flood the outbox
        least_s = 1.0 if self._told is None or state.state != self._told.state else 10.0
        waited_s = now - self._told_at
        if waited_s < (health_s if same else min(least_s, health_s)):
            return []
        self._told, self._told_at = state, now
        at = datetime.now(UTC)
        key = event_id(self._device, DEVICE, "device_health", at, time.monotonic_ns())
        return [Event(key, "device_health", self._device, DEVICE, at, dict(self._details))]

    def details(self) -> dict[str, Any]:
        """The latest judgement for /healthz and /readyz."""
        return self._details

    def _data(
        self, state: DeviceState, keeper: InferenceKeeper, cameras: Cameras
    ) -> dict[str, Any]:
        return {
            "state": state.state,
            "reasons": list(state.reasons),
            "version": version(),
            "uptime_s": round(time.monotonic() - self._begun, 1),
            "provider": keeper.info.get("provider"),
            "bundle": keeper.info.get("bundle"),
            "gallery": keeper.info.get("gallery"),
            "inference_starts": keeper.starts,
            "cameras": {name: str(h.state) for name, h in sorted(cameras.health.items())},
            "temperature_c": max(temperatures_c().values(), default=None),
        }


def temperatures_c(folder: Path = _THERMAL) -> dict[str, float]:
    """Degrees Celsius by thermal zone, of those that can be read."""
    found = {}
    for zone in sorted(folder.glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text().strip() or zone.name
            value = int((zone / "temp").read_text()) / 1000.0
        except (OSError, ValueError):
            continue
        if -50.0 < value < 200.0:
            found[f"{zone.name}-{name}"] = value
    return found


def version() -> str:
    """The installed version of this software."""
    try:
        return metadata.version("shelf-edge")
    except metadata.PackageNotFoundError:
        return "source"
