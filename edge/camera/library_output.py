"""What FFmpeg says: why a stream cannot be opened, that its size changed, that data was lost."""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass

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
_LEVEL = re.compile(r"^\[OPENCV:FFMPEG:(\d+)\]")
_ERROR_LEVEL = 16
_VERBOSE_LEVEL = 40
_NEW_FORMAT = "chosen by get_format()"
_NEW_SIZE = re.compile(r"Reinit context to (\d+)x(\d+)")
_OUTPUTS = (1, 2)
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """What FFmpeg said since it was last asked: errors, and the coded size that came last.

    ``formats`` is how often a decoder chose its format: once at its start, and again when size or
    coding of the stream change. H.265 tells of a new size by nothing else.
    """

    errors: int
    coded_wh: tuple[int, int] | None
    formats: int = 0


class LibraryOutput:
    """Holds back what C libraries print, on standard output and error, from now on.

    OpenCV passes FFmpeg's messages on with ``printf``, at the level that the environment variable
    OPENCV_FFMPEG_LOGLEVEL had when OpenCV was loaded; some are told nowhere else. They may hold
    passwords, so they stay in a file without a name, which is emptied when it is read.
    """

    def __init__(self) -> None:
        self._sink = os.memfd_create("library-output")  # in memory: a device's flash wears out
        for descriptor in _OUTPUTS:
            os.dup2(self._sink, descriptor)

    def explain(self, address: Address) -> str:
        """Why a stream could not be opened: the cause where it is known, else the last words."""
        text = self._take()
        for pattern, cause in _CAUSES:
            if re.search(pattern, text):
                return cause
        said = [line for line in text.splitlines() if line.strip() and not _is_detail(line)]
        lines = [_PREFIX.sub("", line).strip() for line in said]
        return f"cannot be opened: {address.redact(lines[-1])}" if lines else "cannot be opened"

    def take(self) -> Said:
        """Count and forget what was said."""
        errors, size, formats = 0, None, 0
        for line in self._take().splitlines():
            level = _LEVEL.match(line)
            errors += level is not None and int(level[1]) <= _ERROR_LEVEL
            change = _NEW_SIZE.search(line)
            size = (int(change[1]), int(change[2])) if change else size
            formats += _NEW_FORMAT in line
        return Said(errors, size, formats)

    def _take(self) -> str:
        ctypes.CDLL(None).fflush(None)  # what C's own buffers hold
        size = os.fstat(self._sink).st_size
        text = os.pread(self._sink, min(size, _MAX_BYTES), 0).decode("utf-8", "replace")
        os.ftruncate(self._sink, 0)
        os.lseek(self._sink, 0, os.SEEK_SET)  # both descriptors share this offset
        return text


def _is_detail(line: str) -> bool:
    level = _LEVEL.match(line)
    return level is not None and int(level[1]) > _VERBOSE_LEVEL
