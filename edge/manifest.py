"""The manifest of a bundle: everything that code must not guess about its models."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

FORMAT = 1

Precision = Literal["fp32", "fp16", "int8"]
Provider = Literal["tensorrt", "cuda", "openvino", "cpu"]
Head = Literal["yolov8", "end2end"]
Resize = Literal["stretch", "pad", "crop"]
Interpolation = Literal["bilinear", "bicubic", "bilinear-antialias", "bicubic-antialias"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Triple = tuple[float, float, float]


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"{name!r} leaves the bundle's folder")
    if not name.isprintable():
        raise ValueError(f"{name!r} has characters that cannot be printed")
    return name


RelativePath = Annotated[str, AfterValidator(_inside)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Variant(_Model):
    """One file of a model, its precision, and the execution providers that use it."""

    file: RelativePath
    precision: Precision
    providers: tuple[Provider, ...] = Field(min_length=1)


class Provenance(_Model):
    """Where a part comes from and under which terms it may be used."""

    licence: str = Field(min_length=1)
    source: str = Field(min_length=1)


class ScalePolicy(_Model):
    """How the detector's scale is chosen.

    ``facing_px`` is the range of facing sizes (square root of box area, in pixels of the model's
    input) at which this detector was measured to work; ``max_tiles`` bounds the passes a frame.
    """

    mode: Literal["auto", "shrink", "whole", "tiles"] = "auto"
    facing_px: tuple[float, float] = (18.0, 110.0)
    enough_coverage: Unit = 0.35
    max_tiles: int = Field(default=64, ge=1)
    overlap: Annotated[float, Field(ge=0.0, le=0.75)] = 0.35

    @model_validator(mode="after")
    def _ordered(self) -> ScalePolicy:
        if not 0 < self.facing_px[0] < self.facing_px[1]:
            raise ValueError(f"facing_px must be an increasing pair, got {self.facing_px}")
        return self


class DetectorSpec(_Model):
    """The detector's files, input, head layout and thresholds.

    Boxes whose IoU is above ``iou`` are one. With ``soft_sigma`` the others lose confidence to surer
    boxes that they overlap (Soft-NMS), and ``confidence`` is asked for after that.
    """

    variants: tuple[Variant, ...] = Field(min_length=1)
    head: Head
    input_wh: tuple[int, int]
    layout: Literal["nchw", "nhwc"]
    value_range: Literal["0-1", "0-255"] = "0-1"
    box_format: Literal["cxcywh", "xyxy"] = "cxcywh"
    box_units: Literal["pixels", "unit"] = "pixels"
    class_names: tuple[str, ...] = Field(min_length=1)
    confidence: Unit
    iou: Unit
    soft_sigma: Annotated[float, Field(gt=0.0)] | None = None
    max_det: int = Field(ge=1000)
    scale: ScalePolicy = ScalePolicy()
    provenance: Provenance


class Preprocessing(_Model):
    """How a crop becomes the tower's input; a closed list, one implementation.

    ``resize``: stretch both sides to ``size``; pad the longest side (aspect kept, mean colour around);
    or crop the centre after the shortest side. Shrinking is always antialiased: by area averaging, or
    with a wider kernel where ``interpolation`` says so, as towers of open_clip and timm were trained.
    """

    size: int = Field(ge=8)
    mean: Triple
    std: Triple
    resize: Resize
    interpolation: Interpolation = "bilinear"

    @model_validator(mode="after")
    def _positive(self) -> Preprocessing:
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        return self


class TowerSpec(_Model):
    """The image tower's files, output dimension, preprocessing and fingerprint.

    ``batch_sizes`` are the only ones that run; which of them is used most is measured on the device.
    """

    variants: tuple[Variant, ...] = Field(min_length=1)
    dim: int = Field(ge=2)
    preprocessing: Preprocessing
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16,64}$")
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    provenance: Provenance


class ProbabilityModel(_Model):
    """How probable it is that an answer is right: 1 / (1 + exp(-(bias + a * s + b * m))).

    ``s`` is the evidence for the best SKU, ``m`` its margin over the best SKU for which the answer
    would be wrong, both cut to the range that calibration saw. Neither weight is negative, so that
    more similarity or more margin never lowers the probability.
    """

    bias: float
    similarity: Annotated[float, Field(ge=0.0)]
    margin: Annotated[float, Field(ge=0.0)]
    similarity_range: tuple[float, float]
    margin_range: tuple[float, float]

    @model_validator(mode="after")
    def _ordered(self) -> ProbabilityModel:
        for name in ("similarity_range", "margin_range"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must not decrease, got {(low, high)}")
        return self


class AnswerPoint(_Model):
    """When answers of one kind are given, and how right they were on the calibration data.

    An answer is given at a probability of at least ``accept`` and a similarity of at least
    ``min_similarity``; with ``accept`` None never, because ``target`` could not be certified.
    ``answers`` are those at this level or deeper, ``right`` the ones whose category is right at this
    level, and ``precision_low`` the lower end of their one-sided 95% interval for other SKUs.
    """

    model: ProbabilityModel
    accept: Unit | None
    min_similarity: Annotated[float, Field(ge=-1.0, le=1.0)]
    target: Unit
    answers: int = Field(ge=0)
    right: int = Field(ge=0)
    precision_low: Unit


class Calibration(_Model):
    """The answers of one tower at one precision, calibrated: the SKU, and each category level.

    ``levels`` is from the coarsest on; deeper levels than these are told only with their SKU.
    ``category_ridge`` is the penalty of the linear classifier that tells categories; without one, the
    category is that of the best SKU.
    """

    sku: AnswerPoint
    levels: tuple[AnswerPoint, ...] = ()
    category_ridge: Annotated[float, Field(gt=0.0)] | None = None


class OperatingPoint(_Model):
    """When a match is accepted at one precision, and how that was measured.

    ``views``: the evidence for a SKU is the mean similarity of this many of its best references (of
    all, where it has fewer). Without ``calibration`` a SKU is accepted at ``similarity`` and
    ``margin``, and probabilities are not known; with it, these two are lower limits beside it, and
    ``category_similarity`` is not used.
    """

    similarity: Annotated[float, Field(ge=-1.0, le=1.0)]
    margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    category_similarity: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    views: int = Field(default=1, ge=1, le=16)
    calibration: Calibration | None = None
    measured: str = Field(min_length=1)


class CanarySpec(_Model):
    """Small pictures with golden outputs, and how far an answer may be from them.

    ``min_cosine_half`` is for providers that compute an FP32 file in half precision (TensorRT, and
    OpenVINO on a GPU).
    """

    crops: tuple[RelativePath, ...] = Field(min_length=2)
    scene: RelativePath
    golden: RelativePath
    min_cosine: dict[Precision, Unit]
    min_cosine_half: Unit = 0.99
    min_spread: Unit
    min_box_agreement: Unit = 0.9


class Manifest(_Model):
    """A bundle's description. ``files`` gives the SHA-256 of every file beside the manifest."""

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    detector: DetectorSpec
    tower: TowerSpec
    decision: dict[Precision, OperatingPoint]
    canary: CanarySpec
    files: dict[RelativePath, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        named = [v.file for v in (*self.detector.variants, *self.tower.variants)]
        named += [*self.canary.crops, self.canary.scene, self.canary.golden]
        missing = sorted(set(named) - set(self.files))
        if missing:
            raise ValueError(f"files has no checksum for {', '.join(missing)}")
        for variant in self.tower.variants:
            if variant.precision not in self.decision:
                raise ValueError(f"decision has no operating point for {variant.precision}")
            if variant.precision not in self.canary.min_cosine:
                raise ValueError(f"canary.min_cosine has no value for {variant.precision}")
        return self
