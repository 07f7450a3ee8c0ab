"""The `edge` command line. Imports of models and pictures happen inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console
from edge.cli_camera import app as camera_app
from edge.cli_gallery import app as gallery_app
from edge.cli_options import BundleOption, JsonOption, ProviderOption
from edge.cli_run import run as run_command

app = typer.Typer(
    name="edge",
    help="Find, identify and count the products on a shelf, on this device, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bundle_app = typer.Typer(help="Model bundles.", no_args_is_help=True)
app.add_typer(gallery_app, name="gallery")
app.add_typer(camera_app, name="camera")
app.add_typer(bundle_app, name="bundle")
app.command("run")(run_command)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-out"),
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Audit the embedded sample shelf, end to end, and compare with its ground truth."""
    from edge.demo import run_demo

    with console.progress("demo") as progress:
        result = run_demo(out, provider=provider, progress=progress)
    if as_json:
        console.print_json(result.to_json())
    else:
        print(result.to_text())


@app.command()
def audit(
    paths: Annotated[
        list[str], typer.Argument(help="Pictures, folders, globs or clips.", show_default=False)
    ],
    bundle: BundleOption = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Gallery file; without one every product is unknown.")
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="site.json that names the bundle and the gallery.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("audit-out"),
    every: Annotated[float, typer.Option(help="Seconds of a clip between two frames.")] = 1.0,
    scale: Annotated[
        str | None,
        typer.Option(help="auto, whole, shrink@F, tiles@F; the bundle's choice otherwise."),
    ] = None,
    locale: Annotated[str, typer.Option(help="Language of product names (BCP 47).")] = "en",
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Count the facings on pictures or clips of shelves."""
    from edge.auditor import audit_paths

    with console.progress("audit") as progress:
        summary = audit_paths(
            paths,
            out,
            bundle=bundle,
            gallery=gallery,
            site=site,
            every_s=every,
            scale=scale,
            locale=locale,
            provider=provider,
            progress=progress,
        )
    if as_json:
        console.print_json(summary.to_json())
    else:
        for failure in summary.failures:
            named = failure.source in failure.error
            console.say(
                f"error: {failure.error if named else f'{failure.source}: {failure.error}'}"
            )
        print(
            f"{summary.frames} frame(s): {summary.known} facings of {len(summary.facings)} SKUs,"
            f" {summary.unknown} unknown; see {out / 'report.html'}"
        )
    raise typer.Exit(summary.exit_status)


@bundle_app.command("verify")
def bundle_verify(
    folder: Annotated[Path, typer.Argument(help="Bundle folder.")],
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Check manifest, checksums and canary of a bundle."""
    from edge.bundle import Bundle
    from edge.pipeline import Models

    bundle = Bundle.load(folder)
    models = Models.open(bundle, provider=provider)
    report = models.canary
    if as_json:
        console.print_json(
            {
                "bundle": bundle.bundle_id,
                "provider": models.provider,
                "files": len(bundle.manifest.files),
                "canary": report.to_json(),
            }
        )
    else:
        print(
            f"{bundle.bundle_id}: {len(bundle.manifest.files)} files intact; canary on"
            f" {models.provider}: cosine {report.cosine:.4f}, spread {report.spread:.2f},"
            f" boxes {report.box_agreement:.0%}"
        )


@app.command()
def doctor(
    bundle: BundleOption = None, provider: ProviderOption = "auto", as_json: JsonOption = False
) -> None:
    """Say what this device can run, and whether it computes what it should."""
    from edge.doctor import examine

    report = examine(bundle, provider)
    if as_json:
        console.print_json(report.to_json())
    else:
        print(report.to_text())
    raise typer.Exit(report.exit_status)


@app.command()
def bench(
    image: Annotated[
        Path | None, typer.Argument(help="A shelf picture; the embedded sample otherwise.")
    ] = None,
    bundle: BundleOption = None,
    repeat: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 7,
    scale: Annotated[str | None, typer.Option(help="As for audit.")] = None,
    cameras: Annotated[
        int | None,
        typer.Option(
            min=1, help="Run the daemon on so many cameras instead, and see if it keeps up."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="With --cameras: an address (several in turn); a noisy clip otherwise."),
    ] = None,
    fps: Annotated[float, typer.Option(help="With --cameras: frames a second of each.")] = 5.0,
    seconds: Annotated[float, typer.Option(help="With --cameras: how long to measure.")] = 60.0,
    provider: ProviderOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Time a frame end to end against the bare model runs it needs, or a device with cameras."""
    if cameras is not None:
        from edge.bench_cameras import run_density

        with console.progress("bench") as progress:
            density = run_density(
                cameras,
                sources=source or (),
                fps=fps,
                seconds=seconds,
                bundle=bundle,
                provider=provider,
                progress=progress,
            )
        if as_json:
            console.print_json(density.to_json())
        else:
            print(density.to_text())
        return
    from edge.bench import run_bench

    with console.progress("bench") as progress:
        report = run_bench(
            image, bundle=bundle, provider=provider, scale=scale, repeat=repeat, progress=progress
        )
    if as_json:
        console.print_json(report.to_json())
    else:
        print(report.to_text())


def main() -> None:
    """Entry point of `edge`."""
    console.run(app)
