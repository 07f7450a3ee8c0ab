"""Streams for tests: clips, an RTSP server that can be killed, and waiting for a camera."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.health import CameraHealth, CameraState
from edge.camera.process import CaptureProcess
from edge.types import U8

SYSTEM_PYTHON = "/usr/bin/python3"
PATIENCE_S = 40.0
"""How long anything may take before a test fails: processes start slowly on a busy machine."""


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def write_noisy_clip(
    path: Path, *, frames: int = 20, size_wh: tuple[int, int] = (320, 240), fps: float = 10.0
) -> Path:
    """An AVI of coloured blocks with sensor noise and a disc that moves."""
    rng = np.random.default_rng(7)
    width, height = size_wh
    blocks = rng.integers(30, 226, (height // 40, width // 40, 3)).repeat(40, 0).repeat(40, 1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size_wh)
    for number in range(frames):
        noisy = np.clip(blocks + rng.normal(0, 4, blocks.shape), 0, 255).astype(np.uint8)
        cv2.circle(noisy, (20 + 8 * number, height // 2), 15, (0, 0, 255), -1)
        writer.write(noisy)
    writer.release()
    return path


def write_clip_of(path: Path, pictures: list[U8], *, fps: float = 10.0) -> Path:
    """An AVI of these BGR pictures, coded without loss."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), fps, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


class RtspServer:
    """``tests/rtsp_server.py`` as a process; it listens on the same port after a restart."""

    def __init__(self, *mounts: str, login: str = "") -> None:
        self.port = free_port()
        self._mounts = mounts
        self._login = login
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; skips the test where the system lacks what the server needs."""
        if not Path(SYSTEM_PYTHON).exists():
            pytest.skip(f"no {SYSTEM_PYTHON} for GStreamer's RTSP server")
        login = ["--login", self._login] if self._login else []
        script = str(Path(__file__).with_name("rtsp_server.py"))
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, script, "--port", str(self.port), *login, *self._mounts],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if not said.startswith("ready"):
            self.kill()
            pytest.skip(f"GStreamer's RTSP server: {said or 'does not start'}")

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process is not None else None

    def hang(self, *, hang: bool = True) -> None:
        """Stop sending while all connections stay open, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if hang else signal.SIGCONT)

    def url(self, mount: str, login: str = "") -> str:
        """The address of a mount."""
        return f"rtsp://{login}{'@' if login else ''}127.0.0.1:{self.port}{mount}"


@contextlib.contextmanager
def rtsp_server(*mounts: str, login: str = "") -> Iterator[RtspServer]:
    """A server that runs as long as the block."""
    server = RtspServer(*mounts, login=login)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A TCP server that accepts connections and never says a word; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in held:
                connection.close()


@contextlib.contextmanager
def http_server(picture: Callable[[], bytes]) -> Iterator[str]:
    """A camera that gives ``picture()`` as its snapshot; yields the address."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            body = picture()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/snapshot"
    finally:
        server.shutdown()
        server.server_close()


def wait_for(
    capture: CaptureProcess,
    until: Callable[[CameraHealth], bool] | CameraState,
    timeout_s: float = PATIENCE_S,
) -> CameraHealth:
    """Poll until the camera is as wanted; fails with its last health."""
    end_s = time.monotonic() + timeout_s
    while True:
        health = capture.poll()
        if health.state == until if isinstance(until, CameraState) else until(health):
            return health
        assert time.monotonic() < end_s, f"waited {timeout_s:g} s, last: {health}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def kill_hard(pid: int) -> None:
    """``kill -9``."""
    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program of its own that can import the packages here; killed at the end."""
    root = str(Path(__file__).resolve().parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        try:
            yield process
        finally:
            process.kill()
