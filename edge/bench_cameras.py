"""Stream density: the whole daemon on several cameras at once, measured from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.camera.source import read_image
from edge.console import Progress
from edge.demo import SAMPLE
from edge.density import DensityReport, make_report
from edge.enrolment import build_from_folder
from edge.errors import ConfigError, InferenceError
from edge.exposition import Samples, parse_samples
from edge.processor_time import cpu_seconds, family

_PROGRAM = "from edge.cli import main; main()"
_WARM_S = 180.0
_CLIP_FRAMES = 40
_CLIP_WIDTH = 1280


def run_density(
    cameras: int,
    *,
    sources: Sequence[str] = (),
    fps: float = 5.0,
    seconds: float = 60.0,
    bundle: Path | None = None,
    provider: str = "auto",
    progress: Progress | None = None,
) -> DensityReport:
    """Run the daemon on ``cameras`` cameras until their shelves are learned, then measure.

    Args:
        sources: addresses, taken in turn; by default a noisy clip of the embedded sample.

    Raises:
        ConfigError: fewer than one camera, or a source that no camera can have.
        InferenceError: the daemon ended, or a camera never delivered.
    """
    if cameras < 1:
        raise ConfigError(f"--cameras must be at least 1, got {cameras}")
    with tempfile.TemporaryDirectory(prefix="shelf-edge-bench-") as name:
        folder = Path(name)
        if not sources:
            sources = [str(noisy_clip(folder / "sample.avi", fps))]
        gallery = folder / "gallery.db"
        build_from_folder(SAMPLE / "fronts", gallery, bundle=bundle, provider=provider)
        config = folder / "site.toml"
        port = _write(config, folder, cameras, sources, fps, bundle, gallery, provider)
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, "run", "--config", str(config)],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
                stdout=log,
                stderr=log,
            )
        try:
            return _measure(daemon, port, fps, seconds, progress)
        except InferenceError as error:
            tail = (folder / "log").read_text(errors="replace").splitlines()[-1:]
            raise InferenceError(f"{error}: {''.join(tail)}") from error
        finally:
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()


def noisy_clip(path: Path, fps: float) -> Path:
    """A Motion-JPEG clip of the embedded sample shelf with sensor noise."""
    image = read_image(SAMPLE / "shelf.jpg")
    height = round(image.shape[0] * _CLIP_WIDTH / image.shape[1] / 2) * 2
    still = np.asarray(cv2.resize(image, (_CLIP_WIDTH, height), interpolation=cv2.INTER_AREA))
    rng = np.random.default_rng(7)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (_CLIP_WIDTH, height))
    for _ in range(_CLIP_FRAMES):
        noise = rng.normal(0.0, 2.5, still.shape)
        frame = np.clip(still + noise, 0, 255).astype(np.uint8)
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


def _write(
    path: Path,
    folder: Path,
    cameras: int,
    sources: Sequence[str],
    fps: float,
    bundle: Path | None,
    gallery: Path,
    provider: str,
) -> int:
    """Write the configuration; the port of its metrics."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    text = [
        f'[device]\nid = "bench"\nstate_dir = {json.dumps(str(folder / "state"))}',
        f'[models]\nprovider = "{provider}"\ngallery = {json.dumps(str(gallery))}',
        f"bundle = {json.dumps(str(bundle))}" if bundle is not None else "",
        f"[http]\nport = {port}",
        f"[sinks.jsonl]\npath = {json.dumps(str(folder / 'events.jsonl'))}",
    ]
    for number in range(cameras):
        url = sources[number % len(sources)]
        text.append(f'[[cameras]]\nid = "camera-{number + 1}"\nurl = {json.dumps(url)}')
        # a clip of a still shelf repeats its pictures exactly
        text.append(f"fps = {fps}\nfrozen_after_s = 0.0")
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return port


def _measure(
    daemon: subprocess.Popen[bytes],
    port: int,
    fps: float,
    seconds: float,
    progress: Progress | None,
) -> DensityReport:
    def scrape() -> Samples:
        if daemon.poll() is not None:
            raise InferenceError(f"the daemon ended with status {daemon.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return parse_samples(answer.read().decode())
        except OSError:
            return {}

    _warm_up(scrape)
    cpu_before, first, begun = family_seconds(daemon.pid), scrape(), time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        time.sleep(min(1.0, seconds - passed))
        if progress is not None:
            progress(round(passed), round(seconds))
    last, cpu_after = scrape(), family_seconds(daemon.pid)
    passed = time.monotonic() - begun
    cpu = {k: round((cpu_after[k] - cpu_before.get(k, 0.0)) / passed, 3) for k in cpu_after}
    return make_report(first, last, cpu, fps, passed)


def _warm_up(scrape: Callable[[], Samples]) -> None:
    """Wait until every camera has learned its shelf: nothing new is embedded for some seconds."""
    deadline = time.monotonic() + _WARM_S
    embeds, still_since = -1.0, time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = scrape()
        slots = now.get("shelf_edge_slots", {})
        count = sum(now.get("shelf_edge_embeds_total", {}).values())
        if count > embeds * 1.02 + 1 or not slots or min(slots.values()) == 0:
            embeds, still_since = count, time.monotonic()
        elif time.monotonic() - still_since > 5.0:
            return
    if embeds <= 0:
        raise InferenceError("no camera delivered frames with products")


def family_seconds(pid: int) -> dict[str, float]:
    """Processor time by part of the daemon."""
    spent: dict[str, float] = {"supervisor": cpu_seconds(pid)}
    for child, command in family(pid).items():
        part = "inference" if "inference" in command else "capture"
        spent[part] = spent.get(part, 0.0) + cpu_seconds(child)
    return spent
