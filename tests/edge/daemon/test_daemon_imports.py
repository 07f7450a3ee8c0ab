"""What the supervisor may load: nothing that decodes pictures or runs models."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

HEAVY = {"cv2", "onnxruntime", "hnswlib", "torch", "PIL"}


@pytest.mark.parametrize(
    "module", ["edge.daemon.supervisor", "edge.daemon.check", "edge.config", "edge.daemon.mqtt"]
)
def test_it_loads_nothing_heavy(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert loaded & HEAVY == set()
