"""The file that `edge-export calibrate` writes: operating points, and on what they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.atomic import write_text
from edge.bundle import MANIFEST, Bundle, mistakes
from edge.errors import ConfigError
from edge.manifest import Manifest, OperatingPoint, Precision
from export.datasets import Sample
from export.leaks import file_digest


class CalibrationRecord(BaseModel):
    """Operating points by precision for one tower, and the SKUs and pictures behind them.

    ``pictures`` holds the SHA-256 of every calibration picture, so that an evaluation on any of them is
    refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    tower: str = Field(pattern=r"^[0-9a-f]{16,64}$")
    points: dict[Precision, OperatingPoint] = Field(min_length=1)
    reports: dict[Precision, dict[str, Any]]
    settings: dict[str, Any]
    skus: tuple[str, ...]
    pictures: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> CalibrationRecord:
        """Raises ConfigError for what is no such file."""
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: cannot be read: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"{file}: {mistakes(error)}") from error

    def write(self, file: Path) -> None:
        """Write atomically; raises OutputError."""
        write_text(file, self.model_dump_json(indent=1) + "\n")

    def refuse_overlap(self, samples: Sequence[Sample], where: str) -> None:
        """Raises ConfigError when a SKU or a picture of ``samples`` stands in the calibration."""
        refuse_shared_skus(self.skus, samples, where)
        ours = set(self.pictures)
        shared = [s.path for s in samples if file_digest(s.path) in ours]
        if shared:
            raise ConfigError(
                f"leak: {len(shared)} picture(s) of {where} were calibrated on, {shared[0]} first"
            )

    def apply(self, folder: Path) -> Bundle:
        """Put the operating points into the manifest of a bundle, whole or not at all.

        Raises ConfigError when the bundle has another tower, BundleError when it cannot be loaded.
        """
        bundle = Bundle.load(folder)
        manifest = bundle.manifest
        kept = {v.precision for v in manifest.tower.variants}
        every = self.points_for(manifest.tower.fingerprint, str(folder))
        points = {p: point for p, point in every.items() if p in kept}
        changed = manifest.model_copy(update={"decision": {**manifest.decision, **points}})
        # a copy is not validated: what is written must be readable
        checked = Manifest.model_validate_json(changed.model_dump_json())
        write_text(folder / MANIFEST, checked.model_dump_json(indent=2) + "\n")
        return Bundle.load(folder)

    def points_for(
        self, fingerprint: str, where: str = "this bundle"
    ) -> dict[Precision, OperatingPoint]:
        """The operating points for a tower; ConfigError naming both where it is another one."""
        if fingerprint != self.tower:
            raise ConfigError(
                f"operating points of image tower {self.tower} do not fit {where}, which has"
                f" {fingerprint}"
            )
        return self.points


def refuse_shared_skus(ours: Sequence[str], samples: Sequence[Sample], where: str) -> None:
    """Raises ConfigError naming the first SKUs of ``samples`` that are among ``ours``."""
    shared = sorted(set(ours) & {s.label for s in samples})
    if shared:
        raise ConfigError(
            f"leak: {len(shared)} SKU(s) of {where} are calibrated on: {', '.join(shared[:5])}"
        )
