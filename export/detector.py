"""A trained ultralytics detector to ONNX for the device: fixed picture size, dynamic batch only."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import ConfigError

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

OPSET = 17


def export_detector(checkpoint: Path, out: Path, *, size: int = 640) -> Path:
    """Write ``out`` (ONNX, input ``(n, 3, size, size) float32`` 0..1, output ``(n, 4 + nc, A)``).

    The head's boxes are decoded in the graph (cx, cy, w, h in input pixels); suppression is left to
    the device, which merges boxes over tiles as well.

    Raises:
        ConfigError: when the checkpoint is missing or holds no ultralytics detection model.
    """
    import torch

    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: no such file")
    try:
        loaded = torch.load(checkpoint, map_location="cpu", weights_only=False)
    except Exception as error:  # torch and pickle raise many classes for a file that is none
        raise ConfigError(f"{checkpoint}: not a torch checkpoint: {error!r}") from error
    model = (loaded.get("ema") or loaded.get("model")) if isinstance(loaded, dict) else None
    if model is None or type(model).__name__ != "DetectionModel":
        raise ConfigError(f"{checkpoint}: holds no ultralytics detection model")
    model = model.float().eval().fuse(verbose=False)
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    example = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        predictions = model(example)  # also builds the anchor grid before it is traced
        temporary = out.with_suffix(".onnx.tmp")
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


def _name_output_shape(path: Path, shape: tuple[int, ...]) -> None:
    """Write the sizes that tracing left open: only the batch may vary."""
    import onnx

    model = onnx.load(str(path))
    dims = model.graph.output[0].type.tensor_type.shape.dim
    for dim, size in zip(dims[1:], shape, strict=True):
        dim.dim_value = size
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
