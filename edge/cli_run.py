"""``edge run``: the daemon, and the check of its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _explain(asked: bool) -> None:
    if not asked:
        return
    from edge.config import Config
    from edge.config_models import keys_of

    for key in keys_of(Config):
        typer.echo(key.line)
    raise typer.Exit


def run(
    config: Annotated[Path, typer.Option("--config", help="Configuration file (TOML).")],
    check: Annotated[
        bool, typer.Option("--check", help="Validate configuration and secrets, then stop.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", is_eager=True, callback=_explain, help="List every key with its meaning."
        ),
    ] = False,
) -> None:
    """Watch the cameras of a configuration until told to stop; read it again on SIGHUP."""
    if check:
        from edge.daemon.check import check_config

        for line in check_config(config):
            typer.echo(line)
        return
    from edge.daemon.supervisor import Supervisor

    raise typer.Exit(Supervisor(config).run())
