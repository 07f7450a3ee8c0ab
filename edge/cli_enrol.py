"""`edge gallery enrol`: what an audit did not know, named by a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console
from edge.cli_options import BundleOption, JsonOption, ProviderOption


def register(app: typer.Typer) -> None:
    """Add the commands to ``edge gallery``."""
    app.command()(enrol)


def enrol(
    audit: Annotated[Path, typer.Option("--from", help="Folder that `edge audit` wrote.")],
    gallery: Annotated[
        Path | None, typer.Option(help="Gallery file, made where missing; the audit's otherwise.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="The filled CSV; the one in the folder otherwise.")
    ] = None,
    anew: Annotated[
        bool, typer.Option(help="Cluster again; replaces the CSV, filled in or not.")
    ] = False,
    similarity: Annotated[
        float | None,
        typer.Option(min=-1.0, max=1.0, help="Mean similarity within a cluster; lower for fewer."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Enrol pictures that are not fit, too.")] = False,
    locale: Annotated[str, typer.Option(help="Language of names (BCP 47).")] = "en",
    bundle: BundleOption = None,
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Cluster what an audit did not know, and enrol it once the CSV is filled in.

    The first call writes contact sheets and a CSV into AUDIT_OUT/enrol; fill in sku_id and what else
    is known, line by line, and call it again.
    """
    from edge.audit_enrolment import enrol_from_audit

    with console.progress("embed") as progress:
        done = enrol_from_audit(
            audit,
            gallery,
            form=csv,
            anew=anew,
            similarity=similarity,
            force=force,
            locale=locale,
            bundle=bundle,
            provider=provider,
            progress=progress,
        )
    if as_json:
        console.print_json(done.to_json())
    else:
        for line in done.problems():
            console.say(line)
        print(done.to_text())
    raise typer.Exit(0 if done.complete else 1)
