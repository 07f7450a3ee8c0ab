"""The daemon on a real RTSP server."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.daemon.process_figures import figures_of
from tests.edge.daemon.brokers import PATIENCE, until
from tests.edge.daemon.running import Daemon, check_numbers, in_outbox, shelf_clip
from tests.streams import rtsp_server

pytest.importorskip("onnx")

BACKOFF_MAX_S = 0.5
"""As ``running.Daemon`` configures its cameras: a pause is never longer."""
OPEN_S = 12.0
"""For two capture processes to start, open a stream and decode, on a machine that is busy."""
FACINGS = {"blue": 1, "green": 1, "red": 2, "yellow": 1}


@dataclass
class Restarts:
    """What is measured over the restarts of a server: a list a figure, one value a round."""

    live_s: list[float] = field(default_factory=list)
    figures: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)

    def add(self, live_s: float, pids: Mapping[str, int]) -> None:
        """One more round, from "the server listens" to "both cameras are live"."""
        self.live_s.append(live_s)
        for name, pid in pids.items():
            self.figures.setdefault(name, []).append(at_rest(pid))

    def check_flat(self) -> None:
        """The last quarter needs no more memory, files and threads than the second."""
        for name, rows in self.figures.items():
            quarter = len(rows) // 4
            before, after = rows[quarter : 2 * quarter], rows[-quarter:]
            for kind in ("open_files", "threads"):
                assert max(r[kind] for r in after) <= max(r[kind] for r in before), (name, kind)
            second, last = (
                statistics.median(r["resident_bytes"] for r in part) for part in (before, after)
            )
            print(f"{name}: {second / 1e6:.1f} MB, then {last / 1e6:.1f} MB; at the end {rows[-1]}")
            assert last <= 1.03 * second, name


def at_rest(pid: int) -> Mapping[str, float]:
    """Figures of a process without what a request or a child that is just starting needs."""
    seen = []
    for _ in range(8):
        figures = figures_of(pid)
        assert figures is not None
        seen.append(figures)
        time.sleep(0.05)
    return {kind: min(f[kind] for f in seen) for kind in seen[0]}


def watch_through_restarts(
    folder: Path, bundle: Path, gallery: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras of one server, a still shelf and one that changes; it is killed and comes back.

    Every change on the second is told once, over all restarts; the still one tells of none.
    """
    monkeypatch.setenv("CAM_LOGIN", "shelf")
    monkeypatch.setenv("CAM_SECRET", "hunter2-secret")
    still = shelf_clip(folder / "still.avi", 60)
    busy = shelf_clip(folder / "busy.avi", 40, 40)
    mounts = (f"/a=clip:{still}:h264:10:5", f"/b=clip:{busy}:h264:10:5")
    with rtsp_server(*mounts, login="shelf:hunter2-secret") as server:
        url = f"rtsp://${{CAM_LOGIN}}:${{CAM_SECRET}}@127.0.0.1:{server.port}"
        daemon = Daemon(folder, bundle, {"a": f"{url}/a", "b": f"{url}/b"}, gallery=gallery)
        restarts = Restarts()
        try:
            daemon.start()
            until(lambda: {e["camera"] for e in daemon.events("inventory")} == {"a", "b"}, 60)
            pids = {"supervisor": daemon.pid, "inference": daemon.children()["inference"]}
            for number in range(times):
                server.kill()
                until(lambda: daemon.get("/readyz")[0] == 503, 40)
                server.start()
                begun_s = time.monotonic()
                until(lambda: daemon.metric("shelf_edge_degraded") == 0, 60)
                live_s = time.monotonic() - begun_s
                seen = len(daemon.changes())
                until(lambda seen=seen: len(daemon.changes()) > seen, 60)  # type: ignore[misc]
                restarts.add(live_s, pids)
                print(f"round {number}: live after {live_s:.1f} s, {len(daemon.changes())} changes")
            assert max(restarts.live_s) <= (BACKOFF_MAX_S + OPEN_S) * PATIENCE
            assert daemon.children()["inference"] == pids["inference"]
            assert daemon.metric("shelf_edge_slots", camera="a") == sum(FACINGS.values()) + 1
            assert daemon.metric("shelf_edge_outbox_dropped_total") == 0
            assert daemon.metric("shelf_edge_frame_errors_total") == 0
            assert daemon.metric("shelf_edge_inference_starts_total") == 1
            still_now = [e for e in daemon.events("inventory") if e["camera"] == "a"]
            assert still_now[-1]["data"]["facings"] == FACINGS
            assert daemon.stop() == 0
            assert in_outbox(daemon) == []
            check_told(daemon, times)
            for text in (daemon.log.read_text(), daemon.lines.read_text()):
                assert "hunter2-secret" not in text
            if times >= 8:
                restarts.check_flat()
        finally:
            daemon.kill()


def check_told(daemon: Daemon, times: int) -> None:
    """Nothing was lost, and nothing told twice: the daemon itself never went down."""
    events = daemon.events()
    assert len({e["id"] for e in events}) == len(events)
    assert {e["camera"] for e in daemon.events("change")} == {"b"}
    check_numbers(daemon)
    for camera in ("a", "b"):
        health = [e["data"] for e in daemon.events("camera_health") if e["camera"] == camera]
        states = [h["state"] for h in health]
        came_back = sum(pair == ("down", "live") for pair in itertools.pairwise(states))
        assert came_back >= times
        pauses = [h["next_attempt_s"] for h in health if h["next_attempt_s"] is not None]
        assert all(pause <= BACKOFF_MAX_S for pause in pauses)


def test_cameras_come_back_with_their_server_and_nothing_is_told_twice(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_through_restarts(tmp_path, tiny_bundle, tiny_gallery, 1, monkeypatch)


@pytest.mark.soak
def test_a_server_that_is_killed_fifty_times(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_through_restarts(tmp_path, tiny_bundle, tiny_gallery, 50, monkeypatch)
