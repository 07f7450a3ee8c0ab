"""How long a model takes on this machine's CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.embedding import F32


def latency_ms(
    file: Path, size: int, batches: Sequence[int] = (1, 8, 16, 32), *, threads: int = 2
) -> dict[str, float]:
    """Milliseconds a picture by batch size, the best of five runs on the CPU provider."""
    from edge.vision.session import OrtSession, SessionOptions

    session = OrtSession(file, "cpu", SessionOptions(threads=threads))
    rng = np.random.default_rng(0)
    measured = {}
    for batch in batches:
        images: F32 = rng.normal(size=(batch, 3, size, size)).astype(np.float32)
        session.run(images)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            session.run(images)
            times.append(time.perf_counter() - start)
        measured[str(batch)] = round(1e3 * min(times) / batch, 2)
    return measured


def speed_up(slow: Path, fast: Path, size: int, *, batch: int = 4, runs: int = 5) -> float:
    """How many times as many pictures `fast` takes in the same time on one thread of this CPU.

    Both take inputs of one shape; `batch` and `size` stand for what the models leave open. They run in
    turn and the median ratio counts, so that a busy machine slows both. With one thread the calling
    thread does the work, whose own CPU time is what is measured.
    """
    from edge.vision.session import OrtSession, SessionOptions

    sessions = [OrtSession(file, "cpu", SessionOptions(threads=1)) for file in (slow, fast)]
    count, *rest = sessions[0].signature[0].shape
    shape = (count or batch, *(side or size for side in rest))
    images: F32 = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ratios = []
    for number in range(runs + 1):
        spent = []
        for session in sessions:
            start = time.thread_time()
            session.run(images)
            spent.append(time.thread_time() - start)
        if number:  # the first run also allocates
            ratios.append(spent[0] / max(spent[1], 1e-9))
    return float(np.median(ratios))
