"""`edge gallery plan|verify`: what a gallery will need, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from edge import console
from edge.cli_options import BundleOption, GalleryArgument, JsonOption


def register(app: typer.Typer) -> None:
    """Add the commands to ``edge gallery``."""
    app.command()(plan)
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
    index = report_index(file)
    if as_json:
        console.print_json(report.to_json() | {"index": index.to_json()})
    else:
        for problem in report.problems:
            console.say(f"error: {problem}")
        state = "damaged" if report.problems else "intact"
        print(f"{file}: {state}, {report.skus} SKUs, {report.references} references")
        print(index.to_text())
    raise typer.Exit(1 if report.problems else 0)
