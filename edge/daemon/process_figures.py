"""Memory, files and threads of a process, from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def figures_of(pid: int | None = None, folder: Path = Path("/proc")) -> dict[str, float] | None:
    """``resident_bytes``, ``open_files`` and ``threads``; of this process by default.

    None where the process is gone or /proc is not there.
    """
    place = folder / (str(pid) if pid is not None else "self")
    try:
        resident = int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = sum(1 for _ in (place / "fd").iterdir())
        threads = sum(1 for _ in (place / "task").iterdir())
    except (OSError, ValueError, IndexError):
        return None
    return {
        "resident_bytes": float(resident),
        "open_files": float(files),
        "threads": float(threads),
    }
