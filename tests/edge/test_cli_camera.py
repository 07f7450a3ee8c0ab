"""``edge camera probe``, as a person and as a script see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.camera.probe import probe_settings
from edge.errors import ConfigError
from tests.conftest import ROOT
from tests.streams import closed_port, rtsp_server, silent_server, write_noisy_clip

LOGIN = {"CAM_USER": "shelf", "CAM_PASSWORD": "hunter2"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = "from edge.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "camera", "probe", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_clip(tmp_path_factory.mktemp("probe") / "shelf.avi")


def test_a_stream_is_described_without_its_password(clip: Path) -> None:
    with rtsp_server(f"/a=clip:{clip}:h264:10:5", login="shelf:hunter2") as server:
        url = server.url("/a", "${CAM_USER}:${CAM_PASSWORD}")
        done = run(url, "--seconds", "2", "--json", **LOGIN)
        assert (done.returncode, done.stderr) == (0, "")
        report = json.loads(done.stdout)
        assert (report["codec"], report["width"], report["height"]) == ("h264", 320, 240)
        assert (report["ok"], report["state"], report["transport"]) == (True, "live", "tcp")
        assert 4 < report["fps"] < 15
        assert 0 < report["open_s"] <= report["first_frame_s"]
        assert 0 <= report["age_s"] < 2
        assert 0.2 < report["keyframe_s"] < 1.5
        assert 0 < report["cpu_share"] < 1
        assert report["received"] > report["handed_on"] > 3

        typed = run(server.url("/a", "shelf:hunter2"), "--seconds", "0.5")
        assert typed.returncode == 0
        assert "h264, 320 x 240" in typed.stdout

        wrong = run(url, **{**LOGIN, "CAM_PASSWORD": "wrong-hunter2"})
        assert wrong.returncode == 1
        assert wrong.stderr.strip().endswith("user or password is wrong or missing (401)")
        everything = "".join(d.stdout + d.stderr for d in (done, typed, wrong))
        assert "hunter2" not in everything


def test_failures_are_one_line_and_status_1() -> None:
    with closed_port() as port:
        refused = run(f"rtsp://127.0.0.1:{port}/a")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"error: rtsp://127.0.0.1:{port}/a: the connection was refused: nothing listens on this port\n"
    )
    with silent_server() as silent:
        late = run(f"rtsp://127.0.0.1:{silent}/a", "--deadline", "1", "--json")
    assert late.returncode == 1
    assert json.loads(late.stdout)["reason"] == "no answer within 1 s"


def test_a_wrong_call_is_status_2() -> None:
    done = run("gopher://127.0.0.1/a")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: url: gopher:// is not supported")


def test_a_password_in_a_query_is_refused_without_showing_it() -> None:
    done = run("http://127.0.0.1/snap?user=a&pwd=hunter2")
    assert done.returncode == 2
    assert "'pwd'" in done.stderr
    assert "hunter2" not in done.stderr


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"fps: .*; transport: .*"):
        probe_settings(
            "0",
            seconds=5,
            fps=-1,
            transport="pigeon",
            decoder="auto",
            credentials_file=None,
            open_deadline_s=15,
        )
