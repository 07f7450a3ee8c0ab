"""`edge-export train-detector|detector`: the detector's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edge import console


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("train-detector")(train_detector)
    app.command()(detector)


def train_detector(
    photos: Annotated[Path, typer.Option(help="Folder with images/ and labels/ (YOLO).")],
    start: Annotated[Path, typer.Option(help="ultralytics checkpoint to start from.")],
    teacher: Annotated[Path, typer.Option(help="ONNX detector that teaches every anchor (NHWC).")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an earlier one is resumed.")],
    scenes: Annotated[Path | None, typer.Option(help="Rendered photos/ and labels/.")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Wall-clock budget.")] = 60.0,
    batch: Annotated[
        tuple[int, int, int], typer.Option(help="Taught views, close-ups and scenes a step.")
    ] = (5, 2, 1),
    scales: Annotated[
        tuple[float, float],
        typer.Option(help="Taught views: long side of the photo, in input sides; mostly 1."),
    ] = (0.55, 1.5),
    lr: Annotated[float, typer.Option(help="Highest rate.")] = 1e-3,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto times both.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=1)] = 2,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train the shelf detector by dense distillation, close-ups and rendered scenes."""
    from export.train_detector import DetectorTraining
    from export.train_detector import train_detector as run

    config = DetectorTraining(
        start=start,
        photos=photos,
        teacher=teacher,
        out=out,
        scenes=scenes,
        minutes=minutes,
        dense_per_step=batch[0],
        close_per_step=batch[1],
        scene_per_step=batch[2],
        scales=scales,
        lr=lr,
        precision=precision,
        threads=threads,
        seed=seed,
    )
    print(run(config, log=lambda line: print(line, flush=True)))


def detector(
    model: Annotated[Path, typer.Argument(help="ultralytics .pt, ONNX file, or a bundle.")],
    out: Annotated[Path | None, typer.Option(help="ONNX file to write.")] = None,
    size: Annotated[int, typer.Option(min=64, help="Input side in pixels.")] = 640,
    end2end: Annotated[bool, typer.Option(help="Export YOLO26's one-to-one head.")] = False,
    fp16: Annotated[bool, typer.Option(help="Also half precision, for GPUs.")] = False,
    int8: Annotated[bool, typer.Option(help="Also 8 bits, for CPUs.")] = False,
    calibrate: Annotated[
        Path | None, typer.Option(help="Photos for INT8's ranges; not those that measure.")
    ] = None,
    evaluate: Annotated[
        list[Path] | None,
        typer.Option(help="YOLO folder or rendered scenes to measure on; the first is the gate."),
    ] = None,
    photos: Annotated[int | None, typer.Option(min=1, help="Only the first photos.")] = None,
    scale: Annotated[str, typer.Option(help="whole, auto, tiles@FACTOR, …")] = "whole",
    confidence: Annotated[
        float | None, typer.Option(help="Where precision and recall are stated.")
    ] = None,
    iou: Annotated[float | None, typer.Option(help="IoU above which boxes are one.")] = None,
    soft_sigma: Annotated[
        float | None,
        typer.Option(min=0.01, help="Width of Soft-NMS below that IoU; without it none."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Export a detector to ONNX for the device, measure it on labelled photos, or both."""
    from export.detector_command import DetectorRequest, run_detector

    precisions: list[Literal["fp16", "int8"]] = []
    precisions += ["fp16"] if fp16 else []
    precisions += ["int8"] if int8 else []
    request = DetectorRequest(
        model=model,
        out=out,
        size=size,
        end2end=end2end,
        precisions=tuple(precisions),
        calibrate=calibrate,
        evaluate=tuple(evaluate or ()),
        photos=photos,
        scale=scale,
        confidence=confidence,
        iou=iou,
        soft_sigma=soft_sigma,
        threads=threads,
    )
    with console.progress("photos") as progress:
        result = run_detector(request, progress)
    if as_json:
        console.print_json(result)
        return
    for name, file in result["written"].items():
        gate = result["told"].get(name)
        print(f"{name}: {file}" + (f": {gate}" if gate else ""))
    for row in result["evaluations"]:
        print(_line(row))


def _line(row: dict[str, Any]) -> str:
    at = row["at_confidence"]
    return (
        f"{row['folder']} ({row['photos']} photos, {row['facings']} facings, {row['scale']}): "
        f"AP {row['ap']:.3f}, AP50 {row['ap50']:.3f}, AP75 {row['ap75']:.3f}, "
        f"recall {row['recall50_300']:.3f} at 300 and {row['recall50_1000']:.3f} at 1000; "
        f"at precision 0.90 recall {row['recall_at_precision']:.3f} "
        f"(confidence {row['threshold']:.2f}); at confidence {at['confidence']:.2f} precision "
        f"{at['precision']:.3f}, recall {at['recall']:.3f}"
    )
