"""The `edge-export` command line. Torch and its company are imported inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge import console
from export import cli_calibrate, cli_clips, cli_detector, cli_neighbours, cli_tower

app = typer.Typer(
    name="edge-export",
    help="The workstation side: train, evaluate, export and pack the models of `edge`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli_tower.register(app)
cli_detector.register(app)
cli_calibrate.register(app)
cli_clips.register(app)
cli_neighbours.register(app)


@app.command()
def pack(
    out: Annotated[Path, typer.Option(help="Bundle folder to write.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "custom",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    base: Annotated[
        Path | None, typer.Option(help="Bundle that gives what is not named; the default's.")
    ] = None,
    detector: Annotated[
        list[Path] | None,
        typer.Option(help="Detector as ONNX; again for its FP16 and INT8 files."),
    ] = None,
    detector_licence: Annotated[str | None, typer.Option(help="Its licence.")] = None,
    detector_source: Annotated[str | None, typer.Option(help="Where it comes from.")] = None,
    class_name: Annotated[list[str] | None, typer.Option(help="Its classes, in order.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Lowest confidence kept.")] = None,
    iou: Annotated[float | None, typer.Option(help="IoU above which boxes are one.")] = None,
    soft_sigma: Annotated[
        float | None,
        typer.Option(min=0.01, help="Width of Soft-NMS below that IoU; without it none."),
    ] = None,
    facing_px: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Facing sizes it finds, in input pixels (square root of area)."),
    ] = None,
    enough_coverage: Annotated[
        float | None, typer.Option(help="Share of the picture found at which one pass will do.")
    ] = None,
    input_size: Annotated[
        int, typer.Option(min=32, help="Input side where the model leaves it open.")
    ] = 640,
    tower: Annotated[
        Path | None, typer.Option(help="tower.json as written by `edge-export tower`.")
    ] = None,
    tower_source: Annotated[str | None, typer.Option(help="Where the tower comes from.")] = None,
    tower_licence: Annotated[
        str | None, typer.Option(help="Its licence; the architecture's usual one otherwise.")
    ] = None,
    similarity: Annotated[float | None, typer.Option(help="Lowest similarity accepted.")] = None,
    margin: Annotated[float | None, typer.Option(help="Lowest margin accepted.")] = None,
    category_similarity: Annotated[
        float | None, typer.Option(help="Lowest similarity for a category.")
    ] = None,
    measured: Annotated[str | None, typer.Option(help="How these were measured.")] = None,
    operating_point: Annotated[
        Path | None, typer.Option(help="JSON file of `edge-export calibrate`.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the bundle.")] = None,
    scene: Annotated[Path | None, typer.Option(help="The canary's shelf picture.")] = None,
    crop: Annotated[list[Path] | None, typer.Option(help="The canary's product pictures.")] = None,
    card: Annotated[Path | None, typer.Option(help="MODEL_CARD.md.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Pack models into a bundle; what is not named comes from the base bundle."""
    from export.pack_command import PackRequest, run_pack

    bundle = run_pack(
        PackRequest(
            out=out,
            name=name,
            version=version,
            base=base,
            detector=tuple(detector or ()),
            detector_licence=detector_licence,
            detector_source=detector_source,
            class_names=tuple(class_name or ()),
            confidence=confidence,
            iou=iou,
            soft_sigma=soft_sigma,
            facing_px=facing_px,
            enough_coverage=enough_coverage,
            input_size=input_size,
            tower=tower,
            tower_source=tower_source,
            tower_licence=tower_licence,
            similarity=similarity,
            margin=margin,
            category_similarity=category_similarity,
            measured=measured,
            operating_point=operating_point,
            licence=licence,
            scene=scene,
            crops=tuple(crop or ()),
            card=card,
        )
    )
    spec = bundle.manifest.detector
    if as_json:
        console.print_json({"bundle": bundle.bundle_id, "path": str(bundle.path)})
    else:
        print(
            f"{bundle.path}: {bundle.bundle_id}; detector head {spec.head}, {spec.layout}"
            f" {spec.input_wh[0]}x{spec.input_wh[1]}, boxes {spec.box_format} in {spec.box_units}"
        )


@app.command()
def scenes(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    seed: Annotated[int, typer.Option(help="Same seed, same store.")] = 0,
    split: Annotated[
        Literal["train", "demo", "test"],
        typer.Option(help="train, demo or test: they share no brand."),
    ] = "train",
    skus: Annotated[int, typer.Option(min=1, help="Number of products.")] = 240,
    photos: Annotated[int, typer.Option(min=0, help="Number of shelf photos.")] = 20,
    width: Annotated[int, typer.Option(min=64)] = 1600,
    height: Annotated[int, typer.Option(min=64)] = 1200,
    facings: Annotated[tuple[int, int], typer.Option(help="Fewest and most facings.")] = (80, 140),
    difficulty: Annotated[Literal["clean", "mild", "hard"], typer.Option()] = "mild",
    hard_share: Annotated[float, typer.Option(help="Share of families of near-twins.")] = 0.15,
    yolo_labels: Annotated[bool, typer.Option(help="Write labels for a detector, too.")] = False,
    crops: Annotated[
        int | None,
        typer.Option(min=1, help="Render a folder a product with so many crops, for finetune."),
    ] = None,
    sample: Annotated[bool, typer.Option(help="Render the sample of `edge demo` instead.")] = False,
) -> None:
    """Render a store: shelf photos with ground truth, and one clean front a product."""
    from export.scenes.sample import write_sample
    from export.scenes.writer import write_store

    with console.progress("render") as progress:
        if sample:
            write_sample(out, progress=progress)
            print(f"{out}: the sample")
            return
        if crops is not None:
            from export.rendered import render_skus

            render_skus(
                out,
                split=split,
                seed=seed,
                skus=skus,
                crops=crops,
                hard_share=hard_share,
                progress=progress,
            )
            print(f"{out}: {skus} products, {crops} crops each")
            return
        write_store(
            out,
            seed=seed,
            split=split,
            skus=skus,
            photos=photos,
            size_wh=(width, height),
            facings=facings,
            difficulty=difficulty,
            hard_share=hard_share,
            yolo_labels=yolo_labels,
            progress=progress,
        )
    print(f"{out}: {skus} products, {photos} photos")


def main() -> None:
    """Entry point of `edge-export`."""
    console.run(app)
