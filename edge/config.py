"""``site.toml``: the daemon's configuration, validated at once and frozen."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from edge.camera.settings import CameraSettings
from edge.config_models import model_in
from edge.daemon.settings import (
    DeviceSettings,
    EventSettings,
    EvidenceSettings,
    HttpSettings,
    LogSettings,
    ModelSettings,
    OutboxSettings,
    Section,
    SinkSettings,
    SupervisionSettings,
)
from edge.errors import ConfigError
from edge.shelf.slot_settings import SlotSettings


class CameraConfig(CameraSettings):
    """``[[cameras]]``: a camera, and what differs for it from ``[slots]``."""

    slots: SlotSettings = Field(
        default=SlotSettings(),
        description="shelf memory of this camera; keys left out are as in [slots]",
    )


class Config(Section):
    """The whole file."""

    device: DeviceSettings = Field(description="this device")
    models: ModelSettings = Field(default=ModelSettings(), description="bundle, gallery, provider")
    cameras: tuple[CameraConfig, ...] = Field(min_length=1, description="one table a camera")
    slots: SlotSettings = Field(default=SlotSettings(), description="shelf memory of all cameras")
    events: EventSettings = Field(default=EventSettings(), description="how often what is told")
    evidence: EvidenceSettings = Field(
        default=EvidenceSettings(), description="pictures kept of changes"
    )
    outbox: OutboxSettings = Field(default=OutboxSettings(), description="events that wait on disk")
    sinks: SinkSettings = Field(description="where events go")
    http: HttpSettings = Field(default=HttpSettings(), description="health and metrics on loopback")
    supervision: SupervisionSettings = Field(
        default=SupervisionSettings(), description="when processes are restarted"
    )
    log: LogSettings = Field(default=LogSettings(), description="what is logged, and how")

    @field_validator("cameras")
    @classmethod
    def _distinct(cls, cameras: tuple[CameraConfig, ...]) -> tuple[CameraConfig, ...]:
        ids = [camera.id for camera in cameras]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"two cameras are named {', '.join(twice)}")
        return cameras

    def slots_of(self, camera: CameraConfig) -> SlotSettings:
        """The shelf memory's settings of one camera."""
        general = self.slots.model_dump(exclude_unset=True)
        return SlotSettings.model_validate(general | camera.slots.model_dump(exclude_unset=True))

    def to_json(self) -> str:
        """For another process; ``from_json`` reads it. Holds no secret."""
        return self.model_dump_json(exclude_unset=True)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """What ``to_json`` wrote."""
        return cls.model_validate_json(text)


def load_config(path: Path) -> Config:
    """Read and validate a configuration file.

    Raises:
        ConfigError: the file cannot be read or is no TOML, or values are wrong: all mistakes, one a
            line, each with its key path; an unknown key names the nearest known one.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return parse_config(data, str(path))


def parse_config(data: Mapping[str, Any], where: str) -> Config:
    """Validate what a TOML file holds; ``where`` names it. Raises ConfigError as ``load_config``."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        mistakes = list(_mistakes(error))
    head = f"{where}: {len(mistakes)} mistakes\n" if len(mistakes) > 1 else f"{where}: "
    raise ConfigError(head + "\n".join(mistakes))


def _mistakes(error: ValidationError) -> Iterator[str]:
    all_found = error.errors(include_url=False, include_context=False, include_input=False)
    paths = [found["loc"] for found in all_found]
    for found in all_found:
        path = found["loc"]
        if found["type"] == "too_short" and any(
            p[: len(path)] == path and len(p) > len(path) for p in paths
        ):
            continue  # its items are there, but each has a mistake of its own
        if found["type"] == "extra_forbidden":
            known = _keys_at(path[:-1])
            near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            yield f"{key_path(path)}: unknown key, {hint}"
        elif found["type"] == "missing":
            yield f"{key_path(path)}: missing"
        else:
            yield f"{key_path(path)}: {found['msg'].removeprefix('Value error, ')}"


def key_path(path: tuple[int | str, ...]) -> str:
    """``cameras[2].url`` for ``("cameras", 2, "url")``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _keys_at(path: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = model_in(model.model_fields[part].annotation) or model
    return list(model.model_fields)
