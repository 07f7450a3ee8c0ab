"""Snapshots and MJPEG from a real HTTP server in this process."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.camera.credentials import Address
from edge.camera.http_stream import MjpegStream, SnapshotStream, open_http
from edge.camera.settings import CameraSettings
from edge.errors import CameraError
from tests.edge.camera.pictures import encode, noise
from tests.streams import closed_port, silent_server

USER, PASSWORD = "cam", "hunter2"
REALM, NONCE = "camera", "0123456789"


class Camera(http.server.BaseHTTPRequestHandler):
    """Answers as cameras do."""

    protocol_version = "HTTP/1.1"
    requests = 0

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        type(self).requests += 1
        getattr(self, "answer_" + self.path.strip("/").partition("?")[0].replace("/", "_"))()

    def picture(self, number: int) -> bytes:
        return encode(noise(64, 48, seed=number), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98)

    def send(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_snapshot(self) -> None:
        self.send(200, "image/jpeg", self.picture(self.requests))

    def answer_page(self) -> None:
        self.send(200, "text/html", b"<h1>Login</h1>")

    def answer_absent(self) -> None:
        self.send(404, "text/plain", b"")

    def answer_broken(self) -> None:
        self.send(503, "text/plain", b"")

    def answer_cut(self) -> None:
        self.send(200, "image/jpeg", self.picture(1)[:500])

    def answer_basic(self) -> None:
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] == wanted:
            self.answer_snapshot()
        else:
            self.send(401, "text/plain", b"", WWW_Authenticate=f'Basic realm="{REALM}"')

    def answer_digest(self) -> None:
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', self.headers["Authorization"] or ""))
        secret = md5(f"{USER}:{REALM}:{PASSWORD}")
        path = md5(f"GET:{self.path}")
        middle = f"{NONCE}:{given.get('nc')}:{given.get('cnonce')}:auth"
        if given.get("response") == md5(f"{secret}:{middle}:{path}"):
            self.answer_snapshot()
        else:
            ask = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=MD5'
            self.send(401, "text/plain", b"", WWW_Authenticate=ask)

    def mjpeg(self, boundary: str, *, with_length: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f'multipart/x-mixed-replace; boundary="{boundary}"')
        self.end_headers()
        for number in range(3):
            body = self.picture(number)
            length = f"Content-Length: {len(body)}\r\n" if with_length else ""
            head = f"--{boundary.removeprefix('--')}\r\nContent-Type: image/jpeg\r\n{length}\r\n"
            self.wfile.write(head.encode() + body + b"\r\n")
        self.close_connection = True

    def answer_mjpeg(self) -> None:
        self.mjpeg("frame", with_length=True)

    def answer_mjpeg_plain(self) -> None:
        self.mjpeg("--frame", with_length=False)

    def answer_mjpeg_hangs(self) -> None:
        self.mjpeg("frame", with_length=True)
        time.sleep(3)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def opened(url: str, password: str = "", **changes: Any) -> Any:
    settings = CameraSettings.model_validate({"id": "a", "url": url, **changes})
    return open_http(settings, Address(url, USER if password else "", password))


def test_each_snapshot_is_asked_for_anew(camera: str) -> None:
    stream = opened(f"{camera}/snapshot")
    assert isinstance(stream, SnapshotStream)
    assert stream.pulled
    pictures = []
    for _ in range(3):
        assert stream.grab()
        pictures.append(stream.retrieve())
    assert pictures[0].shape == (48, 64, 3)
    assert not np.array_equal(pictures[0], pictures[1])
    expected = noise(64, 48, seed=Camera.requests)[..., ::-1]
    assert np.abs(pictures[2].astype(int) - expected).mean() < 20, "BGR, as OpenCV has it"
    assert stream.describe().codec == "jpeg"
    stream.close()


@pytest.mark.parametrize("path", ["mjpeg", "mjpeg/plain"])
def test_mjpeg_gives_all_its_pictures_and_then_ends(camera: str, path: str) -> None:
    stream = opened(f"{camera}/{path}")
    assert isinstance(stream, MjpegStream)
    assert not stream.pulled
    for number in range(3):
        assert stream.grab()
        expected = noise(64, 48, seed=number)[..., ::-1]
        assert np.abs(stream.retrieve().astype(int) - expected).mean() < 20
    assert not stream.grab()
    stream.close()


def test_mjpeg_that_stops_sending_costs_its_deadline(camera: str) -> None:
    stream = opened(f"{camera}/mjpeg/hangs", read_deadline_s=1, open_deadline_s=1)
    for _ in range(3):
        assert stream.grab()
    begun_s = time.monotonic()
    with pytest.raises(CameraError, match="no answer in time"):
        stream.grab()
    assert time.monotonic() - begun_s < 2


@pytest.mark.parametrize("path", ["basic", "digest"])
def test_both_ways_to_log_in_work_and_a_wrong_password_is_said(camera: str, path: str) -> None:
    stream = opened(f"{camera}/{path}", PASSWORD)
    for _ in range(2):
        assert stream.grab()
        assert stream.retrieve().shape == (48, 64, 3)
    for wrong in ("", "wrong"):
        with pytest.raises(CameraError, match=r"user or password is wrong or missing \(401\)$"):
            opened(f"{camera}/{path}", wrong)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("page", "a web page, no picture and no video"),
        ("absent", r"no such stream \(404\)"),
        ("broken", "HTTP status 503"),
    ],
)
def test_other_answers_are_named(camera: str, path: str, says: str) -> None:
    with pytest.raises(CameraError, match=says):
        opened(f"{camera}/{path}")


def test_a_picture_that_is_cut_short_is_an_error_of_one_frame(camera: str) -> None:
    stream = opened(f"{camera}/cut")
    assert stream.grab()
    with pytest.raises(CameraError, match="cut short"):
        stream.retrieve()


def test_no_server_and_a_silent_one_are_told_apart() -> None:
    with closed_port() as port, pytest.raises(CameraError, match="the connection was refused"):
        opened(f"http://127.0.0.1:{port}/")
    with silent_server() as port, pytest.raises(CameraError, match="no answer in time"):
        opened(f"http://127.0.0.1:{port}/", open_deadline_s=1)
    with pytest.raises(CameraError, match=r"encrypted connection failed|no answer in time"):
        opened(f"https://127.0.0.1:{port_of_plain_http()}/", open_deadline_s=1)


def test_a_certificate_that_nobody_signed_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the test's certificate")
    ask = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=camera"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(["openssl", *ask.split(), *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_address[1]}/snapshot"
    try:
        with pytest.raises(CameraError, match=r"certificate cannot be trusted .*see tls_verify"):
            opened(url)
        assert opened(url, tls_verify=False).grab()
    finally:
        server.shutdown()
        server.server_close()


def port_of_plain_http() -> int:
    """A server that speaks HTTP where TLS is expected."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.handle_request, daemon=True).start()
    return int(server.server_address[1])
