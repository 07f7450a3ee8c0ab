"""`edge camera …`: look at a camera before it is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console
from edge.cli_options import JsonOption

app = typer.Typer(help="Cameras.", no_args_is_help=True)


@app.callback()
def cameras() -> None:
    """Cameras."""


@app.command()
def probe(
    url: Annotated[
        str,
        typer.Argument(
            help="rtsp://, http://, a USB camera (0, /dev/video0) or a clip; write user and password"
            " as '${NAME}' to take them from the environment.",
            show_default=False,
        ),
    ],
    seconds: Annotated[float, typer.Option(min=0.5, max=600.0, help="How long to watch.")] = 5.0,
    fps: Annotated[float, typer.Option(help="Frames a second to hand on.")] = 5.0,
    transport: Annotated[str, typer.Option(help="tcp or udp, for RTSP.")] = "tcp",
    decoder: Annotated[str, typer.Option(help="As in the configuration.")] = "auto",
    credentials_file: Annotated[
        Path | None, typer.Option(help="File with one line user:password, mode 0600.")
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds until the stream is open.")] = 15.0,
    as_json: JsonOption = False,
) -> None:
    """Say what a stream is: codec, size, rate, delay, and whether its pictures can be used."""
    from edge.camera.probe import probe as run_probe
    from edge.camera.probe import probe_settings

    settings = probe_settings(
        url,
        seconds=seconds,
        fps=fps,
        transport=transport,
        decoder=decoder,
        credentials_file=credentials_file,
        open_deadline_s=deadline,
    )
    report = run_probe(settings, seconds)
    if as_json:
        console.print_json(report.to_json())
    elif report.received:
        print(report.to_text())
    else:
        console.say(f"error: {report.to_text()}")
    raise typer.Exit(0 if report.ok else 1)
