"""`edge gallery export|import|reembed|switch`: galleries as files, of new towers, and put to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console
from edge.cli_options import BundleOption, JsonOption, ProviderOption

FileArgument = Annotated[Path, typer.Argument(help="Gallery file.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``edge gallery``."""
    app.command("export")(export)
    app.command("import")(import_)
    app.command()(reembed)
    app.command()(switch)


def export(
    file: FileArgument,
    out: Annotated[Path, typer.Option(help="Folder, new or empty, or a file NAME.zip.")],
    as_json: JsonOption = False,
) -> None:
    """Write a gallery as CSV, NPZ and JPEG files, from which it can be made again."""
    from edge.gallery.exchange import export_gallery

    with console.progress("export") as progress:
        report = export_gallery(file, out, progress=progress)
    if as_json:
        console.print_json(report.to_json())
    else:
        print(f"{out}: {report.skus} SKUs, {report.references} references")


def import_(
    source: Annotated[Path, typer.Argument(help="What `export` wrote: a folder or a ZIP file.")],
    out: Annotated[Path, typer.Option(help="Gallery file to write.")],
    bundle: BundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a gallery from an export, after every vector and picture of it was checked.

    With a bundle, only when its tower made the vectors. A gallery that is there is replaced.
    """
    from edge.bundle import Bundle
    from edge.gallery.exchange import import_gallery

    tower = Bundle.load(bundle).manifest.tower.fingerprint if bundle is not None else None
    with console.progress("import") as progress:
        report = import_gallery(source, out, tower=tower, progress=progress)
    if as_json:
        console.print_json(report.to_json())
    else:
        print(f"{out}: {report.skus} SKUs, {report.references} references")


def reembed(
    file: FileArgument,
    out: Annotated[Path, typer.Option(help="Gallery file to write, beside the old one.")],
    bundle: BundleOption = None,
    site: Annotated[
        Path | None, typer.Option(help="site.json to switch to the bundle and the new gallery.")
    ] = None,
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Embed the pictures of a gallery with a new tower; goes on where an earlier run broke off."""
    from edge.bundle import Bundle, default_path
    from edge.gallery.reembed import reembed_gallery
    from edge.pipeline import Models
    from edge.site import switch_site

    folder = bundle if bundle is not None else default_path()
    models = Models.open(Bundle.load(folder), provider=provider)
    tower = models.bundle.manifest.tower
    with console.progress("reembed") as progress:
        report = reembed_gallery(
            file,
            out,
            embed=models.embedder.embed_images,
            tower=tower.fingerprint,
            dim=tower.dim,
            precision=models.tower_precision,
            progress=progress,
        )
    switched = switch_site(site, folder, out) if site is not None else None
    if as_json:
        console.print_json(
            {**report.to_json(), "site": switched.to_json() if switched is not None else None}
        )
        return
    resumed = f" ({report.resumed} from an earlier run)" if report.resumed else ""
    print(
        f"{out}: {report.skus} SKUs, {report.references} references{resumed}; tower"
        f" {report.old_tower} is now {report.new_tower}"
    )
    print(
        f"{report.compared} references looked up among the others: {report.old_right:.1%} right"
        f" before, {report.new_right:.1%} now, the same answer for {report.agreement:.1%}"
    )
    if switched is not None:
        print(f"{site}: bundle {switched.bundle_id}, gallery {switched.gallery_id}")


def switch(
    site: Annotated[Path, typer.Argument(help="site.json to write.")],
    gallery: Annotated[Path, typer.Option(help="Gallery file.")],
    bundle: BundleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a site.json name a bundle and a gallery of its tower, both in one step."""
    from edge.bundle import default_path
    from edge.site import switch_site

    switched = switch_site(site, bundle if bundle is not None else default_path(), gallery)
    if as_json:
        console.print_json(switched.to_json())
    else:
        print(f"{site}: bundle {switched.bundle_id}, gallery {switched.gallery_id}")
