"""Builds the index of ``test_scale.py`` and kills itself where it is told to: INDEX STAGE:DONE."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from edge.gallery.scale import build_on_disk
from tests.edge.gallery.test_scale import DIM, ORIGIN, N, source_of


def main() -> None:
    index, where = Path(sys.argv[1]), sys.argv[2]
    vectors = np.random.default_rng(5).standard_normal((N, DIM)).astype(np.float32)
    vectors = np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
    vectors[100:150] = vectors[7]
    vectors[500] = vectors[3]
    stages = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        if where == f"{stage}:{done}":
            os.kill(os.getpid(), signal.SIGKILL)

    build_on_disk(
        index,
        ORIGIN,
        source_of(vectors),
        references=N,
        last_seq=11,
        checkpoint_nodes=150,
        block=150,
        progress=progress,
    )
    print(json.dumps(stages))


if __name__ == "__main__":
    main()
