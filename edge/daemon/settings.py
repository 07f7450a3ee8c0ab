"""The daemon's part of the configuration: every key with its meaning and its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400 * 7, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the configuration: frozen, and no key beside those it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Secret(Section):
    """Where a secret is read from when it is needed; it is never part of the configuration."""

    env: str | None = Field(
        default=None, description="name of an environment variable that holds it"
    )
    file: Path | None = Field(
        default=None, description="file that holds it, readable by its owner (and group) only"
    )

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("needs either env or file")
        return self


class DeviceSettings(Section):
    """``[device]``"""

    id: Name = Field(description="name of this device in events and topics")
    state_dir: Path = Field(
        default=Path("/var/lib/shelf-edge"), description="folder for outbox, evidence and engines"
    )


class ModelSettings(Section):
    """``[models]``"""

    bundle: Path | None = Field(
        default=None, description="bundle folder; the embedded default otherwise"
    )
    gallery: Path | None = Field(
        default=None, description="gallery file; all is unknown without one"
    )
    site: Path | None = Field(
        default=None,
        description="site.json that names both and is followed, in place of bundle and gallery",
    )
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "openvino"] = Field(
        default="auto", description="execution provider; auto takes the best that passes the canary"
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="inference threads; all CPUs this process may use otherwise",
    )
    gallery_refresh_s: Seconds = Field(
        default=10.0,
        description="seconds between two looks for newly enrolled products and a new site.json",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ModelSettings:
        if self.site is not None and (self.bundle is not None or self.gallery is not None):
            raise ValueError("site names bundle and gallery: leave these two out")
        return self


class OutboxSettings(Section):
    """``[outbox]``"""

    max_events: int = Field(
        default=100_000, ge=100, description="events that may wait before the oldest are dropped"
    )
    max_mb: float = Field(
        default=256.0,
        ge=1,
        le=65536,
        description="megabytes of events that may wait before they are dropped",
    )
    checkpoint_s: Seconds = Field(
        default=30.0, description="seconds between two saves of slot states when nothing happens"
    )


class EventSettings(Section):
    """``[events]``"""

    inventory_s: Seconds = Field(
        default=900.0, description="seconds between two inventories a camera"
    )
    health_s: Seconds = Field(default=60.0, description="seconds between two health reports")


class EvidenceSettings(Section):
    """``[evidence]``"""

    crops: bool = Field(
        default=True, description="keep a crop of the product before and after a change"
    )
    full_frames: bool = Field(
        default=False, description="keep the whole picture of a change; it may show people"
    )
    budget_mb: float = Field(
        default=512.0,
        ge=0,
        le=1_048_576,
        description="megabytes on disk; the oldest pictures go first",
    )
    quality: int = Field(default=85, ge=30, le=100, description="JPEG quality, 30 to 100")
    max_px: int = Field(default=384, ge=64, le=8192, description="longest side of a crop in pixels")


class MqttSettings(Section):
    """``[sinks.mqtt]``"""

    host: str = Field(min_length=1, description="broker")
    port: Port = Field(default=1883, description="TCP port; usually 8883 with TLS")
    topic: str = Field(default="shelf-edge", description="first part of every topic")
    username: str | None = Field(default=None, description="user name at the broker")
    password: Secret | None = Field(default=None, description="where the password is read from")
    tls: bool = Field(default=False, description="encrypt, and check the broker's certificate")
    ca_file: Path | None = Field(default=None, description="authorities; the system's otherwise")
    cert_file: Path | None = Field(default=None, description="client certificate")
    key_file: Path | None = Field(default=None, description="key of the client certificate")
    keepalive_s: int = Field(
        default=30, ge=5, le=3600, description="seconds of silence before a ping"
    )
    ack_timeout_s: Seconds = Field(default=20.0, description="seconds to wait for acknowledgements")
    discovery: str | None = Field(
        default=None, description="Home Assistant's discovery prefix (homeassistant); off otherwise"
    )

    @field_validator("topic", "discovery")
    @classmethod
    def _no_wildcard(cls, topic: str | None) -> str | None:
        if topic is not None and (not topic or set(topic) & set("+#\0 ") or topic[-1] == "/"):
            raise ValueError(f"must be a topic without wildcard, space or / at its end: {topic!r}")
        return topic

    @model_validator(mode="after")
    def _tls_files(self) -> MqttSettings:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("ca_file, cert_file and key_file need tls = true")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file need each other")
        return self


class JsonLinesSettings(Section):
    """``[sinks.jsonl]``"""

    path: Path = Field(description="file that lines are appended to")
    rotate_mb: float = Field(
        default=16.0, gt=0, le=65536, description="megabytes at which a new file is begun"
    )
    keep: int = Field(default=4, ge=0, le=1000, description="old files that are kept")


class WebhookSettings(Section):
    """``[sinks.webhook]``"""

    url: str = Field(description="http or https address that gets one POST an event")
    token: Secret | None = Field(default=None, description="where the bearer token is read from")
    ca_file: Path | None = Field(default=None, description="authorities; the system's otherwise")
    timeout_s: Seconds = Field(default=10.0, description="seconds to wait for an answer")

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https address")
        if parts.username or parts.password:
            raise ValueError("must hold no credentials: give them as token")
        return url


class SinkSettings(Section):
    """``[sinks]``: at least one of them."""

    mqtt: MqttSettings | None = Field(default=None, description="MQTT 5 broker")
    jsonl: JsonLinesSettings | None = Field(default=None, description="file of JSON lines")
    webhook: WebhookSettings | None = Field(default=None, description="HTTP endpoint")

    @model_validator(mode="after")
    def _some(self) -> SinkSettings:
        if self.mqtt is None and self.jsonl is None and self.webhook is None:
            raise ValueError("needs at least one of mqtt, jsonl, webhook")
        return self


class HttpSettings(Section):
    """``[http]``: /metrics, /healthz and /readyz, on loopback."""

    port: int = Field(
        default=9465, ge=0, le=65535, description="TCP port on 127.0.0.1; 0 turns it off"
    )


class SupervisionSettings(Section):
    """``[supervision]``"""

    progress_s: Seconds = Field(
        default=60.0, description="seconds without progress of inference after which it is killed"
    )
    load_s: Seconds = Field(
        default=180.0, description="seconds that loading models may take before it is killed"
    )
    restart_first_s: Seconds = Field(default=1.0, description="seconds before the first restart")
    restart_most_s: Seconds = Field(default=30.0, description="most seconds before a restart")
    build_s: Seconds = Field(default=1800.0, description="seconds that building engines may take")


class LogSettings(Section):
    """``[log]``"""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level"
    )
    format: Literal["keyvalue", "json"] = Field(default="keyvalue", description="form of a line")
    burst: int = Field(
        default=20, ge=1, le=10000, description="equal messages a minute that are written"
    )
