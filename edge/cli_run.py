"""``edge run``: the daemon, and the check of its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    config: Annotated[Path, typer.Option("--config", help="Configuration file (TOML).")],
    check: Annotated[
        bool, typer.Option("--check", help="Validate configuration and secrets, then stop.")
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
