"""Where the daemon keeps what."""

from __future__ import annotations

from pathlib import Path

from edge.config import Config
from edge.daemon.outbox import Limits


def outbox_path(config: Config) -> Path:
    """The database of events and slot states."""
    return config.device.state_dir / "outbox.db"


def evidence_folder(config: Config) -> Path:
    """Pictures kept of changes."""
    return config.device.state_dir / "evidence"


def limits_of(config: Config) -> Limits:
    """How much may wait in the outbox."""
    return Limits(config.outbox.max_events, int(config.outbox.max_mb * 1_000_000))
