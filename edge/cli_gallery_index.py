"""`edge gallery plan|index|verify`: what a gallery will need, its index, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from edge import console
from edge.cli_options import BundleOption, GalleryArgument, JsonOption


def register(app: typer.Typer) -> None:
    """Add the commands to ``edge gallery``."""
    app.command()(plan)
    app.command()(index)
    app.command()(verify)


def plan(
    skus: Annotated[int, typer.Option(help="Number of products.")],
    views: Annotated[float, typer.Option(help="References a product, on average.")],
    dim: Annotated[
        int | None, typer.Option(help="Dimensions of the tower; the default bundle's otherwise.")
    ] = None,
    bundle: BundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate memory, disk, build time and latency of a gallery before anyone builds it."""
    from edge.bundle import Bundle
    from edge.gallery import plan as planning

    if dim is None:
        loaded = Bundle.load(bundle) if bundle is not None else Bundle.default()
        dim = loaded.manifest.tower.dim
    made = planning.plan(skus, views, dim)
    if as_json:
        console.print_json(made.to_json())
    else:
        print(made.to_text())


def index(file: GalleryArgument, as_json: JsonOption = False) -> None:
    """Build a gallery's search index now, or bring it up to date, so that the next start finds it.

    One of millions takes long: stopped at any moment, it goes on from there when called again.
    """
    from edge.gallery.index import EXACT_UP_TO
    from edge.gallery.index_report import report_index
    from edge.gallery.opened import open_state

    with console.progress("index") as progress:
        open_state(
            file,
            tower=None,
            threshold=EXACT_UP_TO,
            at_once=False,
            progress=lambda _, done, total: progress(done, total),
        )
    report = report_index(file)
    if as_json:
        console.print_json({"gallery": str(file), "index": report.to_json()})
    else:
        print(report.to_text())


def verify(file: GalleryArgument, bundle: BundleOption = None, as_json: JsonOption = False) -> None:
    """Read every row, checksum and picture of a gallery; with a bundle, check its tower too.

    Says of the kept search index what was measured when it was built; a damaged one is no error, for
    it is built again.
    """
    from edge.bundle import Bundle
    from edge.gallery.index_report import report_index
    from edge.gallery.verify import verify_gallery

    tower = Bundle.load(bundle).manifest.tower.fingerprint if bundle is not None else None
    report = verify_gallery(file, tower=tower)
    kept = report_index(file)
    if as_json:
        console.print_json(report.to_json() | {"index": kept.to_json()})
    else:
        for problem in report.problems:
            console.say(f"error: {problem}")
        state = "damaged" if report.problems else "intact"
        print(f"{file}: {state}, {report.skus} SKUs, {report.references} references")
        print(kept.to_text())
    raise typer.Exit(1 if report.problems else 0)
