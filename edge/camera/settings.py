"""What the configuration says about one camera; loads no OpenCV."""

from __future__ import annotations

import re
import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.camera.credentials import has_literal_login, literal_secret
from edge.camera.hours import Opening, is_open, parse_opening, parse_zone

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Side = Annotated[int, Field(ge=16, le=16384)]
Polygon = tuple[tuple[Fraction, Fraction], ...]
Kind = Literal["rtsp", "http", "usb", "file"]

_SCALE = re.compile(r"auto|whole|shrink|tiles|(?:shrink|tiles)@\d+(?:\.\d+)?")
_DECODER = re.compile(r"auto|cpu|ffmpeg:[^\s;|]+;[^;|]+(?:\|[^\s;|]+;[^;|]+)*|gstreamer:.+")
_NUMBER = re.compile(r"\d{1,3}")
_ABSENT_DEVICE = re.compile(r"/dev/(?!shm/|mqueue/|fd/)[\w/.:-]+")


class CameraSettings(BaseModel):
    """One camera. Times are in seconds, places in fractions of the picture's width and height."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="Name in events, metrics and topics: letters, digits, '-' and '_'.",
    )
    url: str = Field(
        min_length=1,
        description="rtsp://, rtsps://, http://, https:// (snapshot, MJPEG or video), a USB camera"
        " (0 or /dev/video0), or the path of a clip. User and password only as ${NAME}.",
    )
    credentials_file: Path | None = Field(
        default=None, description="File with one line user:password and mode 0600."
    )
    fps: float = Field(
        default=5.0, gt=0.0, le=60.0, description="Frames a second handed on; others are dropped."
    )
    roi: Polygon | None = Field(
        default=None, description="Polygon that holds the shelf; the picture is cut to its box."
    )
    masks: tuple[Polygon, ...] = Field(
        default=(), description="Polygons whose pixels are blanked before anything sees them."
    )
    opening_hours: tuple[str, ...] = Field(
        default=(), description="Such as 'mon-sat 08:00-20:00'; none means always open."
    )
    time_zone: str = Field(default="UTC", description="IANA name for the opening hours.")
    scale: str | None = Field(
        default=None, description="Fixed scale (whole, shrink@F, tiles@F) or auto; None: bundle's."
    )
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="How RTSP carries video.")
    tls_verify: bool = Field(
        default=True,
        description="Check the certificate of an https:// camera; false for one that signed its own."
        " Over rtsps:// pictures are encrypted and the certificate is not checked.",
    )
    size: tuple[Side, Side] | None = Field(
        default=None,
        description="Width and height asked of a USB camera, which gives the nearest that it has;"
        " None: what its driver gives, often 640 x 480.",
    )
    open_deadline_s: float = Field(
        default=15.0, ge=1.0, le=300.0, description="Until the stream is open."
    )
    read_deadline_s: float = Field(
        default=10.0, ge=1.0, le=300.0, description="Longest wait for the next frame."
    )
    backoff_min_s: float = Field(
        default=1.0, ge=0.05, le=60.0, description="Upper bound of the first pause after a failure."
    )
    backoff_max_s: float = Field(
        default=60.0, ge=0.05, le=3600.0, description="Bound to which the pauses double."
    )
    frozen_after_s: float = Field(
        default=60.0,
        ge=0.0,
        description="Exactly equal pictures for so long mean a frozen stream; 0: never. Above the"
        " key frame interval, since some encoders repeat a still scene exactly in between.",
    )
    black_after_s: float = Field(
        default=5.0, ge=0.0, description="Dark for so long is reported as black; 0: never."
    )
    grey_after_s: float = Field(
        default=5.0,
        ge=0.0,
        description="Grey areas of a broken decoder for so long are reported and the stream is"
        " opened again; 0: never.",
    )
    decoder: str = Field(
        default="auto",
        description="auto (hardware where FFmpeg finds it), cpu, ffmpeg:KEY;VALUE|KEY;VALUE, or"
        " gstreamer:PIPELINE with {url} and an appsink (OpenCV built with GStreamer).",
    )
    loop: bool = Field(default=True, description="Begin a clip again at its end.")

    @property
    def kind(self) -> Kind:
        """What ``url`` is. A path is what it leads to: a character device is a camera, wherever it
        lies, and a file in shared memory is none. One that leads nowhere is a camera that is not
        plugged in where devices belong, else a missing clip."""
        scheme = self.url.partition("://")[0].lower() if "://" in self.url else ""
        if scheme in ("rtsp", "rtsps"):
            return "rtsp"
        if scheme in ("http", "https"):
            return "http"
        if _NUMBER.fullmatch(self.url):
            return "usb"
        try:
            mode = Path(self.url).stat().st_mode
        except (OSError, ValueError):
            return "usb" if _ABSENT_DEVICE.fullmatch(self.url) else "file"
        return "usb" if stat.S_ISCHR(mode) else "file"

    @property
    def openings(self) -> tuple[Opening, ...]:
        """The opening hours, parsed."""
        return tuple(parse_opening(text) for text in self.opening_hours)

    def is_open(self, at: datetime) -> bool:
        """Whether the camera is to run at this moment (a date with a time zone)."""
        return is_open(self.openings, at, parse_zone(self.time_zone))

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if (field := literal_secret(url)) is not None:
            raise ValueError(
                f"the value of {field!r} must not stand in the configuration: use ${{NAME}}"
            )
        if has_literal_login(url):
            raise ValueError(
                "user and password must not stand in the configuration: write ${NAME} for each, or"
                " use credentials_file"
            )
        if "://" not in url:
            return url
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise ValueError("not a URL: its host or port is malformed") from None
        if parts.scheme.lower() not in ("rtsp", "rtsps", "http", "https", "file"):
            raise ValueError(
                f"{parts.scheme}:// is not supported (rtsp, rtsps, http, https, a device or a file)"
            )
        if not parts.hostname and parts.scheme.lower() != "file":
            raise ValueError("the URL names no host")
        return url

    @field_validator("roi", "masks")
    @classmethod
    def _check_polygons(
        cls, value: Polygon | tuple[Polygon, ...] | None
    ) -> Polygon | tuple[Polygon, ...] | None:
        polygons = value if value and isinstance(value[0][0], tuple) else (value,) if value else ()
        for polygon in polygons:
            if len(polygon) < 3 or abs(_area(polygon)) < 1e-6:  # type: ignore[arg-type]
                raise ValueError("a polygon needs three or more corners that enclose an area")
        return value

    @field_validator("opening_hours")
    @classmethod
    def _check_hours(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        for text in hours:
            parse_opening(text)
        return hours

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        parse_zone(name)
        return name

    @field_validator("scale")
    @classmethod
    def _check_scale(cls, scale: str | None) -> str | None:
        if scale is not None and not _SCALE.fullmatch(scale):
            raise ValueError("one of auto, whole, shrink, tiles, shrink@FACTOR, tiles@FACTOR")
        return scale

    @field_validator("decoder")
    @classmethod
    def _check_decoder(cls, decoder: str) -> str:
        if not _DECODER.fullmatch(decoder):
            raise ValueError("one of auto, cpu, ffmpeg:KEY;VALUE|KEY;VALUE, gstreamer:PIPELINE")
        return decoder

    @model_validator(mode="after")
    def _check_pauses(self) -> Self:
        if self.backoff_max_s < self.backoff_min_s:
            raise ValueError("backoff_max_s must be at least backoff_min_s")
        return self


def _area(polygon: Polygon) -> float:
    """Signed area by the shoelace formula, in fractions of the picture."""
    following = (*polygon[1:], polygon[0])
    return 0.5 * sum(
        x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(polygon, following, strict=True)
    )
