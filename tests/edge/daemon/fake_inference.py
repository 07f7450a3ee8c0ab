"""Stands for the inference process: does what the order's ``play`` says."""

from __future__ import annotations

import os
import sys
import time

from edge.daemon.channel import ClosedError
from edge.daemon.child import enter_child


def main(fd: int, parent: int) -> int:
    channel = enter_child(fd, parent)
    order = next(iter(channel.receive(10.0)))
    play = order["play"]
    if play == "die":
        return 3
    if play == "damaged":
        channel.send("failed", problem="outbox.db: damaged", exit_status=1, damaged=True)
        return 1
    if play == "fail":
        channel.send("failed", problem="no such bundle", exit_status=1, damaged=False)
        return 1
    if play == "load":
        time.sleep(60)
    channel.send("ready", progress=1, provider="fake")
    progress = 1
    try:
        while True:
            for message in channel.receive(0.05):
                if message["type"] == "stop":
                    channel.send("committed")
                    return 0
            progress += play == "work"
            channel.send("status", progress=progress, pid=os.getpid(), text="x" * 200_000)
    except ClosedError:
        return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
