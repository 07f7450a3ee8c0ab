"""The capture process: ``python -m edge.camera.capture ID``, its order on standard input.

One connection a process: when the stream ends or fails, the process says why in its status and exits,
and its parent starts another. What a library leaks goes with it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from edge.camera.child import bind_to_parent, when_parent_closes
from edge.camera.clock import SYSTEM_CLOCK, Clock
from edge.camera.credentials import Address
from edge.camera.settings import CameraSettings
from edge.camera.shared_frame import FrameWriter
from edge.camera.status import Report, StatusWriter, StreamInfo
from edge.errors import CameraError

HEARTBEAT_S = 0.25


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent asks for."""

    parent: int
    segment: Path
    settings: CameraSettings


def read_order(text: str) -> Order:
    """The order from its line of JSON."""
    fields = json.loads(text)
    return Order(
        int(fields["parent"]),
        Path(fields["segment"]),
        CameraSettings.model_validate(fields["settings"]),
    )


def main() -> NoReturn:
    """Run until the stream ends, the parent closes the pipe, or the parent dies."""
    with open(0, "rb", buffering=0, closefd=False) as pipe:
        order = read_order(pipe.readline().decode())
    bind_to_parent(order.parent)
    stopping = threading.Event()
    when_parent_closes(0, stopping.set)
    writer = FrameWriter(order.segment)
    status = StatusWriter(writer.mapping)
    address = Address("")
    try:
        from edge.camera.stream import address_of

        address = address_of(order.settings)
        capture(order.settings, writer, status, stopping)
    except CameraError as error:
        _fail(status, str(error))  # such lines are made without secrets
    except Exception as error:  # whatever it is, the parent must learn why
        _fail(status, address.redact(f"{type(error).__name__}: {error}"))
    os._exit(0)


def capture(
    settings: CameraSettings,
    writer: FrameWriter,
    status: StatusWriter,
    stopping: threading.Event,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Open the stream and hand on its frames until ``stopping`` is set.

    Raises:
        CameraError: the stream cannot be opened, ends, or stays broken.
    """
    import cv2

    from edge.camera.delivery import Delivery
    from edge.camera.stream import open_stream

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    begun_ns = clock.monotonic_ns()
    status.tell(Report("opening", begun_ns, picture_ns=begun_ns))
    stream = open_stream(settings)
    try:
        opened_ns = clock.monotonic_ns()
        info = StreamInfo(opened_s=(opened_ns - begun_ns) / 1e9)
        status.progress(opened_ns)
        status.tell(replace(status.report, phase="reading", phase_ns=opened_ns, info=info))
        delivery = Delivery(settings, writer, status, begun_ns, clock)
        while not stopping.is_set():
            if stream.pulled:
                _wait(delivery.due_ns, status, stopping, clock)
            asked_s = clock.seconds()
            if not stream.grab():
                # FFmpeg gives up at the deadline, and does not tell that from an end
                late = clock.seconds() - asked_s >= 0.8 * settings.read_deadline_s
                silence = f"no picture for {settings.read_deadline_s:g} s"
                raise CameraError(silence if late else "the stream ended")
            delivery.take(stream)
    finally:
        stream.close()


def _wait(due_ns: int, status: StatusWriter, stopping: threading.Event, clock: Clock) -> None:
    """Wait until a snapshot is due, without seeming stuck."""
    while not stopping.is_set():
        now_ns = clock.monotonic_ns()
        status.progress(now_ns)
        if now_ns >= due_ns:
            return
        stopping.wait(min(HEARTBEAT_S, (due_ns - now_ns) / 1e9))


def _fail(status: StatusWriter, reason: str) -> NoReturn:
    now_ns = time.monotonic_ns()
    line = " ".join(reason.split())
    status.tell(replace(status.report, phase="failed", phase_ns=now_ns, reason=line))
    os._exit(1)  # at once: a library could hang while it is unloaded


if __name__ == "__main__":
    main()
