"""`edge-export neighbours`: pairs without labels from photos of shelves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(neighbours)


def neighbours(
    shelves: Annotated[Path, typer.Argument(help="Folder with images/ and labels/ (YOLO).")],
    tower: Annotated[str, typer.Option(help="The current tower, named as in `evaluate`.")],
    out: Annotated[Path, typer.Option(help="Folder for the crops and crops.csv.")],
    photos: Annotated[int | None, typer.Option(min=1, help="Only the first photos.")] = None,
    same: Annotated[float, typer.Option(help="Cosine from which neighbours are one SKU.")] = 0.9,
    other: Annotated[float, typer.Option(help="Cosine below which groups are two SKUs.")] = 0.6,
    min_side: Annotated[int, typer.Option(min=1, help="Shortest side of a box, in pixels.")] = 24,
    keep_out: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of photos for gallery.csv and queries.csv, to validate."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Which photos are kept out.")] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Cut identical neighbouring facings out of shelf photos, as a source for finetune."""
    from export import kept_out, towers
    from export.neighbours import Alike, write_groups
    from export.views import read_yolo_folder

    labelled = read_yolo_folder(shelves, photos)
    opened = towers.open_tower(tower, threads=threads)
    with console.progress("photos") as progress:
        groups, pictures = write_groups(
            labelled,
            opened,
            out,
            alike=Alike(same, other),
            min_side_px=min_side,
            progress=progress,
        )
    told = {"photos": len(labelled), "groups": groups, "crops": pictures}
    if keep_out > 0:
        gallery, queries = kept_out.keep_out(out / "crops.csv", keep_out, seed)
        told |= {"kept_out": gallery, "queries": queries}
    if as_json:
        console.print_json({**told, "path": str(out / "crops.csv")})
        return
    print(f"{out / 'crops.csv'}: {groups} groups, {pictures} crops of {len(labelled)} photos")
    if keep_out > 0:
        print(f"{out / 'queries.csv'}: {queries} queries for {gallery} of these groups, kept out")
