from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.camera.health import CameraHealth, CameraState
from edge.daemon import device
from edge.daemon.delivery import SinkStatus
from edge.daemon.device import DeviceReport, temperatures_c


@dataclass
class FakeKeeper:
    phase: str = "ready"
    starts: int = 1
    info: dict[str, Any] = field(default_factory=lambda: {"provider": "cpu"})
    status: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeSink:
    name: str = "mqtt"


@dataclass
class FakeDelivery:
    sink: FakeSink = field(default_factory=FakeSink)
    status: SinkStatus = field(default_factory=SinkStatus)


@dataclass
class FakeCameras:
    health: dict[str, CameraHealth]


def cameras(**states: str) -> Any:
    return FakeCameras(
        {
            name: CameraHealth(
                name, CameraState(state), "", 1.0, 0.1, None, 5.0, 0.1, 9, 9, 1, 1, 0, 0, 7
            )
            for name, state in states.items()
        }
    )


def judged(keeper: Any, seen: Any, *deliveries: Any, disk: str = "") -> device.DeviceState:
    return DeviceReport("dev").judge(keeper, seen, deliveries, disk)


def test_all_is_well() -> None:
    state = judged(FakeKeeper(), cameras(a="live", b="closed"), FakeDelivery())
    assert (state.state, state.reasons, state.line) == ("ok", (), "ok: 2 of 2 cameras on cpu")


def test_everything_that_is_wrong_is_named() -> None:
    delivery = FakeDelivery(status=SinkStatus(ok=False, problem="connection refused"))
    state = judged(
        FakeKeeper("down", 2), cameras(a="down", b="live", c="frozen"), delivery, disk="full"
    )
    assert state.state == "degraded"
    assert state.reasons == (
        "inference down",
        "camera a down",
        "camera c frozen",
        "sink mqtt: connection refused",
        "events wait in memory: the disk takes nothing",
    )
    assert state.line.startswith("degraded: 1 of 3 cameras")


def test_the_first_loading_is_starting_and_a_later_one_is_not() -> None:
    assert judged(FakeKeeper("loading", 1), cameras(a="live")).state == "starting"
    assert judged(FakeKeeper("loading", 2), cameras(a="live")).state == "degraded"


def test_reasons_that_flicker_do_not_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("edge.daemon.device.time.monotonic", lambda: now[0])
    report = DeviceReport("dev")
    told = 0
    for second in range(600):
        now[0] = second / 10
        delivery = FakeDelivery(status=SinkStatus(ok=False, problem=f"attempt {second}"))
        state = report.judge(FakeKeeper(), cameras(a="live"), [delivery], "")  # type: ignore[arg-type, list-item]
        told += len(report.events(state, 60.0))
    assert told == 6


def test_temperatures_are_read_where_they_can_be(tmp_path: Path) -> None:
    for number, (kind, value) in enumerate([("cpu", "51500"), ("odd", "no"), ("off", "-274000")]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(value + "\n")
    assert temperatures_c(tmp_path) == {"thermal_zone0-cpu": 51.5}
    assert temperatures_c(tmp_path / "none") == {}
