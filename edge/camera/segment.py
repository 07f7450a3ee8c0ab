"""Files of shared memory: made by the daemon, gone with it, and swept up after a crash."""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
from pathlib import Path

from edge.camera.mapping import HEADER_BYTES, MAGIC, MAX_PIXELS
from edge.errors import CameraError

SHARED_DIRECTORY = Path("/dev/shm")
PREFIX = "shelf-edge-"


class Segment:
    """The file behind a camera's frames, mode 0600; its owner holds a shared file lock on it.

    The kernel drops that lock when the owner dies, however it dies: this is how a later daemon knows
    which files are stale. Frames never wait for it. (``multiprocessing.shared_memory`` is not used:
    its resource tracker unlinks segments that other processes still read.)
    """

    def __init__(
        self,
        name: str,
        *,
        directory: Path = SHARED_DIRECTORY,
        capacity_pixels: int = MAX_PIXELS,
    ) -> None:
        """Make the file; ``name`` becomes part of the file's name.

        Raises:
            CameraError: the folder cannot be written.
        """
        capacity = -(-capacity_pixels * 3 // mmap_page()) * mmap_page()
        try:
            self.path, self._descriptor = _create(name, directory)
            os.ftruncate(self._descriptor, HEADER_BYTES + 2 * capacity)
            os.pwrite(self._descriptor, struct.pack("=QQQ", MAGIC, capacity, 0), 0)
        except OSError as error:
            raise CameraError(f"{directory}: no shared memory: {error.strerror}") from error

    def close(self) -> None:
        """Remove the file; processes that have it mapped keep their mapping."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def remove_stale(directory: Path = SHARED_DIRECTORY) -> list[Path]:
    """Remove the segments whose owner no longer lives; returns their paths.

    Files of living daemons, of other users and of other programs are left alone.
    """
    removed = []
    for path in sorted(directory.glob(f"{PREFIX}*")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed.append(path)
        except OSError:
            pass  # in use
        finally:
            os.close(descriptor)
    return removed


def mmap_page() -> int:
    """Bytes of a page of memory."""
    return os.sysconf("SC_PAGE_SIZE")


def _create(name: str, directory: Path) -> tuple[Path, int]:
    while True:
        path = directory / f"{PREFIX}{name}-{secrets.token_hex(4)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        # another daemon's sweep may have come between the two calls
        if os.fstat(descriptor).st_nlink == 1:
            return path, descriptor
        os.close(descriptor)
