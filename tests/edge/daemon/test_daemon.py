"""The daemon as a real process on the tiny bundle."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edge.daemon.events import SCHEMA
from tests.edge.daemon.brokers import until
from tests.edge.daemon.running import Daemon, shelf_clip

pytest.importorskip("onnx")

Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path) -> Iterator[Start]:
    """Starts a daemon on a clip; what still runs at the end is killed."""
    made: list[Daemon] = []

    def begin(clip: dict[str, int] | None = None, **options: Any) -> Daemon:
        path = shelf_clip(tmp_path / "a.avi", **(clip or {}))
        daemon = Daemon(tmp_path, tiny_bundle, {"a": path}, gallery=tiny_gallery, **options)
        made.append(daemon)
        return daemon.start()

    yield begin
    for daemon in made:
        daemon.kill()


def inventory(daemon: Daemon) -> dict[str, Any]:
    found = until(lambda: daemon.events("inventory"))
    data: dict[str, Any] = found[-1]["data"]
    return data


def test_a_camera_becomes_inventories_and_changes(start: Start, tmp_path: Path) -> None:
    daemon = start({"still": 50, "changed": 40})
    first = inventory(daemon)
    assert first["facings"] == {"blue": 1, "green": 1, "red": 2, "yellow": 1}
    assert first["unknown"] == 1
    taken = until(
        lambda: [e for e in daemon.events("change") if e["data"]["change"] == "taken"], 30
    )
    change = taken[0]["data"]
    assert change["sku_before"] == "red"
    assert change["evidence"]["frame"] is None
    for name in (change["evidence"]["before"], change["evidence"]["after"]):
        assert (tmp_path / "state" / "evidence" / name).stat().st_size > 0
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    told = daemon.events()
    assert {e["kind"] for e in told} == {"change", "inventory", "camera_health", "device_health"}
    for event in told:
        validator.validate(event)
    assert len({e["id"] for e in told}) == len(told)


def test_it_is_ready_healthy_and_measured(start: Start) -> None:
    daemon = start()
    until(lambda: daemon.metric("shelf_edge_frames_processed_total") > 5)
    assert daemon.get("/healthz")[0] == 200
    status, body = daemon.get("/readyz")
    assert (status, json.loads(body)["state"]) == (200, "ok")
    assert daemon.get("/else")[0] == 404
    until(lambda: daemon.metric("shelf_edge_embeds_saved_total") > 5)
    assert daemon.metric("shelf_edge_camera_frames_offered_total") > 5
    assert daemon.metric("shelf_edge_inference_up") == 1
    text = daemon.get("/metrics")[1]
    for name in (
        'shelf_edge_info{bundle="tiny-1+',
        'shelf_edge_stage_seconds_total{stage="changes"}',
        "shelf_edge_frame_age_seconds_bucket",
        "shelf_edge_frames_dropped_total",
        "shelf_edge_outbox_events",
        'shelf_edge_sink_up{sink="jsonl"} 1.0',
        'shelf_edge_camera_state{camera="a",state="live"} 1.0',
    ):
        assert name in text
    assert any(line.startswith("STATUS=ok: 1 of 1 cameras on cpu") for line in daemon.told)


def test_it_keeps_processes_apart_and_stops_cleanly_within_five_seconds(start: Start) -> None:
    daemon = start()
    inventory(daemon)
    segments = list(Path("/dev/shm").glob("shelf-edge-a-*"))
    children = daemon.children()
    assert set(children) == {"inference", "capture"}
    # the supervisor loads neither models nor pictures
    own = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert "cv2" not in own
    assert "onnxruntime" not in own
    assert "onnxruntime" in Path(f"/proc/{children['inference']}/maps").read_text()
    ours = [s for s in segments if _made_by(s, children)]
    assert ours
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 5
    assert "STOPPING=1" in daemon.told
    assert not [s for s in ours if s.exists()]
    for pid in children.values():
        assert not Path(f"/proc/{pid}").exists()


def test_inference_reports_to_nobody(start: Start) -> None:
    daemon = start()
    inventory(daemon)
    place = Path(f"/proc/{daemon.children()['inference']}")
    assert b"ORT_DISABLE_TELEMETRY=1" in (place / "environ").read_bytes().split(b"\0")
    files = []
    for fd in (place / "fd").iterdir():
        with suppress(FileNotFoundError):  # it works on, and closes what it opened
            files.append(str(fd.readlink()))
    assert files
    assert not [f for f in files if "onnxruntime.db" in f], "its store of reports is open"


def _made_by(segment: Path, children: dict[str, int]) -> bool:
    return any(str(segment) in Path(f"/proc/{pid}/maps").read_text() for pid in children.values())


def test_the_watchdog_is_fed_by_inference_and_starves_with_it(start: Start) -> None:
    daemon = start(extra="[slots]\ncalm_s = 0.3\nvotes = 1\ndetect_s = 3600.0\n")
    # nothing changes on this shelf: what feeds is the canary, every third of 12 s
    inventory(daemon)
    before = daemon.told.count("WATCHDOG=1")
    until(lambda: daemon.told.count("WATCHDOG=1") > before, 10)
    os.kill(daemon.children()["inference"], signal.SIGSTOP)
    time.sleep(1.0)
    stopped = daemon.told.count("WATCHDOG=1")
    time.sleep(5.0)
    assert daemon.told.count("WATCHDOG=1") == stopped


def test_a_camera_that_is_down_is_degraded_and_no_restart(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    gone = tmp_path / "gone.avi"
    daemon = Daemon(tmp_path, tiny_bundle, {"a": shelf_clip(gone)})
    gone.rename(tmp_path / "elsewhere.avi")
    daemon.start()
    try:
        until(lambda: any("degraded" in line for line in daemon.told))
        pid = daemon.children()["inference"]
        fed = daemon.told.count("WATCHDOG=1")
        until(lambda: daemon.told.count("WATCHDOG=1") > fed, 15)
        assert daemon.children()["inference"] == pid
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 503
        assert {e["data"]["state"] for e in daemon.events("camera_health")} >= {"down"}
        (tmp_path / "elsewhere.avi").rename(gone)
        until(lambda: daemon.get("/readyz")[0] == 200)
    finally:
        daemon.kill()
