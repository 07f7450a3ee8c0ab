"""Files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.atomic import sync_folder


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """An empty file of a free name in the target's folder; gone at the end, if still of that name.

    It is locked meanwhile, so that ``recovery.remove_leftovers`` can tell it from one whose
    process was killed. Not for SQLite databases: closing it would take away SQLite's locks.
    """
    path, descriptor = _create_locked(target)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def temporary_name(target: Path) -> Path:
    """A free name in the target's folder, for a file that the writer lock protects."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")


def publish(temporary: Path, target: Path) -> None:
    """Put a written and synced file in the target's place, and sync the folder."""
    temporary.replace(target)
    sync_folder(target.parent)


def sync_file(path: Path) -> None:
    """Wait until a file is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_locked(target: Path) -> tuple[Path, int]:
    while True:
        path = temporary_name(target)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)  # taken for a leftover before it was locked
