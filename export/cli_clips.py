"""`edge-export clips`: rendered clips of a fixed camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge import console


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(clips)


def clips(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    seed: Annotated[int, typer.Option(help="Same seed, same clip.")] = 0,
    split: Annotated[
        Literal["train", "demo", "test"],
        typer.Option(help="train, demo or test: they share no brand."),
    ] = "test",
    seconds: Annotated[float, typer.Option(min=40.0, help="Length.")] = 60.0,
    fps: Annotated[float, typer.Option(min=0.1, help="Frames a second.")] = 5.0,
    width: Annotated[int, typer.Option(min=320)] = 1280,
    height: Annotated[int, typer.Option(min=180)] = 720,
    facings: Annotated[tuple[int, int], typer.Option(help="Fewest and most facings.")] = (112, 128),
    nudge: Annotated[bool, typer.Option(help="Push the camera near the end.")] = False,
) -> None:
    """Render a clip of a fixed camera: ten changes, a shopper, a lighting step, and the truth."""
    from export.scenes.clip_writer import busy_plan, write_clip

    plan = busy_plan(
        seed, seconds=seconds, fps=fps, size_wh=(width, height), facings=facings, nudge=nudge
    )
    with console.progress("render") as progress:
        clip = write_clip(out, plan, seed=seed, split=split, progress=progress)
    print(f"{out}: {len(clip)} frames, {len(clip.changes)} changes")
