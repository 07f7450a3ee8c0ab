"""Snapshots and MJPEG over HTTP; any other answer is left to FFmpeg."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from email.message import Message

from edge.camera.credentials import Address
from edge.camera.decode import decode_picture
from edge.camera.settings import CameraSettings
from edge.camera.stream import Description, Mark, Stream
from edge.errors import CameraError
from edge.types import U8

_MAX_PICTURE_BYTES = 64_000_000
_MAX_LINE_BYTES = 8192


def open_http(settings: CameraSettings, address: Address) -> Stream:
    """Ask once and see what comes: one picture, an endless row of pictures, or a video.

    Raises:
        CameraError: refused, no route, wrong password, time is up, or neither picture nor video.
    """
    opener = _opener(address, verify=settings.tls_verify)
    answer = _ask(opener, address, settings.open_deadline_s)
    kind = answer.headers.get_content_type()
    if kind.startswith("multipart/"):
        return MjpegStream(answer, settings.read_deadline_s)
    if kind.startswith("image/"):
        return SnapshotStream(opener, address, answer, settings.read_deadline_s)
    answer.close()
    if kind.startswith("text/html"):
        raise CameraError("the address gives a web page, no picture and no video")
    from edge.camera.video_stream import VideoStream

    return VideoStream(settings, address)


class Answer:
    """A response with its headers; reading turns every way to fail into CameraError."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.headers: Message = response.headers

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, empty at the end."""
        try:
            return self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise CameraError(_cause(error)) from None

    def readline(self) -> bytes:
        """One line, empty at the end."""
        try:
            return self._response.readline(_MAX_LINE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise CameraError(_cause(error)) from None

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


class SnapshotStream:
    """A picture for each request."""

    pulled = True

    def __init__(
        self,
        opener: urllib.request.OpenerDirector,
        address: Address,
        first: Answer,
        deadline_s: float,
    ) -> None:
        self._opener = opener
        self._address = address
        self._answer: Answer | None = first
        self._deadline_s = deadline_s
        self._picture = b""

    def grab(self) -> bool:
        """As in ``Stream``."""
        answer = self._answer or _ask(self._opener, self._address, self._deadline_s)
        self._answer = None
        try:
            self._picture = _read_all(answer)
        finally:
            answer.close()
        return True

    def retrieve(self) -> U8:
        """As in ``Stream``."""
        return decode_picture(self._picture, "snapshot").bgr

    def mark(self) -> Mark:
        """As in ``Stream``."""
        return Mark()

    def describe(self) -> Description:
        """As in ``Stream``."""
        return Description(codec="jpeg", transport="http snapshot", decoder="opencv")

    def close(self) -> None:
        """As in ``Stream``."""
        if self._answer is not None:
            self._answer.close()


class MjpegStream:
    """A multipart answer whose parts are pictures; parts that are not due are never decoded."""

    pulled = False

    def __init__(self, answer: Answer, deadline_s: float) -> None:
        self._answer = answer
        self._deadline_s = deadline_s
        boundary = str(answer.headers.get_param("boundary") or "").strip('"')
        if not boundary:
            raise CameraError("the MJPEG stream names no boundary")
        self._boundary = b"--" + boundary.removeprefix("--").encode("latin-1")
        self._picture = b""

    def grab(self) -> bool:
        """As in ``Stream``."""
        while True:
            line = self._answer.readline()
            if not line:
                return False
            if line.startswith(self._boundary):
                break
        length = None
        while line := self._answer.readline().strip():
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
        if length is None:
            self._picture = self._until_boundary()
        elif length > _MAX_PICTURE_BYTES:
            raise CameraError(f"a picture of {length} bytes is more than can be taken")
        else:
            self._picture = _read_exactly(self._answer, length)
        return bool(self._picture)

    def retrieve(self) -> U8:
        """As in ``Stream``."""
        return decode_picture(self._picture, "MJPEG frame").bgr

    def mark(self) -> Mark:
        """As in ``Stream``."""
        return Mark()

    def describe(self) -> Description:
        """As in ``Stream``."""
        return Description(codec="mjpeg", transport="http", decoder="opencv")

    def close(self) -> None:
        """As in ``Stream``."""
        self._answer.close()

    def _until_boundary(self) -> bytes:
        """A part without a length ends where JPEG says that it ends."""
        parts = bytearray()
        while line := self._answer.readline():
            parts += line
            if re.search(rb"\xff\xd9\r?\n?$", line):
                break
            if len(parts) > _MAX_PICTURE_BYTES:
                raise CameraError("a picture without an end")
        return bytes(parts)


def _opener(address: Address, *, verify: bool) -> urllib.request.OpenerDirector:
    """Basic and digest login; no proxy, since cameras are on the local network."""
    tls = ssl.create_default_context()
    if not verify:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=tls),
    ]
    if address.user or address.password:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, address.bare, address.user, address.password)
        handlers.append(urllib.request.HTTPDigestAuthHandler(passwords))
        handlers.append(urllib.request.HTTPBasicAuthHandler(passwords))
    return urllib.request.build_opener(*handlers)


def _ask(opener: urllib.request.OpenerDirector, address: Address, deadline_s: float) -> Answer:
    try:
        return Answer(opener.open(address.bare, timeout=deadline_s))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CameraError(_cause(error)) from None


def _cause(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        known = {
            401: "user or password is wrong or missing (401)",
            403: "access is forbidden (403)",
            404: "the host has no such stream (404)",
        }
        return known.get(error.code, f"the camera answers with HTTP status {error.code}")
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ConnectionRefusedError):
        return "the connection was refused: nothing listens on this port"
    if isinstance(reason, socket.gaierror):
        return "the host's name cannot be resolved"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate cannot be trusted ({reason.verify_message}); see tls_verify"
    if isinstance(reason, ssl.SSLError):
        return f"the encrypted connection failed: {reason.reason}"
    if isinstance(reason, OSError) and reason.errno in (101, 113):
        return "there is no route to the host"
    return f"the connection failed: {type(reason).__name__}"


def _read_all(answer: Answer) -> bytes:
    parts = bytearray()
    while part := answer.read(65536):
        parts += part
        if len(parts) > _MAX_PICTURE_BYTES:
            raise CameraError(f"more than {_MAX_PICTURE_BYTES // 1_000_000} MB for one picture")
    return bytes(parts)


def _read_exactly(answer: Answer, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = answer.read(length - len(parts))
        if not part:
            return b""
        parts += part
    return bytes(parts)
