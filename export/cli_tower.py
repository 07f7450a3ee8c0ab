"""`edge-export finetune|evaluate|tower`: the image tower's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from edge import console


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(finetune)
    app.command()(soup)
    app.command()(join)
    app.command()(evaluate)
    app.command()(tower)


def finetune(
    config: Annotated[
        Path, typer.Argument(help="The run as TOML or JSON; resumed if it has begun.")
    ],
    model: Annotated[
        str | None, typer.Option(help="timm:NAME, open_clip:NAME (or just ViT-B-32), hf-clip:DIR.")
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="Checkpoint file, or a tag that the library knows.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of batches and augmentation.")] = None,
) -> None:
    """Fine-tune an image tower by metric learning, as a config file says; options come first."""
    from export.finetune import finetune as run
    from export.training_config import load_config, with_options

    chosen = with_options(load_config(config), model, pretrained, out, seed)
    result = run(chosen, lambda row: print(json.dumps(row, default=str), flush=True))
    print(result.checkpoint)


def soup(
    runs: Annotated[list[Path], typer.Argument(help="Checkpoints of `edge-export finetune`.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write; the curve stands beside it.")],
    start: Annotated[
        Path | None, typer.Option(help="Weights to interpolate with; the first run's start.pt.")
    ] = None,
    share: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Shares of the tuned weights tried.")
    ] = None,
) -> None:
    """Mix fine-tuned weights with each other and with their start, as validation chooses."""
    from export.weight_space import SHARES, choose_weights

    def report(line: str) -> None:
        print(line, flush=True)

    for what, value in choose_weights(
        runs, out, start=start, shares=tuple(share or SHARES), report=report
    ):
        print(f"{what}: {value:.4f}")
    print(out)


def join(
    runs: Annotated[list[Path], typer.Argument(help="Two checkpoints of `edge-export finetune`.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write; the curve stands beside it.")],
    dim: Annotated[int, typer.Option(min=2, help="Dimensions of the joined embedding.")] = 256,
    share: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Shares of the first tower tried.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Run whose pictures decide; the first checkpoint's own.")
    ] = None,
) -> None:
    """Join two towers into one of both embeddings, at a share that validation chooses."""
    from export.joined import SHARES
    from export.joined import join as run
    from export.training_config import load_config

    def report(line: str) -> None:
        print(line, flush=True)

    pictures = None if config is None else load_config(config)
    tried = tuple(share or SHARES)
    for what, value in run(runs, out, dim=dim, shares=tried, config=pictures, report=report):
        print(f"{what}: {value:.4f}")
    print(out)


def evaluate(
    towers: Annotated[
        list[str],
        typer.Argument(
            help="Bundles, .onnx or .pt files, timm:NAME@FILE, open_clip:NAME@FILE, hf-clip:FOLDER."
        ),
    ],
    gallery: Annotated[str, typer.Option(help="[reader:]path[:split], e.g. shots/ or crops.csv.")],
    queries: Annotated[
        str | None, typer.Option(help="The same; the gallery's own otherwise.")
    ] = None,
    protocol: Annotated[
        Literal["split", "leave-one-out", "one-shot", "open-set"], typer.Option()
    ] = "split",
    category: Annotated[str | None, typer.Option(help="Only this first-level category.")] = None,
    query_sku: Annotated[list[str] | None, typer.Option(help="Ask only for these SKUs.")] = None,
    per_photo: Annotated[bool, typer.Option(help="One crop a SKU and photo.")] = False,
    allow_leaks: Annotated[bool, typer.Option(help="Count leaks instead of refusing.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and pictures.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="open-set: judge this file of `edge-export calibrate`.")
    ] = None,
    skus: Annotated[Path | None, typer.Option(help="open-set: skus.csv with categories.")] = None,
    splits: Annotated[int, typer.Option(min=1, help="open-set: seeded splits.")] = 10,
    unknown_share: Annotated[float, typer.Option(help="open-set: SKUs not enrolled.")] = 1 / 3,
    target: Annotated[
        float | None, typer.Option(help="open-set: precision; the highest certifiable otherwise.")
    ] = None,
    level_target: Annotated[float, typer.Option(help="open-set: expected of categories.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look queries up in a gallery by cosine nearest neighbour and count what is right."""
    if protocol == "open-set":
        from export.open_set import OpenSetOptions
        from export.open_set_command import OpenSetRequest, in_words, run_open_set

        result = run_open_set(
            OpenSetRequest(
                towers=tuple(towers),
                gallery=gallery,
                queries=queries,
                category=category,
                categories=skus,
                calibration=calibration,
                options=OpenSetOptions(unknown_share, target, level_target),
                splits=splits,
                allow_leaks=allow_leaks,
                seed=seed,
                threads=threads,
                out=out,
            )
        )
        if as_json:
            console.print_json(result)
        else:
            print("\n".join(in_words(row) for row in result["towers"]))
        return
    from export.evaluate import evaluate as run
    from export.evaluate import task_leaks
    from export.evaluation_report import write_report
    from export.tasks import make_task
    from export.towers import open_tower

    task = make_task(
        protocol,
        gallery,
        queries,
        category=category,
        query_skus=tuple(query_sku or ()),
        per_photo=per_photo,
        seed=seed,
    )
    leaks = task_leaks(task)
    done = [
        run(
            open_tower(name, threads=threads), task, allow_leaks=allow_leaks, leaks=leaks, seed=seed
        )
        for name in towers
    ]
    if out is not None:
        write_report(done, out)
    if as_json:
        console.print_json({"task": task.name, "towers": [e.to_json() for e in done]})
        return
    for one in done:
        low, high = one.ci95
        tops = ", ".join(f"top-{k} {value:.1%}" for k, value in one.top.items())
        levels = ", ".join(f"{name} {value:.1%}" for name, value in one.levels.items())
        print(f"{one.tower}: {tops} (95% interval of top-1: {low:.1%} to {high:.1%}); {levels}")


def tower(
    model: Annotated[
        str,
        typer.Argument(
            help="Checkpoint of `edge-export finetune`, timm:NAME@FILE, open_clip:NAME@FILE,"
            " hf-clip:FOLDER."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for tower.json and the ONNX files.")],
    gallery: Annotated[str, typer.Option(help="Labelled pictures for the parity gate.")],
    queries: Annotated[str, typer.Option(help="Other pictures of the same SKUs.")],
    calibrate: Annotated[
        str | None, typer.Option(help="Store pictures for INT8's ranges; the gallery otherwise.")
    ] = None,
    shelves: Annotated[
        Path | None, typer.Option(help="YOLO folder whose boxes show that preprocessing agrees.")
    ] = None,
    fp16: Annotated[bool, typer.Option(help="Also half precision, for GPUs.")] = False,
    int8: Annotated[bool, typer.Option(help="Also 8 bits, for CPUs.")] = False,
) -> None:
    """Export an image tower to ONNX, each precision behind its parity gate."""
    from export.parity import GateData
    from export.preprocessing_parity import shelf_crops
    from export.tasks import open_dataset
    from export.tower import export_tower

    store = None if calibrate is None else open_dataset(calibrate)
    gate = GateData(open_dataset(gallery), open_dataset(queries), store)
    wanted: list[Literal["fp32", "fp16", "int8"]] = ["fp32"]
    wanted += ["fp16"] if fp16 else []
    wanted += ["int8"] if int8 else []
    crops = None if shelves is None else shelf_crops(shelves)
    result = export_tower(model, out, gate=gate, precisions=wanted, crops=crops, report=print)
    print(f"{out / 'tower.json'}: {', '.join(result.files)}")
