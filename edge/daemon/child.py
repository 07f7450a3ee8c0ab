"""A child process that dies with its parent, and a channel to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from edge.camera.child import bind_to_parent
from edge.daemon.channel import Channel

_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


class Child:
    """Runs ``python -m module`` with one end of a channel; started anew, never forked with state.

    Must be started from the main thread: the kernel ties the child's life to the thread.
    """

    def __init__(self, module: str, *args: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            env = dict(os.environ)
            env["PYTHONPATH"] = os.pathsep.join(
                p for p in (_PACKAGE_PARENT, env.get("PYTHONPATH", "")) if p
            )
            # the watchdog is the supervisor's alone
            for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
                env.pop(name, None)
            command = [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid()), *args]
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=env
                )
            except BaseException:
                ours.close()
                raise
        self.channel = Channel(ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once and collect it."""
        self._process.kill()
        self._process.wait()
        self.channel.close()

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self.channel.close()
        return True


def enter_child(fd: int, parent: int) -> Channel:
    """Call first in the child: ties its life to the parent's and opens the channel.

    The signals by which a person or a terminal stops the service are the parent's business.
    """
    bind_to_parent(parent)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return Channel.of_fd(fd)
