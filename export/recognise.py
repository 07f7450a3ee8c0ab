"""Reads from an ONNX detector what a manifest must say about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.errors import BundleError, ConfigError
from edge.manifest import DetectorSpec, Provenance, ScalePolicy
from edge.types import U8
from edge.vision.preprocess import letterbox
from edge.vision.session import OrtSession, SessionOptions
from export.pack import single_variant


@dataclass(frozen=True, slots=True)
class DetectorLayout:
    """Input and head layout of a detector, as the manifest names them."""

    head: Literal["yolov8", "end2end"]
    input_wh: tuple[int, int]
    layout: Literal["nchw", "nhwc"]
    box_format: Literal["cxcywh", "xyxy"]
    box_units: Literal["pixels", "unit"]
    classes: int | None

    def line(self) -> str:
        """In words, for comparing two."""
        classes = "" if self.classes is None else f", {self.classes} classes"
        return (
            f"head {self.head}, input {self.input_wh[0]}x{self.input_wh[1]} {self.layout}, boxes"
            f" {self.box_format} in {self.box_units}{classes}"
        )


def recognise_detector(path: Path, sample: U8, size: int = 640) -> DetectorLayout:
    """Recognise a detector from its shapes and from what it answers on ``sample``.

    ``(b, 4 + nc, anchors)`` is a YOLOv8/11 head, ``(b, n, 6)`` an end-to-end head (v10, YOLO26).
    Boxes in 0..1 show themselves by values that never reach 2 pixels.

    Args:
        sample: ``(H, W, 3) uint8`` RGB, a shelf picture.
        size: input side where the model leaves it open.

    Raises:
        BundleError: when input or output have a shape that no known detector has.
        ConfigError: when the file does not exist.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    session = OrtSession(path, "cpu", SessionOptions())
    given = session.signature[0].shape
    if len(given) != 4 or (given[1] != 3 and given[3] != 3):
        raise BundleError(f"{path}: input must be (b, 3, h, w) or (b, h, w, 3), got {given}")
    layout: Literal["nchw", "nhwc"] = "nchw" if given[1] == 3 else "nhwc"
    height, width = (given[2], given[3]) if layout == "nchw" else (given[1], given[2])
    input_wh = (width or size, height or size)
    batch, _ = letterbox(sample, input_wh, layout=layout)
    if given[0] is not None and given[0] > 1:
        batch = np.repeat(batch, given[0], axis=0)
    output = np.asarray(session.run(batch)[0])
    if output.ndim == 3 and output.shape[2] == 6 and output.shape[1] != 6:
        return DetectorLayout(
            "end2end", input_wh, layout, "xyxy", _units(output[0, :, :4]), classes=None
        )
    if output.ndim == 3 and 5 <= output.shape[1] < output.shape[2]:
        classes = int(output.shape[1]) - 4
        units = _units(output[0, :4].T)
        return DetectorLayout("yolov8", input_wh, layout, "cxcywh", units, classes)
    raise BundleError(
        f"{path}: output {output.shape} is neither (b, 4 + classes, anchors) nor (b, n, 6)"
    )


def recognised_spec(
    layout: DetectorLayout,
    file: str,
    *,
    provenance: Provenance,
    class_names: tuple[str, ...] = (),
    confidence: float | None = None,
    iou: float | None = None,
    soft_sigma: float | None = None,
    scale: ScalePolicy | None = None,
) -> DetectorSpec:
    """What a manifest says of a recognised detector ``file``; what is not given gets a default."""
    classes = layout.classes or 1
    names = tuple(f"class-{i}" for i in range(classes)) if classes > 1 else ("product",)
    return DetectorSpec(
        variants=single_variant(file),
        head=layout.head,
        input_wh=layout.input_wh,
        layout=layout.layout,
        box_format=layout.box_format,
        box_units=layout.box_units,
        class_names=class_names or names,
        confidence=0.3 if confidence is None else confidence,
        iou=0.6 if iou is None else iou,
        soft_sigma=soft_sigma,
        max_det=2000,
        scale=scale or ScalePolicy(),
        provenance=provenance,
    )


def _units(coordinates: npt.NDArray[Any]) -> Literal["pixels", "unit"]:
    return "unit" if float(np.abs(coordinates).max(initial=0.0)) < 2.0 else "pixels"
