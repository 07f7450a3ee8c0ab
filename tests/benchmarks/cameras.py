"""How many cameras a device holds: the daemon on rendered, noisy shelves over RTSP.

    python -m tests.benchmarks.cameras [--cameras 4] [--fps 5] [--seconds 60] [--bundle DIR]

Renders a clip of about 120 facings a camera, with sensor noise, mains flicker and wandering exposure,
serves each as H.264 from GStreamer's RTSP server (encoded once at the start), and runs
``edge bench --cameras`` on them. Prints its JSON object, with the processors that the RTSP server
itself had in use, since it takes them from the device that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from edge.bench_cameras import run_density
from edge.processor_time import cpu_seconds, family
from export.scenes.catalog import build_catalog
from export.scenes.clip import Clip, ClipPlan
from tests.streams import RtspServer

_CLIP_S = 12.0


def write_clip(path: Path, seed: int, fps: float) -> Path:
    """A still shelf as a sensor sees it, almost without loss."""
    catalog = build_catalog(seed=seed, split="test", skus=60, hard_share=0.3)
    plan = ClipPlan(seconds=_CLIP_S, fps=fps)
    clip = Clip(catalog, seed, plan)
    code = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), code, fps, plan.size_wh)
    for frame in clip.frames():
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kbit", type=int, default=16000, help="bit rate of a stream, kbit/s")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--clips", type=Path, help="folder that keeps the rendered clips")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = given.clips or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        # four different shelves are enough: further cameras see them again
        clips = [place / f"shelf-{seed}-{given.fps:g}.avi" for seed in range(min(given.cameras, 4))]
        for seed, clip in enumerate(clips):
            if not clip.exists():
                print(f"rendering {clip.name}", file=sys.stderr)
                write_clip(clip, seed, given.fps)
        mounts = [f"/{n}=clip:{c}:h264:{given.fps:g}" for n, c in enumerate(clips)]
        server = RtspServer("--kbit", str(given.kbit), *mounts)
        server.start()
        try:
            pid = next(p for p, c in family(os.getpid()).items() if "rtsp_server" in c)
            begun, spent = time.monotonic(), cpu_seconds(pid)
            report = run_density(
                given.cameras,
                sources=[server.url(f"/{n}") for n in range(len(clips))],
                fps=given.fps,
                seconds=given.seconds,
                bundle=given.bundle,
            )
            share = (cpu_seconds(pid) - spent) / (time.monotonic() - begun)
        finally:
            server.kill()
    print(json.dumps(report.to_json() | {"rtsp_server_cpus": round(share, 3)}, indent=1))


if __name__ == "__main__":
    main()
