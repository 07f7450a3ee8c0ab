"""A real Mosquitto for the tests, and a client that remembers what it got."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.streams import free_port

paho = pytest.importorskip("paho.mqtt.client")


PATIENCE = float(os.environ.get("SHELF_EDGE_PATIENCE", "1"))
"""For machines that are busy with something else."""


def find_mosquitto() -> str:
    """Its path; skips the test where it is not installed."""
    found = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if found is None:
        pytest.skip("mosquitto is not installed")
    return found


class Broker:
    """Mosquitto on a port of its own; ``lines`` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self._program = find_mosquitto()
        self._file = folder / f"mosquitto-{self.port}.conf"
        self.configure(*(lines or ("allow_anonymous true",)))
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, *lines: str) -> None:
        text = [f"listener {self.port} 127.0.0.1", "persistence false", "user root", *lines]
        self._file.write_text("\n".join(text) + "\n")

    def start(self) -> Broker:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: self._answers(), 10.0)
        return self

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True


class Listener:
    """Subscribes to everything; survives restarts of the broker."""

    def __init__(self, port: int, **login: str) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.properties: list[Any] = []
        self._lock = threading.Lock()
        self.subscribed = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="listener", protocol=paho.MQTTv5
        )
        if login:
            self._client.username_pw_set(login["username"], login["password"])
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        assert self.subscribed.wait(10)

    def _take(self, _client: Any, _data: Any, message: Any) -> None:
        with self._lock:
            self.messages.append((message.topic, message.payload, bool(message.retain)))
            self.properties.append(message.properties)

    def events(self, ending: str = "/change") -> list[dict[str, Any]]:
        """What came on topics that end so, as objects."""
        with self._lock:
            return [json.loads(p) for topic, p, _ in self.messages if topic.endswith(ending)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Wait for a condition; fails after the time (SHELF_EDGE_PATIENCE multiplies it)."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value
