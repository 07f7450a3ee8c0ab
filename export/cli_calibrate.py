"""`edge-export calibrate`: the decision's command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge import console
from edge.manifest import AnswerPoint, OperatingPoint, Precision


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(calibrate)


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="Bundle whose tower is calibrated.")],
    data: Annotated[
        list[str], typer.Option(help="[reader:]path[:split] of labelled pictures; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="JSON file for the operating points.")],
    queries: Annotated[
        str | None, typer.Option(help="Pictures to ask; otherwise the data's photos are divided.")
    ] = None,
    evaluation: Annotated[
        list[str] | None, typer.Option(help="Data kept for evaluation: sharing it is an error.")
    ] = None,
    skus: Annotated[Path | None, typer.Option(help="skus.csv with the categories.")] = None,
    category: Annotated[str | None, typer.Option(help="Only this first-level category.")] = None,
    target: Annotated[float, typer.Option(help="Precision to certify for SKUs.")] = 0.99,
    level_target: Annotated[float, typer.Option(help="Precision expected of categories.")] = 0.95,
    unknown_share: Annotated[float, typer.Option(help="Share of the SKUs not enrolled.")] = 1 / 3,
    draws: Annotated[int, typer.Option(min=1, help="Draws of who is unknown.")] = 9,
    views: Annotated[
        int | None, typer.Option(min=1, max=16, help="References that speak for a SKU; measured.")
    ] = None,
    references: Annotated[int, typer.Option(min=1, help="Photos enrolled a SKU.")] = 5,
    precision: Annotated[list[str] | None, typer.Option(help="fp32, fp16, int8; all.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    write: Annotated[
        bool, typer.Option("--write", help="Also into the bundle's manifest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Certify when SKUs and categories may be told, and fit how probable they are."""
    from export.calibrate import CalibrationRequest, run_calibration

    record = run_calibration(
        CalibrationRequest(
            bundle=bundle,
            data=tuple(data),
            out=out,
            queries=queries,
            evaluation=tuple(evaluation or ()),
            categories=skus,
            category=category,
            target=target,
            level_target=level_target,
            unknown_share=unknown_share,
            draws=draws,
            views=views,
            references=references,
            precisions=_precisions(precision or ()),
            seed=seed,
            threads=threads,
        ),
        console.say,
    )
    if write:
        record.apply(bundle)
    if as_json:
        console.print_json(record.model_dump(mode="json", exclude={"pictures"}))
        return
    for name, point in record.points.items():
        print(f"{name}: {describe(point, record.reports[name])}")
    print(out)


def describe(point: OperatingPoint, report: dict[str, object]) -> str:
    """One line: what is certified, and what it costs."""
    calibration = point.calibration
    assert calibration is not None
    coverage = report["coverage"]
    parts = [_certified("SKU", calibration.sku)]
    parts += [_certified(f"level {n}", p) for n, p in enumerate(calibration.levels, start=1)]
    return f"{point.views} view(s); {'; '.join(parts)}; share of the queries: {coverage}"


def _certified(name: str, point: AnswerPoint) -> str:
    if point.accept is None:
        return f"{name} never ({point.target:.1%} cannot be certified)"
    return (
        f"{name} from probability {point.accept:.3f} ({point.right} of {point.answers} right, at"
        f" least {point.precision_low:.1%} with 95% confidence)"
    )


def _precisions(names: list[str] | tuple[str, ...]) -> tuple[Precision, ...]:
    known: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}
    for name in names:
        if name not in known:
            raise typer.BadParameter(
                f"{name!r} is not one of {', '.join(known)}", param_hint="--precision"
            )
    return tuple(known[name] for name in names)
