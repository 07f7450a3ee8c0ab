"""A process that must not outlive its parent; used at the start of every child."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def bind_to_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent's thread that started it ends.

    A parent that died before this call is noticed too; then this process exits at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def when_parent_closes(descriptor: int, then: Callable[[], object]) -> None:
    """Call ``then`` in a thread of its own when the other end of a pipe is closed."""

    def watch() -> None:
        while True:
            try:
                if not os.read(descriptor, 4096):
                    break
            except OSError:
                break
        then()

    threading.Thread(target=watch, name="parent", daemon=True).start()
