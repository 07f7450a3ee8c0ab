"""What a stream is: opened, watched for some seconds, and told in one report."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from urllib.parse import unquote

from pydantic import ValidationError

from edge.camera.credentials import has_literal_login, literal_secret, shown_url
from edge.camera.health import CameraHealth, CameraState
from edge.camera.process import CaptureProcess
from edge.camera.segment import remove_stale
from edge.camera.settings import CameraSettings
from edge.camera.status import StreamInfo
from edge.errors import ConfigError

_POLL_S = 0.01
_USER, _PASSWORD = "SHELF_EDGE_PROBE_USER", "SHELF_EDGE_PROBE_PASSWORD"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What :func:`probe` found; times are seconds, None or empty where unknown.

    ``open_s`` and ``first_frame_s`` count from the start of the connection. ``fps`` is what the
    camera sends; ``cpu_share`` is the capture process's, of one core, while ``handed_on`` frames
    were converted and handed on and the others only decoded. ``age_s`` is the median age of a frame
    when it was read, ``lag_s`` how much longer than the quickest the last one was on its way.
    """

    url: str
    ok: bool
    state: CameraState
    reason: str
    codec: str
    transport: str
    decoder: str
    width: int
    height: int
    fps: float
    keyframe_s: float | None
    open_s: float | None
    first_frame_s: float | None
    age_s: float | None
    lag_s: float | None
    cpu_share: float
    received: int
    handed_on: int
    withheld: int
    errors: int

    def to_json(self) -> dict[str, object]:
        """A JSON object with the fields as they are named here."""
        return asdict(self)

    def to_text(self) -> str:
        """Lines for a person."""
        if not self.received:
            return f"{self.url}: {self.reason}"
        how = ", ".join(part for part in (self.transport, f"decoded by {self.decoder}") if part)
        apart = f", a key frame every {self.keyframe_s:.1f} s" if self.keyframe_s else ""
        lines = [
            f"{self.url}: {self.state}" + (f" ({self.reason})" if self.reason else ""),
            f"  {self.codec or 'unknown codec'}, {self.width} x {self.height}, {self.fps:.1f} frames/s"
            f"{apart}; {how}",
            f"  first picture after {self.first_frame_s or 0:.2f} s; {self.received} received,"
            f" {self.handed_on} handed on, {self.withheld} withheld,"
            f" {self.errors} decoder errors",
            f"  {self.cpu_share:.0%} of a core"
            + (f"; a picture is {self.age_s * 1000:.0f} ms old when read" if self.age_s else ""),
        ]
        return "\n".join(lines)


def probe(settings: CameraSettings, seconds: float) -> ProbeReport:
    """Open one stream in a capture process of its own and watch it.

    It ends at the first failure, or ``seconds`` after the first picture; opening hours are ignored.
    Nothing in the report holds user or password.

    Raises:
        CameraError: there is no shared memory to be had.
    """
    settings = settings.model_copy(update={"opening_hours": ()})
    remove_stale()
    capture = CaptureProcess(settings)
    ages: list[float] = []
    info = StreamInfo()
    began_s: float | None = None
    seen = 0
    try:
        while True:
            health = capture.poll()
            info = capture.info or info
            frame = capture.latest(newer_than=seen)
            if frame is not None:
                seen = frame.index
                ages.append(frame.age_s(time.monotonic_ns()))
            if health.received and began_s is None:
                began_s = time.monotonic()
            over = began_s is not None and time.monotonic() - began_s >= seconds
            if over or health.state in (CameraState.DOWN, CameraState.CLOSED):
                return _report(settings, health, info, ages)
            time.sleep(_POLL_S)
    finally:
        capture.stop()


def probe_settings(
    url: str,
    *,
    seconds: float,
    fps: float,
    transport: str,
    decoder: str,
    credentials_file: Path | None,
    open_deadline_s: float,
) -> CameraSettings:
    """Settings for :func:`probe`, with limits for pictures that fit into ``seconds``.

    A user and password that were typed into the URL move into this process's environment: the
    settings, and with them everything that is printed, hold their names only.

    Raises:
        ConfigError: an option or the URL is wrong.
    """
    if has_literal_login(url) and literal_secret(url) is None:
        scheme, _, rest = url.partition("://")
        login, _, rest = rest.partition("@") if "@" in rest else ("", "", rest)
        user, _, password = login.partition(":")
        os.environ.update({_USER: unquote(user) or " ", _PASSWORD: unquote(password) or " "})
        url = f"{scheme}://${{{_USER}}}:${{{_PASSWORD}}}@{rest}"
    try:
        return CameraSettings.model_validate(
            {
                "id": "probe",
                "url": url,
                "fps": fps,
                "transport": transport,
                "decoder": decoder,
                "credentials_file": credentials_file,
                "open_deadline_s": open_deadline_s,
                "frozen_after_s": max(2.0, seconds / 2),
                "black_after_s": 1.0,
                "grey_after_s": 1.0,
            }
        )
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc'])}:"
            f" {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError("; ".join(problems)) from None


def _report(
    settings: CameraSettings, health: CameraHealth, info: StreamInfo, ages: list[float]
) -> ProbeReport:
    return ProbeReport(
        url=shown_url(settings.url),
        ok=health.handed_on > 0 and health.state is not CameraState.DOWN,
        state=health.state,
        reason=health.reason,
        codec=info.codec,
        transport=info.transport,
        decoder=info.decoder,
        width=info.width,
        height=info.height,
        fps=round(health.fps, 2),
        keyframe_s=round(info.keyframe_s, 3) or None,
        open_s=round(info.opened_s, 3) or None,
        first_frame_s=round(info.first_frame_s, 3) or None,
        age_s=round(median(ages), 4) if ages else None,
        lag_s=round(info.lag_s, 4) if health.received else None,
        cpu_share=round(health.cpu_share, 4),
        received=health.received,
        handed_on=health.handed_on,
        withheld=health.withheld,
        errors=info.errors,
    )
