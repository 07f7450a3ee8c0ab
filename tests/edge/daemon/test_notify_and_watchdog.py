from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.daemon.notify import Notifier, watchdog_s
from edge.daemon.watchdog import Watchdog


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(1)
        yield sock


def test_states_are_sent_as_systemd_wants_them(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "notify"))
    notifier.ready()
    notifier.status("two\nlines")
    notifier.status("two\nlines")
    notifier.extend_timeout(60)
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()
    got = [systemd.recv(999).decode() for _ in range(6)]
    assert got[:3] == ["READY=1", "STATUS=two lines", "EXTEND_TIMEOUT_USEC=60000000"]
    assert got[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert got[4:] == ["WATCHDOG=1", "STOPPING=1"]


def test_an_abstract_socket() -> None:
    name = f"shelf-edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(1)
        Notifier("@" + name).ready()
        assert sock.recv(99) == b"READY=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready()
    Notifier("/nowhere/at/all").ready()


def test_the_watchdogs_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "180000000")
    assert watchdog_s() == 180.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert watchdog_s() is None
    monkeypatch.delenv("WATCHDOG_PID")
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    assert watchdog_s() is None


def test_it_is_fed_by_progress_and_not_by_time() -> None:
    fed: list[float] = []
    now = [0.0]
    watchdog = Watchdog(lambda: fed.append(now[0]), feed_every_s=10, stuck_s=60)
    watchdog.restarted(0.0)
    for now[0] in range(0, 200):
        # inference goes on until 50 and then hangs, though the figures still arrive
        watchdog.progress(min(int(now[0]), 50) + 1, now[0])
    assert fed == [0, 10, 20, 30, 40, 50]
    assert not watchdog.is_stuck(110)
    assert watchdog.is_stuck(111)


def test_a_new_process_has_its_time() -> None:
    watchdog = Watchdog(lambda: None, feed_every_s=10, stuck_s=60)
    assert not watchdog.is_stuck(1e9)
    watchdog.restarted(100.0)
    assert not watchdog.is_stuck(160.0)
    assert watchdog.is_stuck(161.0)
