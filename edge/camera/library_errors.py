"""Why FFmpeg could not open a stream: its own words, made into one line without secrets."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import tempfile
from types import TracebackType
from typing import BinaryIO, Self

from edge.camera.credentials import Address

_CAUSES: tuple[tuple[str, str], ...] = (
    (r"401|Unauthorized", "user or password is wrong or missing (401)"),
    (r"403|Forbidden", "access is forbidden (403)"),
    (r"404|Not Found", "the host has no such stream (404)"),
    (r"Connection refused", "the connection was refused: nothing listens on this port"),
    (r"No route to host|Network is unreachable", "there is no route to the host"),
    (r"Failed to resolve hostname", "the host's name cannot be resolved"),
    (r"Connection timed out|timed out|Immediate exit requested", "no answer in time"),
    (r"5\d\d Server|Service Unavailable|503", "the camera refuses (server error)"),
    (r"461|Unsupported Transport", "the camera does not offer this transport"),
    (r"Invalid data found|moov atom|could not find codec", "what comes is no video that is known"),
)
_PREFIX = re.compile(r"^\[[^\]]*\] *")
_OUTPUTS = (1, 2)


class LibraryErrors:
    """Holds back what C libraries print while a stream is opened, on standard output and error.

    OpenCV passes FFmpeg's messages on with ``printf``, at the level that the environment variable
    OPENCV_FFMPEG_LOGLEVEL had when OpenCV was loaded.
    """

    def __init__(self) -> None:
        self._sink: BinaryIO | None = None
        self._saved: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        self._sink = tempfile.TemporaryFile()
        for descriptor in _OUTPUTS:
            with contextlib.suppress(OSError):  # one that is closed
                self._saved.append((descriptor, os.dup(descriptor)))
                os.dup2(self._sink.fileno(), descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _flush()
        for descriptor, saved in self._saved:
            os.dup2(saved, descriptor)
            os.close(saved)
        if self._sink is not None:
            self._sink.close()

    def explain(self, address: Address) -> str:
        """One line: the cause where it is known, else the library's last words, redacted."""
        text = ""
        if self._sink is not None:
            _flush()
            self._sink.seek(0)
            text = self._sink.read().decode("utf-8", "replace")
        for pattern, cause in _CAUSES:
            if re.search(pattern, text):
                return cause
        lines = [_PREFIX.sub("", line).strip() for line in text.splitlines() if line.strip()]
        return f"cannot be opened: {address.redact(lines[-1])}" if lines else "cannot be opened"


def _flush() -> None:
    """Write out what C's own buffers hold."""
    ctypes.CDLL(None).fflush(None)
