"""One writer at a time: a lock file that says who holds it.

``.gallery.db.lock`` is locked with flock(2), which the kernel releases when its holder dies, so a
file left behind by a killed process locks nothing. It is removed by a writer that ends in order.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from edge.atomic import cannot_write
from edge.closing import Closing
from edge.errors import GalleryError

_POLL_S = 0.05
_NOBODY = "a process that has not said its name"


class WriterLock(Closing):
    """The right to write one gallery; held until ``close``."""

    def __init__(self, gallery: Path, *, wait_s: float) -> None:
        """Wait up to ``wait_s`` for it.

        Raises GalleryError that names the gallery and the process that holds it, OutputError where
        the folder cannot be written.
        """
        self._gallery, self._path = gallery, lock_path(gallery)
        deadline = time.monotonic() + wait_s
        while (descriptor := self._try()) is None:
            if time.monotonic() >= deadline:
                raise GalleryError(f"{gallery}: another writer has it open: {self._holder()}")
            time.sleep(_POLL_S)
        self._descriptor = descriptor
        left = os.pread(descriptor, 4096, 0).decode(errors="replace")
        self.left_by = _describe(left) if left else None
        """Who held it before and ended without releasing it, such as a killed process."""
        with suppress(OSError):  # a full disk: it is locked all the same, only nameless
            # over what was there, then shorter: a writer killed here hides no other that was
            os.ftruncate(descriptor, os.pwrite(descriptor, _self_description(), 0))
            if os.geteuid() == 0 and gallery.exists():
                # as SQLite does with its journal: root must not lock out the gallery's owner
                owner = gallery.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def close(self) -> None:
        """Let the next writer in."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> int | None:
        """A locked descriptor of the file that is under the name now, or None."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise cannot_write(self._gallery, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the holder before may have removed the file that we waited for
            if os.fstat(descriptor).st_ino == self._path.stat().st_ino:
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    def _holder(self) -> str:
        try:
            return _describe(self._path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return _NOBODY


def lock_path(gallery: Path) -> Path:
    """Where the lock of the gallery file is."""
    return gallery.with_name(f".{gallery.name}.lock")


def _describe(text: str) -> str:
    try:
        who = json.loads(text.partition("\n")[0])
        return f"process {who['pid']} ({who['command']}) on {who['host']} since {who['since']}"
    except (ValueError, TypeError, KeyError):
        return _NOBODY


def _self_description() -> bytes:
    # the words of the command only: arguments may hold what is nobody else's business
    words = itertools.takewhile(lambda word: word.replace("-", "").isalpha(), sys.argv[1:])
    command = " ".join((Path(sys.argv[0]).name or "python", *itertools.islice(words, 3)))
    who = {
        "pid": os.getpid(),
        "command": command,
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return json.dumps(who).encode() + b"\n"
