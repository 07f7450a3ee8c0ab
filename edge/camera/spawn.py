"""Starting a capture process: a fresh interpreter, its order through a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from edge.camera.settings import CameraSettings

_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


def start_capture(settings: CameraSettings, segment: Path) -> subprocess.Popen[bytes]:
    """Start ``edge.camera.capture`` for one camera; it ends when its standard input is closed.

    Nothing secret is handed over: the child finds its login itself, as the settings say.

    Raises:
        OSError: no process can be started now.
    """
    order = {
        "parent": os.getpid(),
        "segment": str(segment),
        "settings": settings.model_dump(mode="json"),
    }
    paths = os.pathsep.join(filter(None, (_PACKAGE_PARENT, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "edge.camera.capture", settings.id],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # FFmpeg's level "debug", read when OpenCV is loaded: its H.265 decoder tells of a new size at
        # no other. The child keeps what it prints: about two kilobytes a second, read and dropped
        env={**os.environ, "PYTHONPATH": paths, "OPENCV_FFMPEG_LOGLEVEL": "48"},
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it died at once: its parent will see that
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
    return process
