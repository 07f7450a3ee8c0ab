"""What `edge-export detector` does: export, other precisions behind their gates, evaluation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edge.atomic import make_folder, write_bytes
from edge.errors import ConfigError
from export.detector import export_detector
from export.detector_evaluation import DetectorFile, evaluate_detector, open_detector, read_photos
from export.detector_precision import CALIBRATION_PHOTOS, PrecisionReport, write_precision
from export.views import LabelledPhoto


@dataclass(frozen=True, slots=True)
class DetectorRequest:
    """Options of one call. `model` is an ultralytics .pt, an ONNX file or a bundle."""

    model: Path
    out: Path | None = None
    size: int = 640
    end2end: bool = False
    precisions: tuple[Literal["fp16", "int8"], ...] = ()
    calibrate: Path | None = None
    evaluate: tuple[Path, ...] = ()
    photos: int | None = None
    scale: str = "whole"
    confidence: float | None = None
    iou: float | None = None
    soft_sigma: float | None = None
    threads: int | None = None


def run_detector(
    request: DetectorRequest, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """What was written, the precisions' gates (in words as well), and a row an evaluated folder.

    Raises:
        ConfigError: when there is nothing to do, or a gate has no photos.
        BundleError: when a head is not known or a precision does not hold its gate.
    """
    if request.out is None and not request.evaluate:
        raise ConfigError("nothing to do: give --out, --evaluate or both")
    if request.precisions and (request.out is None or not request.evaluate):
        raise ConfigError("--fp16 and --int8 need --out, and --evaluate with photos for their gate")
    if request.out is not None:
        make_folder(request.out.parent)
    folders = [(folder, read_photos(folder, request.photos)) for folder in request.evaluate]
    with tempfile.TemporaryDirectory() as temporary:
        path, written = _fp32(request, Path(temporary))
        gates: dict[str, dict[str, float]] = {}
        told: dict[str, str] = {}
        rows = []
        for number, (folder, photos) in enumerate(folders):
            opened = _with_thresholds(open_detector(path, photos, input_size=request.size), request)
            if number == 0:
                for file, report in _precisions(request, opened, photos):
                    name = report.precision
                    written[name], told[name] = str(file), report.line()
                    gates[name] = {key: round(value, 4) for key, value in report.values.items()}
            evaluated = evaluate_detector(
                opened,
                photos,
                folder,
                scale=request.scale,
                threads=request.threads,
                progress=progress,
            )
            rows.append(evaluated.to_json())
    return {
        "model": str(request.model),
        "written": written,
        "gates": gates,
        "told": told,
        "evaluations": rows,
    }


def _fp32(request: DetectorRequest, temporary: Path) -> tuple[Path, dict[str, str]]:
    """The ONNX file to look at, and what was written for good."""
    model, out = request.model, request.out
    if model.suffix != ".pt":
        if request.end2end:
            raise ConfigError(f"{model}: --end2end is for ultralytics checkpoints")
        if out is None or model.is_dir():
            return model, {}
        if not model.is_file():
            raise ConfigError(f"{model}: no such file")
        if model.resolve() != out.resolve():
            write_bytes(out, model.read_bytes())
        return out, {"fp32": str(out)}
    target = out if out is not None else temporary / "detector.onnx"
    export_detector(model, target, size=request.size, end2end=request.end2end)
    return target, {"fp32": str(out)} if out is not None else {}


def _precisions(
    request: DetectorRequest, opened: DetectorFile, gate: Sequence[LabelledPhoto]
) -> list[tuple[Path, PrecisionReport]]:
    done = []
    for precision in request.precisions:
        assert request.out is not None
        file = request.out.with_suffix(f".{precision}.onnx")
        calibration = (
            read_photos(request.calibrate, CALIBRATION_PHOTOS)
            if request.calibrate is not None
            else []
        )
        report = write_precision(
            opened,
            file,
            precision,
            gate=gate,
            calibration=calibration if precision == "int8" else (),
            threads=request.threads,
        )
        done.append((file, report))
    return done


def _with_thresholds(opened: DetectorFile, request: DetectorRequest) -> DetectorFile:
    given = {name: getattr(request, name) for name in ("confidence", "iou", "soft_sigma")}
    changes = {key: value for key, value in given.items() if value is not None}
    return replace(opened, spec=opened.spec.model_copy(update=changes))
