"""Files that are either whole or not there: temporary file, fsync, rename."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import TracebackType

from edge.errors import OutputError


def write_bytes(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``: readers see the old file or the new one, never a part.

    Raises:
        OutputError: no space, no permission, no such folder; an older file stays as it was.
    """
    name = path.name.encode("utf-8", "surrogateescape")[:80].decode("utf-8", "ignore")
    temp = path.with_name(f".{name}.{secrets.token_hex(6)}.tmp")
    try:
        # not mkstemp: its 0600 would hide a report from everybody but the service's own user
        fd = os.open(temp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            try:
                _write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            temp.replace(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` as UTF-8; as :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8", "replace"))


def make_folder(path: Path) -> None:
    """Create a folder and its parents where missing; OutputError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync_folder(path: Path) -> None:
    """Make a rename in this folder survive a power cut, where the platform can."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The one line for a write that failed, naming the file and the cause."""
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")


class LineWriter:
    """A text file that grows line by line and gets its name only when it is complete.

    Until :meth:`commit` the lines are in ``<name>.partial`` beside it. When the work breaks off,
    that file stays, cut after its last whole line, so that hours of work are not lost.

    Raises:
        OutputError: from the constructor, :meth:`write` and :meth:`commit`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.lines = 0
        self._end = 0
        try:
            flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
            self._fd = os.open(self.partial, flags, 0o666)
        except OSError as error:
            raise cannot_write(self.partial, error) from error

    def write(self, line: str) -> None:
        """Append one line; ``line`` holds no line break."""
        data = line.encode("utf-8", "replace") + b"\n"
        try:
            _write_all(self._fd, data)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._end += len(data)
        self.lines += 1

    def commit(self) -> None:
        """Give the file its name."""
        try:
            os.fsync(self._fd)
            self.partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            try:
                os.ftruncate(self._fd, self._end)
                if not self.lines:
                    self.partial.unlink(missing_ok=True)
            except OSError:
                pass  # the error that brought us here is the one to report
        os.close(self._fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
