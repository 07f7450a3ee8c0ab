"""What the kernel was asked to do, in which order, before a change was acknowledged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT

CALLS = "openat,close,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink"
ENROL = """
import os, sys
from pathlib import Path
import numpy as np
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore

with GalleryStore.open(Path(sys.argv[1]), read_only=False) as store:
    vector = np.eye(8, dtype=np.float32)[0]
    os.write(1, b"ready\\n")
    for change in (
        lambda: store.add_references([NewReference("a", vector, b"\\xff\\xd8", "x", "0", 1.0)]),
        lambda: store.relabel([store.last_seq], "b"),
        lambda: store.remove_references([4]),
        lambda: store.merge("a", "b"),
        lambda: store.undo(),
    ):
        change()
        os.write(1, b"acknowledged\\n")
"""


def trace(gallery: Path, log: Path) -> list[str]:
    """The system calls of ENROL, one a line, in order."""
    strace = ["strace", "-f", "-y", "-e", f"trace={CALLS}", "-o", str(log)]
    done = subprocess.run(
        [*strace, sys.executable, "-c", ENROL, str(gallery)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if "PTRACE" in done.stderr or "not permitted" in done.stderr:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return log.read_text().splitlines()


def first(calls: Sequence[str], pattern: str, after: int = -1) -> int:
    """The place of the first call after ``after`` that matches."""
    for place in range(after + 1, len(calls)):
        if re.search(pattern, calls[place]):
            return place
    raise AssertionError(f"no {pattern} after call {after} of:\n" + "\n".join(calls))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_database_and_sidecar_are_synced_before_a_change_is_acknowledged(
    small: Path, tmp_path: Path
) -> None:
    calls = trace(small, tmp_path / "trace.log")
    marks = [i for i, call in enumerate(calls) if re.search(r'write\(1.*"acknowledged', call)]
    start = first(calls, r'write\(1.*"ready')
    assert len(marks) == 5
    for end in marks:
        change = calls[start:end]
        wal = r"gallery\.db-wal>"
        written = max(
            i for i, call in enumerate(change) if re.search(rf"pwrite64\(\d+<.*{wal}", call)
        )
        synced = first(change, rf"f(data)?sync\(\d+<.*{wal}.*= 0", written)
        sidecar = first(change, r"write\(\d+<.*\.gallery\.db\.seq\.\w+\.tmp>", synced)
        on_disk = first(change, r"fsync\(\d+<.*\.gallery\.db\.seq\.\w+\.tmp>\) += 0", sidecar)
        renamed = first(change, r"rename\w*\(.*gallery\.db\.seq\"\) += 0", on_disk)
        first(change, rf"fsync\(\d+<{re.escape(str(small.parent))}>\) += 0", renamed)
        start = end
