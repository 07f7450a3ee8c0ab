"""`edge gallery …`: what changes a gallery that is in use, each a change that `undo` takes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge import console
from edge.cli_options import BundleOption, GalleryArgument, JsonOption, ProviderOption

if TYPE_CHECKING:
    from edge.gallery.store import GalleryStore

_SkuOption = Annotated[str, typer.Option("--sku", help="Id of the SKU.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``edge gallery``."""
    for command in (add, remove, relabel, merge, undo, redo, history, compact, repair):
        app.command()(command)


def add(
    file: GalleryArgument,
    sku: _SkuOption,
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures of one product; without any, only what is known changes."),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Its name, or LOCALE=name; may be repeated.")
    ] = None,
    gtin: Annotated[str | None, typer.Option(help="Its GTIN; the check digit is verified.")] = None,
    brand: Annotated[str | None, typer.Option(help="Its brand.")] = None,
    category: Annotated[
        str | None, typer.Option(help='Its category, "coarse > finer > finest".')
    ] = None,
    force: Annotated[bool, typer.Option(help="Enrol pictures that are not fit, too.")] = False,
    bundle: BundleOption = None,
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Enrol pictures of one product, which is created where it is new, or change what is known of it."""
    from edge.adding import SkuFacts, add_pictures

    facts = SkuFacts(gtin, brand, category, tuple(name or ()))
    report = add_pictures(
        file, pictures or (), sku, facts, bundle=bundle, provider=provider, force=force
    )
    if as_json:
        console.print_json(report.to_json())
    else:
        for line in report.failures:
            console.say(f"error: {line}")
        for line in report.refused:
            console.say(f"error: not enrolled: {line}")
        print(report.to_text())
    raise typer.Exit(0 if report.complete else 1)


def remove(
    file: GalleryArgument,
    references: Annotated[
        list[int] | None, typer.Argument(help="Ids of references (see list --sku).")
    ] = None,
    sku: Annotated[
        list[str] | None, typer.Option("--sku", help="Id of a SKU to remove with its references.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove references, or SKUs with all their references."""
    from edge.errors import ConfigError
    from edge.gallery.store import GalleryStore

    if bool(references) == bool(sku):
        raise ConfigError("name either ids of references, or SKUs with --sku")
    with GalleryStore.open(file, read_only=False) as store:
        if sku:
            store.remove_skus(sku)
        else:
            store.remove_references(references or [])
        _say_last(file, store, as_json)


def relabel(
    file: GalleryArgument,
    references: Annotated[list[int], typer.Argument(help="Ids of references (see list --sku).")],
    sku: _SkuOption,
    as_json: JsonOption = False,
) -> None:
    """Give references to another SKU."""
    from edge.gallery.store import GalleryStore

    with GalleryStore.open(file, read_only=False) as store:
        store.relabel(references, sku)
        _say_last(file, store, as_json)


def merge(
    file: GalleryArgument,
    from_sku: Annotated[str, typer.Argument(help="SKU that goes.")],
    into_sku: Annotated[str, typer.Argument(help="SKU that gets its references.")],
    as_json: JsonOption = False,
) -> None:
    """Give all references of one SKU to another, and remove the one."""
    from edge.gallery.store import GalleryStore

    with GalleryStore.open(file, read_only=False) as store:
        store.merge(from_sku, into_sku)
        _say_last(file, store, as_json)


def undo(file: GalleryArgument, as_json: JsonOption = False) -> None:
    """Take back the last change that still stands; repeat it to go further back."""
    from edge.gallery.store import GalleryStore

    with GalleryStore.open(file, read_only=False) as store:
        store.undo()
        _say_last(file, store, as_json)


def redo(file: GalleryArgument, as_json: JsonOption = False) -> None:
    """Do again what the last undo took back."""
    from edge.gallery.store import GalleryStore

    with GalleryStore.open(file, read_only=False) as store:
        store.redo()
        _say_last(file, store, as_json)


def history(
    file: GalleryArgument,
    last: Annotated[int, typer.Option(min=1, help="Number of changes to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the last changes, the newest first, and which of them were undone."""
    from edge.gallery.store import GalleryStore

    with GalleryStore.open(file) as store, store.reading():
        version, changes = store.version, store.history()[::-1][:last]
    if as_json:
        found = [change.to_json() for change in changes]
        console.print_json({"gallery": str(file), "version": version, "changes": found})
        return
    for change in changes:
        undone = f" (undone by {change.undone_by})" if change.undone_by is not None else ""
        print(f"{change.seq}\t{change.created_at}\t{change.kind}\t{change.summary}{undone}")


def compact(file: GalleryArgument, as_json: JsonOption = False) -> None:
    """Give the space of removed references back to the disk."""
    from edge.gallery.store import GalleryStore

    with GalleryStore.open(file, read_only=False) as store:
        freed, version = store.compact(), store.version
    if as_json:
        console.print_json({"gallery": str(file), "version": version, "freed_bytes": freed})
    else:
        print(f"{file}: {freed} bytes freed, {version}")


def repair(
    file: GalleryArgument,
    accept_loss: Annotated[
        bool, typer.Option(help="Go on without acknowledged changes that are lost.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a gallery as it is where its .seq file is missing, damaged or of another state.

    Reads everything first; a gallery with a damaged row or page is not repaired.
    """
    from edge.gallery.repair import repair_gallery

    report = repair_gallery(file, accept_loss=accept_loss)
    if as_json:
        console.print_json(report.to_json())
        return
    if report.found is not None:
        console.say(f"found: {report.found}")
    state = "nothing to repair" if report.found is None else "taken as it is"
    print(f"{file}: {state}, {report.skus} SKUs, {report.references} references, {report.version}")


def _say_last(file: Path, store: GalleryStore, as_json: bool) -> None:
    """Say what the last change was."""
    change, version = store.history()[-1], store.version
    if as_json:
        console.print_json({"gallery": str(file), "version": version, "change": change.to_json()})
    else:
        print(f"{file}: {change.kind}: {change.summary}, {version}")
