"""Talking to systemd: readiness, status and the watchdog (sd_notify(3), without a library)."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Sends states to the socket that systemd named; does nothing where there is none."""

    def __init__(self, address: str | None = None) -> None:
        """``address`` is NOTIFY_SOCKET's value by default."""
        address = address if address is not None else os.environ.get("NOTIFY_SOCKET")
        self._address = ("\0" + address[1:]) if address and address[0] == "@" else address
        self._status = ""

    def send(self, *states: str) -> None:
        """Send assignments such as ``READY=1`` in one message; a lost one is no error."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(1.0)
            sock.sendto("\n".join(states).encode("utf-8"), self._address)

    def ready(self) -> None:
        """The service is up, or has read its configuration again."""
        self.send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service is going down."""
        self.send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; sent when it changes."""
        if text != self._status:
            self._status = text
            self.send("STATUS=" + text.replace("\n", " "))

    def extend_timeout(self, seconds: float) -> None:
        """Starting takes longer: systemd waits this much more from now on."""
        self.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def watchdog(self) -> None:
        """A sign of life."""
        self.send("WATCHDOG=1")


def watchdog_s() -> float | None:
    """Seconds after which systemd kills this process without a sign of life; None when it does not."""
    pid = os.environ.get("WATCHDOG_PID")
    if pid is not None and pid != str(os.getpid()):
        return None
    try:
        value = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return None
    return value if value > 0 else None
