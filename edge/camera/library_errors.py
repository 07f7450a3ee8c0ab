"""Why FFmpeg could not open a stream: its own words, made into one line without secrets."""

from __future__ import annotations

import os
import re
import tempfile
from types import TracebackType
from typing import BinaryIO, Self

from edge.camera.credentials import Address

# read once, when FFmpeg is first used in the process; 16 is its level "error"
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "16"

_CAUSES: tuple[tuple[str, str], ...] = (
    (r"401|Unauthorized", "user or password is wrong or missing (401)"),
    (r"403|Forbidden", "access is forbidden (403)"),
    (r"404|Not Found", "the host has no such stream (404)"),
    (r"Connection refused", "the connection was refused: nothing listens on this port"),
    (r"No route to host|Network is unreachable", "there is no route to the host"),
    (r"Failed to resolve hostname", "the host's name cannot be resolved"),
    (r"Connection timed out|timed out|Immediate exit requested", ""),
    (r"5\d\d Server|Service Unavailable|503", "the camera refuses (server error)"),
    (r"461|Unsupported Transport", "the camera does not offer this transport"),
    (r"Invalid data found|moov atom|could not find codec", "what comes is no video that is known"),
)
_PREFIX = re.compile(r"^\[[^\]]*\] *")


class LibraryErrors:
    """Holds back what C libraries print on file descriptor 2 while a stream is opened."""

    def __init__(self) -> None:
        self._sink: BinaryIO | None = None
        self._saved = -1

    def __enter__(self) -> Self:
        try:
            self._saved = os.dup(2)
        except OSError:  # no stderr at all
            return self
        self._sink = tempfile.TemporaryFile()
        os.dup2(self._sink.fileno(), 2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sink is not None:
            os.dup2(self._saved, 2)
            os.close(self._saved)
            self._sink.close()

    def explain(self, address: Address, deadline_s: float) -> str:
        """One line: the cause where it is known, else the library's last words, redacted."""
        text = ""
        if self._sink is not None:
            self._sink.seek(0)
            text = self._sink.read().decode("utf-8", "replace")
        for pattern, cause in _CAUSES:
            if re.search(pattern, text):
                return cause or f"no answer within {deadline_s:g} s"
        lines = [_PREFIX.sub("", line).strip() for line in text.splitlines() if line.strip()]
        return f"cannot be opened: {address.redact(lines[-1])}" if lines else "cannot be opened"
