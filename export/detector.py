"""A trained ultralytics detector to ONNX for the device: fixed picture size, dynamic batch only."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

OPSET = 17


def export_detector(checkpoint: Path, out: Path, *, size: int = 640) -> Path:
    """Write ``out`` (ONNX, input ``(n, 3, size, size) float32`` 0..1, output ``(n, 4 + nc, A)``).

    The head's boxes are decoded in the graph (cx, cy, w, h in input pixels); suppression is left to
    the device, which merges boxes over tiles as well.

    Raises:
        ValueError: when the checkpoint holds no ultralytics detection model.
    """
    import torch

    loaded = torch.load(checkpoint, map_location="cpu", weights_only=False)
    model = (loaded.get("ema") or loaded.get("model")) if isinstance(loaded, dict) else None
    if model is None or type(model).__name__ != "DetectionModel":
        raise ValueError(f"{checkpoint}: holds no ultralytics detection model")
    model = model.float().eval().fuse(verbose=False)
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    example = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        model(example)  # builds the anchor grid for this size before it is traced
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
    os.replace(temporary, out)
    return out
