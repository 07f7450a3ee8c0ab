"""Events as lines of JSON in a file that is rotated by size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge.daemon.delivery import Sent, SinkError
from edge.daemon.outbox import Stored

_TAIL = 1024 * 1024


class JsonLinesSink:
    """Appends to ``path``; acknowledged means: on disk.

    At ``rotate_bytes`` the file becomes ``<name>.1``, ``.1`` becomes ``.2``, up to ``keep`` old
    files. A half line that a crash left behind is cut off, its event is written again.
    """

    name = "jsonl"

    def __init__(self, path: Path, rotate_bytes: int, keep: int) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._fd: int | None = None

    def send(self, events: Sequence[Stored]) -> Sent:
        """Append all events and sync once."""
        try:
            fd = self._open()
            whole = os.fstat(fd).st_size
            if whole >= self._rotate_bytes:
                self._rotate()
                fd, whole = self._open(), 0
            data = "".join(event.payload + "\n" for event in events).encode("utf-8")
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, whole)
                raise
        except OSError as error:
            self.close()
            raise SinkError(f"{self._path}: {error.strerror or error}") from error
        return Sent(len(events))

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        if self._fd is not None and not self._is_at_its_path(self._fd):
            self.close()
        if self._fd is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._fd = fd
            _sync_folder(self._path.parent)
            size = os.fstat(fd).st_size
            tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
            if tail and not tail.endswith(b"\n"):
                os.ftruncate(fd, size - len(tail) + tail.rfind(b"\n") + 1)
        return self._fd

    def _is_at_its_path(self, fd: int) -> bool:
        """Whether others still find the file: who deletes or moves it must not get events in vain."""
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = (
                self._path.with_name(f"{self._path.name}.{number - 1}")
                if number > 1
                else self._path
            )
            if newer.exists():
                newer.replace(older)
        if self._keep == 0:
            self._path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring the file's name to disk, without which its content is lost in a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
