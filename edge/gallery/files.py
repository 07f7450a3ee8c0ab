"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.atomic import sync_folder


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """A free name in the target's folder; what is still under it at the end is removed."""
    path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


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
