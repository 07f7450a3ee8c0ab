"""`edge gallery …`: enrol, look up and check the SKUs of a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edge import cli_enrol, cli_exchange, cli_gallery_edit, cli_gallery_index, console
from edge.cli_options import BundleOption, GalleryArgument, JsonOption, ProviderOption

app = typer.Typer(help="The gallery of enrolled SKUs.", no_args_is_help=True)
cli_gallery_edit.register(app)
cli_enrol.register(app)
cli_exchange.register(app)
cli_gallery_index.register(app)


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="DIR/<sku_id>/*.jpg or DIR/<sku_id>.jpg.")],
    out: Annotated[Path, typer.Option(help="Gallery file to write.")],
    bundle: BundleOption = None,
    provider: ProviderOption = "auto",
    force: Annotated[bool, typer.Option(help="Enrol pictures that are not fit, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Enrol a folder of product pictures, with names and categories from its skus.csv."""
    from edge.enrolment import build_from_folder

    with console.progress("enrol") as progress:
        report = build_from_folder(
            folder, out, bundle=bundle, provider=provider, force=force, progress=progress
        )
    if as_json:
        console.print_json(report.to_json())
    else:
        for line in report.failures + report.contradictions:
            console.say(f"error: {line}")
        for line in report.warnings:
            console.say(f"warning: {line}")
        print(f"{out}: {report.skus} SKUs, {report.references} references, {report.version}")
    raise typer.Exit(0 if report.complete else 1)


@app.command("list")
def list_skus(
    file: GalleryArgument,
    sku: Annotated[
        str | None, typer.Option("--sku", help="List the references of this SKU instead.")
    ] = None,
    locale: Annotated[str, typer.Option(help="Language of names (BCP 47).")] = "en",
    as_json: JsonOption = False,
) -> None:
    """List the SKUs with what is known about them, or the references of one."""
    from edge.listing import ListedReference, ListedSku, list_gallery, list_references

    rows: Sequence[ListedSku | ListedReference]
    if sku is not None:
        key, (version, rows) = "references", list_references(file, sku)
    else:
        key, (version, rows) = "skus", list_gallery(file, locale=locale)
    if as_json:
        found = [row.to_json() for row in rows]
        console.print_json({"gallery": str(file), "version": version, key: found})
        return
    for row in rows:
        print(row.to_text())


@app.command()
def search(
    file: GalleryArgument,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of one product each.")],
    bundle: BundleOption = None,
    provider: ProviderOption = "auto",
    locale: Annotated[str, typer.Option(help="Language of names (BCP 47).")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Say which SKUs the products in pictures look like."""
    from edge.enrolment import search_pictures

    found = search_pictures(file, pictures, bundle=bundle, provider=provider, locale=locale)
    if as_json:
        console.print_json({"gallery": str(file), "results": [r.to_json() for r in found]})
    else:
        for result in found:
            print(result.to_text())
    raise typer.Exit(1 if any(r.error for r in found) else 0)
