"""The daemon as a real process, driven from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.types import U8
from tests.conftest import ROOT
from tests.edge.daemon.brokers import until
from tests.factories import SHELF, Layout, squares
from tests.streams import free_port, write_clip_of

SLOTS = """
[slots]
calm_s = 0.3
votes = 1
detect_s = 2.0
gap_after_s = 2.0
"""
"""The shelf memory in a hurry."""
EMPTIER: Layout = {cell: colour for cell, colour in SHELF.items() if cell != (1, 1)}
"""The shelf after the first red one was taken."""


def shelf(layout: Layout) -> U8:
    """The squares of a layout before a dark wall with some structure, by which light is judged."""
    wall = np.random.default_rng(1).integers(30, 110, (64, 64, 3)).astype(np.uint8)
    picture = np.asarray(cv2.resize(wall, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)
    bright = squares(layout)
    picture[bright.any(axis=2)] = bright[bright.any(axis=2)]
    return picture


def shelf_clip(path: Path, still: int = 40, changed: int = 0, fps: float = 10.0) -> Path:
    """A clip of the shelf of the tests, and of the same one with a product less after it."""
    full, less = (np.ascontiguousarray(shelf(x)[:, :, ::-1]) for x in (SHELF, EMPTIER))
    return write_clip_of(path, [full] * still + [less] * changed, fps=fps)


class Daemon:
    """``edge run`` on a folder of its own.

    Args:
        cameras: clip by camera id.
        extra: more TOML.
        sinks: TOML of the sinks; by default JSON lines.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Path,
        cameras: Mapping[str, str | Path],
        *,
        gallery: Path | None = None,
        extra: str = SLOTS,
        sinks: str | None = None,
        fps: float = 10.0,
        state_dir: Path | None = None,
        camera_extra: str = "",
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "site.toml"
        self.lines = folder / "events.jsonl"
        self.state_dir = state_dir or folder / "state"
        self.log = folder / "daemon.log"
        self._bundle, self._gallery, self._fps = bundle, gallery, fps
        self._extra, self._camera_extra = extra, camera_extra
        self._sinks = sinks if sinks is not None else f'[sinks.jsonl]\npath = "{self.lines}"\n'
        self.write(cameras)
        self.told: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, cameras: Mapping[str, str | Path], *, more: str = "", **models: Path) -> None:
        """Write the configuration; ``models`` replaces bundle or gallery, or both by a site."""
        used = {"bundle": self._bundle, "gallery": self._gallery, **models}
        if "site" in models:
            used = {"site": models["site"]}
        text = [
            f'[device]\nid = "dev"\nstate_dir = "{self.state_dir}"',
            '[models]\nprovider = "cpu"\ngallery_refresh_s = 0.5',
            *(f'{key} = "{path}"' for key, path in used.items() if path),
            f"[http]\nport = {self.port}",
            "[events]\ninventory_s = 1.0\nhealth_s = 1.0",
            "[supervision]\nrestart_first_s = 0.2\nrestart_most_s = 1.0",
            "[outbox]\ncheckpoint_s = 0.5",
            self._extra,
            self._sinks,
            more,
        ]
        for name, url in cameras.items():
            text.append(f'[[cameras]]\nid = "{name}"\nurl = "{url}"\nfps = {self._fps}')
            text.append("frozen_after_s = 0.0\nbackoff_min_s = 0.1\nbackoff_max_s = 0.5")
            text.append(self._camera_extra)
        self.config.write_text("\n".join(text) + "\n")

    def start(self, *, wait: bool = True, env: Mapping[str, str] | None = None) -> Daemon:
        """Start it, with a socket that stands for systemd's; waits until it says it is ready."""
        place = self.folder / "notify"
        place.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self.told = []
        threading.Thread(target=self._listen, args=(self._socket, self.told), daemon=True).start()
        command = [sys.executable, "-c", "from edge.cli import main; main()", "run", "--config"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.config)],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "NOTIFY_SOCKET": str(place),
                    "WATCHDOG_USEC": "12000000",
                    **(env or {}),
                },
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        if wait:
            until(lambda: "READY=1" in self.told or not self.running, 60)
            assert self.running, self.log.read_text()[-3000:]
        return self

    def _listen(self, sock: socket.socket, told: list[str]) -> None:
        while True:
            try:
                told.extend(sock.recv(4096).decode().splitlines())
            except OSError:
                return

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Its exit status."""
        assert self._process is not None
        status = self._process.wait(timeout_s)
        self._socket.close()
        return status

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, if it runs; for the end of a test."""
        if self.running:
            self.signal(signal.SIGKILL)
            self.wait()

    def children(self) -> dict[str, int]:
        """Process ids by what they are: ``inference``, or ``capture``."""
        found = {}
        for pid in _children(self.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = next((c for c in command if c.startswith(b"edge.")), b"?").decode()
            found[name.rsplit(".", 1)[-1]] = pid
        return found

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What was written, rotated files left out."""
        if not self.lines.exists():
            return []
        whole = self.lines.read_text().rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines()]
        return [e for e in found if kind in (None, e["kind"])]

    def changes(self) -> Sequence[tuple[str, str | None, str | None]]:
        """Kind, SKU before and SKU after of every change."""
        return [
            (e["data"]["change"], e["data"].get("sku_before"), e["data"].get("sku_after"))
            for e in self.events("change")
        ]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP request; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, *, camera: str = "") -> float:
        """The sum of a metric over its labels, or over those of one camera; 0 where there is none."""
        found = 0.0
        for line in self.get("/metrics")[1].splitlines():
            label, _, value = line.rpartition(" ")
            if label.partition("{")[0] == name and (not camera or f'camera="{camera}"' in label):
                found += float(value)
        return found


def in_outbox(daemon: Daemon) -> list[str]:
    """Ids of the changes that wait."""
    with sqlite3.connect(daemon.state_dir / "outbox.db", timeout=10) as db:
        rows = db.execute("SELECT id FROM events WHERE kind = 'change'").fetchall()
    return [row[0] for row in rows]


def check_numbers(daemon: Daemon) -> None:
    """The changes of a camera are numbered without a gap, over all restarts.

    A number is part of the state that is committed with its event: a gap is an event that was lost,
    one number with two ids is one that was told twice as if it were two.
    """
    changes = daemon.events("change")
    ids = {e["data"]["number"]: e["id"] for e in changes}
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert len({e["id"] for e in changes}) == len(ids)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(c) for t in tasks.iterdir() for c in (t / "children").read_text().split()]
