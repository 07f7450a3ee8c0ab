"""What a capture process reads from: one way to use network streams, USB cameras and clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.camera.credentials import Address, resolve
from edge.camera.settings import CameraSettings
from edge.types import U8


class Stream(Protocol):
    """An open stream. Blocks no longer than the deadlines of its settings, as far as it can."""

    pulled: bool
    """Whether a picture is made when it is asked for (snapshots), rather than coming by itself."""

    def grab(self) -> bool:
        """Wait for the next frame and take it; False at the end. Frames not retrieved cost least."""
        ...

    def retrieve(self) -> U8:
        """The grabbed frame as ``(H, W, 3) uint8`` BGR; CameraError where it cannot be decoded."""
        ...

    def mark(self) -> Mark:
        """What is known of the frame that was grabbed, without decoding it."""
        ...

    def describe(self) -> Description:
        """What is known of the stream."""
        ...

    def close(self) -> None:
        """Let go of the camera."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """Facts on one frame; ``stamp_s`` is the sender's time in seconds, None without time stamps."""

    keyframe: bool = False
    stamp_s: float | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """Codec, transport and decoder by name, empty where unknown; errors of the decoder so far."""

    codec: str = ""
    transport: str = ""
    decoder: str = ""
    errors: int = 0


def open_stream(settings: CameraSettings) -> Stream:
    """Open what the settings name.

    Raises:
        CameraError: one line why not, without user and password.
    """
    if settings.kind == "http":
        from edge.camera.http_stream import open_http

        return open_http(settings, address_of(settings))
    from edge.camera.video_stream import VideoStream

    return VideoStream(settings, address_of(settings))


def address_of(settings: CameraSettings) -> Address:
    """URL and login of a camera; CameraError where a variable or file is missing."""
    return resolve(settings.url, settings.credentials_file)
