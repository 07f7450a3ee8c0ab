"""Messages between supervisor and inference: one JSON object a line over a socket pair."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator, Mapping
from typing import Any

_CHUNK = 65536
MAX_BYTES = 64 * 1024 * 1024


class ClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end. ``receive`` never blocks longer than asked; ``send`` at most a few seconds."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(True)
        self._socket.settimeout(5.0)
        self._buffer = b""

    @classmethod
    def of_fd(cls, fd: int) -> Channel:
        """The end whose file descriptor was inherited."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message.

        Raises:
            ClosedError: the other side is gone, or has not read for seconds.
        """
        line = json.dumps({"type": kind, **fields}, separators=(",", ":")).encode() + b"\n"
        try:
            self._socket.sendall(line)
        except OSError as error:
            raise ClosedError(str(error)) from error

    def receive(self, timeout_s: float = 0.0) -> Iterator[Mapping[str, Any]]:
        """Messages that have arrived, waiting at most ``timeout_s`` for the first.

        Raises:
            ClosedError: the other side is gone; what it had sent before has been given.
        """
        while select.select([self._socket], [], [], timeout_s)[0]:
            timeout_s = 0.0
            try:
                data = self._socket.recv(_CHUNK)
            except OSError as error:
                raise ClosedError(str(error)) from error
            if not data:
                raise ClosedError("end of file")
            self._buffer += data
            if len(self._buffer) > MAX_BYTES:
                raise ClosedError("a message is too long")
            *lines, self._buffer = self._buffer.split(b"\n")
            for line in lines:
                yield json.loads(line)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
