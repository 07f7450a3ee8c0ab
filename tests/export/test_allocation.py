from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import resource, sys
import numpy as np
from export.allocation import keep_freed_memory

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

told = keep_freed_memory() if sys.argv[1] == "keep" else False
faults()
print(told, faults())
"""


def _run(how: str, **environment: str) -> tuple[bool, int]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC", "LD_PRE"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        cwd=ROOT,
        env={**kept, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    told, faults = done.stdout.split()
    return told == "True", int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is Linux's")
def test_memory_freed_is_not_asked_of_the_system_again() -> None:
    told, faults = _run("keep")
    if not told:
        pytest.skip("this C library has no mallopt")
    _, plain = _run("leave")
    assert 5 * faults < plain, (faults, plain)


def test_an_allocator_the_user_tuned_is_left_alone() -> None:
    told, _ = _run("keep", MALLOC_TRIM_THRESHOLD_="1000000")
    assert not told
