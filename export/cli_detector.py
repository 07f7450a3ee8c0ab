"""`edge-export train-detector|detector`: the detector's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console
from edge.errors import ConfigError


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
        threads=threads,
        seed=seed,
        scene_per_step=2 if scenes else 0,
        dense_per_step=4 if scenes else 5,
    )
    print(run(config, log=lambda line: print(line, flush=True)))


def detector(
    model: Annotated[Path, typer.Argument(help="ultralytics .pt, ONNX file, or a bundle.")],
    out: Annotated[Path | None, typer.Option(help="ONNX file to write.")] = None,
    size: Annotated[int, typer.Option(min=64, help="Input side in pixels.")] = 640,
    evaluate: Annotated[
        list[Path] | None,
        typer.Option(help="YOLO folder or rendered scenes to measure it on; repeatable."),
    ] = None,
    photos: Annotated[int | None, typer.Option(min=1, help="Only the first photos.")] = None,
    scale: Annotated[str, typer.Option(help="whole, auto, tiles@FACTOR, …")] = "whole",
    confidence: Annotated[
        float | None, typer.Option(help="Where precision and recall are stated.")
    ] = None,
    iou: Annotated[float | None, typer.Option(help="IoU above which boxes are one.")] = None,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Export a detector to ONNX for the device, measure it on labelled photos, or both."""
    import tempfile

    from export.detector import export_detector
    from export.detector_evaluation import evaluate_detector, open_detector, read_photos

    if out is None and not evaluate:
        raise ConfigError("nothing to do: give --out, --evaluate or both")
    with tempfile.TemporaryDirectory() as folder, console.progress("photos") as progress:
        path = model
        if model.suffix == ".pt":
            path = export_detector(model, out or Path(folder) / "detector.onnx", size=size)
        rows = []
        for place in evaluate or []:
            labelled = read_photos(place, photos)
            opened = open_detector(path, labelled, input_size=size)
            given = {"confidence": confidence, "iou": iou}
            changes = {key: value for key, value in given.items() if value is not None}
            opened = type(opened)(opened.path, opened.spec.model_copy(update=changes))
            rows.append(
                evaluate_detector(
                    opened, labelled, place, scale=scale, threads=threads, progress=progress
                ).to_json()
            )
    if as_json:
        written = str(out) if out is not None else None
        console.print_json({"model": str(model), "written": written, "evaluations": rows})
        return
    if out is not None:
        print(out)
    for row in rows:
        at = row["at_confidence"]
        print(
            f"{row['folder']} ({row['photos']} photos, {row['facings']} facings, {row['scale']}): "
            f"AP {row['ap']:.3f}, AP50 {row['ap50']:.3f}, AP75 {row['ap75']:.3f}, "
            f"recall {row['recall50_300']:.3f} at 300 and {row['recall50_1000']:.3f} at 1000; "
            f"at precision 0.90 recall {row['recall_at_precision']:.3f} "
            f"(confidence {row['threshold']:.2f}); at confidence {at['confidence']:.2f} precision "
            f"{at['precision']:.3f}, recall {at['recall']:.3f}"
        )
