"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from edge.atomic import sync_folder


def temporary_name(target: Path) -> Path:
    """A free name in the target's folder, for a file that takes its place when it is complete."""
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
