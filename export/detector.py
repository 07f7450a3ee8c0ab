"""A trained ultralytics detector to ONNX for the device: fixed picture size, dynamic batch only."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

OPSET = 17
MAX_DET = 1000
"""Rows of an end-to-end head; the library's own 300 are fewer than the facings of a long shelf."""


def export_detector(checkpoint: Path, out: Path, *, size: int = 640, end2end: bool = False) -> Path:
    """Write ``out`` (ONNX, input ``(n, 3, size, size) float32`` 0..1).

    YOLOv8, 11 and 26 give ``(n, 4 + nc, anchors)``: boxes decoded in the graph (cx, cy, w, h in
    input pixels), suppression left to the device, which merges boxes over tiles as well. With
    ``end2end`` the one-to-one head of YOLO26 gives ``(n, 1000, 6)``: x1, y1, x2, y2, score, class.

    Raises:
        ConfigError: when the checkpoint is missing, holds no ultralytics detection model, has no
            one-to-one head where one is asked for, or cannot take pictures of this size.
    """
    import torch

    model, _ = load_detector(checkpoint)
    head = model.model[-1]
    if end2end and getattr(head, "one2one_cv2", None) is None:
        raise ConfigError(f"{checkpoint}: has no one-to-one head, so it needs suppression")
    head.end2end = end2end
    model = model.fuse(verbose=False)
    stride = int(head.stride.max())
    if size % stride:
        raise ConfigError(
            f"{checkpoint}: the input side must be a multiple of {stride}, got {size}"
        )
    head.export, head.format, head.dynamic, head.max_det = True, "onnx", False, MAX_DET
    example = torch.zeros(1, 3, size, size)
    temporary = out.with_suffix(".onnx.tmp")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing and of the exporter's age
        predictions = model(example)  # also builds the anchor grid before it is traced
        torch.onnx.export(
            model,
            (example,),
            str(temporary),
            opset_version=OPSET,
            input_names=["images"],
            output_names=["predictions"],
            dynamic_axes={"images": {0: "batch"}, "predictions": {0: "batch"}},
            dynamo=False,
        )
    _name_output_shape(temporary, tuple(predictions.shape[1:]))
    os.replace(temporary, out)
    return out


def load_detector(checkpoint: Path) -> tuple[Any, dict[str, Any]]:
    """The averaged model of a checkpoint where it has one, in FP32 and evaluation mode, and the rest.

    Raises ConfigError for a file that is missing or holds no detection model. An ultralytics
    checkpoint is a pickled object, so only trusted files may be opened.
    """
    import torch

    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: no such file")
    try:
        loaded = torch.load(checkpoint, map_location="cpu", weights_only=False)
    except Exception as error:  # torch and pickle raise many classes for a file that is none
        raise ConfigError(f"{checkpoint}: not a torch checkpoint: {error!r}") from error
    model = (loaded.get("ema") or loaded.get("model")) if isinstance(loaded, dict) else None
    kind = type(model).__name__
    if model is None or kind != "DetectionModel":
        raise ConfigError(f"{checkpoint}: holds no ultralytics detection model, but {kind}")
    return model.float().eval(), loaded


def _name_output_shape(path: Path, shape: tuple[int, ...]) -> None:
    """Write the sizes that tracing left open: only the batch may vary."""
    import onnx

    model = onnx.load(str(path))
    dims = model.graph.output[0].type.tensor_type.shape.dim
    for dim, size in zip(dims[1:], shape, strict=True):
        dim.dim_value = size
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
