"""The daemon on a real RTSP server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.daemon.brokers import until
from tests.edge.daemon.running import Daemon, shelf_clip
from tests.streams import rtsp_server

pytest.importorskip("onnx")


def watch_through_restarts(
    folder: Path, bundle: Path, gallery: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras of one server; it is killed and comes back, again and again."""
    monkeypatch.setenv("CAM_LOGIN", "shelf")
    monkeypatch.setenv("CAM_SECRET", "hunter2-secret")
    clip = shelf_clip(folder / "clip.avi", 60)
    with rtsp_server(f"/a=clip:{clip}:h264:10:5", login="shelf:hunter2-secret") as server:
        url = f"rtsp://${{CAM_LOGIN}}:${{CAM_SECRET}}@127.0.0.1:{server.port}/a"
        daemon = Daemon(folder, bundle, {"a": url, "b": url}, gallery=gallery)
        try:
            daemon.start()
            until(lambda: {e["camera"] for e in daemon.events("inventory")} == {"a", "b"}, 60)
            pid = daemon.children()["inference"]
            for _ in range(times):
                server.kill()
                until(lambda: daemon.get("/readyz")[0] == 503, 40)
                server.start()
                until(lambda: daemon.metric("shelf_edge_degraded") == 0, 60)
            frames = daemon.metric("shelf_edge_frames_processed_total")
            until(lambda: daemon.metric("shelf_edge_frames_processed_total") > frames + 20, 40)
            assert daemon.children()["inference"] == pid
            assert daemon.events("inventory")[-1]["data"]["facings"] == {
                "blue": 1, "green": 1, "red": 2, "yellow": 1,
            }  # fmt: skip
            assert daemon.changes() == []
            assert daemon.stop() == 0
            for text in (daemon.log.read_text(), daemon.lines.read_text()):
                assert "hunter2-secret" not in text
        finally:
            daemon.kill()


def test_cameras_come_back_with_their_server_and_nothing_is_told_twice(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_through_restarts(tmp_path, tiny_bundle, tiny_gallery, 1, monkeypatch)


@pytest.mark.soak
def test_a_server_that_is_killed_fifty_times(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_through_restarts(tmp_path, tiny_bundle, tiny_gallery, 50, monkeypatch)
