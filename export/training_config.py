"""All settings of a fine-tuning run, with their defaults, in one place.

A run is described by one TOML (or saved JSON) file; every key has a default except the sources.
The configuration that was used is saved beside the checkpoints, so a run can be repeated.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import ConfigError
from edge.manifest import Resize
from export.augment import AugmentConfig

Reader = Literal["folder", "csv", "grocery-store", "rp2k"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossConfig(_Section):
    """Weights of the parts; `margin_deg` and `scale` are ArcFace's, `temperature` SupCon's.

    `distil_weight` keeps the batch's similarities close to those of the teacher.
    """

    proxy_weight: float = Field(default=1.0, ge=0)
    margin_deg: float = Field(default=12.0, ge=0, lt=90)
    scale: float = Field(default=24.0, gt=0)
    sub_centres: int = Field(default=2, ge=1)
    contrast_weight: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=0.08, gt=0)
    distil_weight: float = Field(default=0.0, ge=0)


class SourceConfig(_Section):
    """One training source. `images` is its part of every batch, `per_sku` the K of P×K.

    `pictures` keeps only the clean pictures or only the others.
    `split` is the reader's own (train, test, …); `leave_out` names SKUs that are never seen;
    `gentle` only shifts the box; for pictures that already carry what cameras do to them.
    `flip` mirrors half of the pictures (loose goods; never where text tells products apart) and
    `zoom_in` is the source's own largest crop, in place of the run's.
    `proxies` is off where labels have no lasting identity (groups found on shelves).
    """

    reader: Reader
    path: Path
    images: int = Field(ge=4)
    per_sku: int = Field(default=4, ge=2)
    variants: int = Field(default=1, ge=1)
    clean_p: float = Field(default=0.3, ge=0, le=1)
    split: str = "train"
    pictures: Literal["all", "clean", "photos"] = "all"
    gentle: bool = False
    flip: bool = False
    zoom_in: float | None = Field(default=None, ge=0, le=0.6)
    leave_out: tuple[str, ...] = ()
    proxies: bool = True


class ValidationConfig(_Section):
    """A retrieval task that is measured during training; `gallery` and `query` name readers."""

    name: str
    gallery: SourceConfig
    query: SourceConfig
    limit: int = Field(default=400, ge=10)


class SizeStep(_Section):
    """From `progress` (0 to 1) on, training views are `size` pixels."""

    progress: float = Field(ge=0, le=1)
    size: int = Field(ge=32)


class FinetuneConfig(_Section):
    """A run. Length: `steps`, or wall time `minutes` (then batches, not results, repeat).

    `start` is a checkpoint of an earlier run of the same model, to go on from with other settings;
    `teacher` one of any model (also what `join` wrote), in place of the start for distillation.
    It ends early after `patience` validations without a better mean.
    """

    out: Path
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    validation: tuple[ValidationConfig, ...] = ()

    model: str = "timm:tf_efficientnet_lite0"
    weights: str | None = None
    start: Path | None = None
    teacher: Path | None = None
    size: int | None = None
    resize: Resize = "stretch"
    dim: int = Field(default=256, ge=2)
    sizes: tuple[SizeStep, ...] = ()

    steps: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    lr: float = Field(default=6e-4, gt=0)
    projection_lr: float = Field(default=1.5e-3, gt=0)
    proxy_lr: float = Field(default=1e-2, gt=0)
    layer_decay: float = Field(default=0.88, gt=0, le=1)
    frozen_groups: int = Field(default=4, ge=0)
    train_batch_norm: bool = False
    weight_decay: float = Field(default=0.02, ge=0)
    warmup: float = Field(default=0.03, ge=0, lt=1)
    final_lr: float = Field(default=0.01, ge=0, le=1)
    clip_norm: float = Field(default=5.0, gt=0)
    ema: float = Field(default=0.995, ge=0, lt=1)
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"

    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()

    seed: int = 0
    threads: int = Field(default=2, ge=1)
    workers: int = Field(default=2, ge=1)
    cache_mb: int = Field(default=2000, ge=0)
    cache_side: int = Field(default=320, ge=32)
    checkpoint_minutes: float = Field(default=3.0, gt=0)
    validate_minutes: float = Field(default=10.0, gt=0)
    patience: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> FinetuneConfig:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")
        return self


def load_config(file: Path) -> FinetuneConfig:
    """Reads TOML or JSON; relative paths are taken from the file's folder.

    Raises ConfigError with every mistake and its key path.
    """
    try:
        text = file.read_text(encoding="utf-8")
        data = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from error
    try:
        config = FinetuneConfig.model_validate(data)
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(str(part) for part in item['loc']) or 'top level'}: {item['msg']}"
            for item in error.errors()
        ]
        raise ConfigError(f"{file}: " + "; ".join(mistakes)) from error
    return _anchored(config, file.resolve().parent)


def with_options(
    config: FinetuneConfig,
    model: str | None,
    weights: str | None,
    out: Path | None,
    seed: int | None,
) -> FinetuneConfig:
    """`config` with what the command line says instead; a bare model name is open_clip's."""
    given = {"weights": weights, "out": out, "seed": seed}
    changes: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    if model is not None:
        changes["model"] = model if ":" in model else f"open_clip:{model}"
    return config.model_copy(update=changes)


def _anchored(config: FinetuneConfig, folder: Path) -> FinetuneConfig:
    """All relative paths taken from `folder`."""

    def source(item: SourceConfig) -> SourceConfig:
        return item.model_copy(update={"path": folder / item.path})

    def task(item: ValidationConfig) -> ValidationConfig:
        changes = {"gallery": source(item.gallery), "query": source(item.query)}
        return item.model_copy(update=changes)

    return config.model_copy(
        update={
            "out": folder / config.out,
            "start": folder / config.start if config.start else None,
            "teacher": folder / config.teacher if config.teacher else None,
            "sources": tuple(source(item) for item in config.sources),
            "validation": tuple(task(item) for item in config.validation),
        }
    )
