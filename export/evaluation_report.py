"""Evaluations as files: one table (JSON, CSV, PNG), per-SKU results, the worst confusions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.atomic import make_folder, write_bytes, write_text
from export.evaluate import Evaluation
from export.images import Image, read_rgb, shrink
from export.metrics import OpenSetCurve

CELL_PX = 112
_COLUMNS = ("tower", "task", "protocol", "gallery", "queries", "skus", "top1", "top3", "top5")


def write_report(evaluations: Sequence[Evaluation], out: Path) -> None:
    """Writes evaluation.json, evaluation.csv, evaluation.png, per_sku.csv, leaks.csv, confusions.png.

    Raises OutputError where `out` cannot be written.
    """
    make_folder(out)
    rows = [evaluation.to_json() for evaluation in evaluations]
    write_text(out / "evaluation.json", json.dumps(rows, indent=1))
    write_text(out / "evaluation.csv", _table(evaluations))
    write_bytes(out / "evaluation.png", bars(evaluations))
    write_text(out / "per_sku.csv", _per_sku(evaluations))
    write_text(out / "leaks.csv", _leaks(evaluations))
    worst = min(evaluations, key=lambda evaluation: evaluation.top[1])
    picture = confusion_sheet(worst)
    if picture is not None:
        write_bytes(out / "confusions.png", png(picture))


def bars(evaluations: Sequence[Evaluation]) -> bytes:
    """A PNG: top-1 with its 95% interval, a group a task, a bar a tower."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(e.task.name for e in evaluations))
    towers = list(dict.fromkeys(e.tower for e in evaluations))
    figure = Figure(figsize=(2 + 1.6 * len(tasks), 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(towers)
    for place, tower in enumerate(towers):
        own = [e for e in evaluations if e.tower == tower]
        x = np.array([tasks.index(e.task.name) for e in own]) + (place + 0.5) * width - 0.4
        top1 = np.array([e.top[1] for e in own])
        low_high = np.abs(np.array([e.ci95 for e in own]).T - top1)
        axes.bar(x, top1, width, yerr=low_high, capsize=3, label=tower)
        for left, value in zip(x, top1, strict=True):
            axes.text(left, value / 2, f"{value:.1%}", ha="center", rotation=90, color="white")
    axes.set(xticks=range(len(tasks)), ylim=(0, 1), ylabel="top-1")
    axes.set_xticklabels(tasks, rotation=15, ha="right")
    axes.legend(loc="lower right", fontsize="small")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130)
    return stream.getvalue()


def write_open_set(curves: dict[str, OpenSetCurve], out: Path) -> None:
    """Writes open_set.csv and open_set.png: FNIR against FPIR, a curve a tower."""
    from matplotlib.figure import Figure

    make_folder(out)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["tower", "threshold", "fpir", "fnir"])
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for tower, curve in curves.items():
        for row in zip(curve.threshold, curve.fpir, curve.fnir, strict=True):
            writer.writerow([tower, *(round(float(value), 5) for value in row)])
        axes.plot(np.maximum(curve.fpir, 1e-3), curve.fnir, label=tower)
    axes.set(xscale="log", xlabel="FPIR (unknown accepted)", ylabel="FNIR (known missed)")
    axes.set_ylim(0, 1)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_text(out / "open_set.csv", stream.getvalue())
    write_bytes(out / "open_set.png", picture.getvalue())


def confusion_sheet(evaluation: Evaluation, rows: int = 12, columns: int = 6) -> Image | None:
    """The most frequent confusions, a row each: right reference, wrong reference, then queries.

    None where every answer is right.
    """
    names = evaluation.task.gallery.labels
    gallery = {s.label: s.path for s in reversed(evaluation.task.gallery.samples)}
    lines = []
    for true, answer, _ in evaluation.confusions()[:rows]:
        queries = [
            sample.path
            for sample, label in zip(
                evaluation.task.queries.samples, evaluation.ranking.label[:, 0], strict=True
            )
            if sample.label == true and label >= 0 and names[label] == answer
        ]
        paths = [gallery[true], gallery[answer], *queries[: columns - 2]]
        cells = [_cell(read_rgb(path)) for path in paths]
        cells += [_cell(None)] * (columns - len(cells))
        lines.append(np.hstack(cells))
    return np.vstack(lines) if lines else None


def png(image: Image) -> bytes:
    """(H, W, 3) uint8 RGB as a PNG file's bytes."""
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    return bytes(data.tobytes())


def _cell(image: Image | None) -> Image:
    cell = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    if image is not None:
        small = shrink(image, CELL_PX - 8)
        top, left = (CELL_PX - small.shape[0]) // 2, (CELL_PX - small.shape[1]) // 2
        cell[top : top + small.shape[0], left : left + small.shape[1]] = small
    return cell


def _table(evaluations: Sequence[Evaluation]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, "top1_low95", "top1_high95", "levels", "leaks"])
    for evaluation in evaluations:
        row = evaluation.to_json()
        levels = " ".join(f"{name}={value}" for name, value in row["levels"].items())
        writer.writerow([*(row[c] for c in _COLUMNS), *row["top1_ci95"], levels, row["leaks"]])
    return stream.getvalue()


def _per_sku(evaluations: Sequence[Evaluation]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["tower", "task", "sku_id", "queries", "top1"])
    for evaluation in evaluations:
        for label, count, top1 in evaluation.per_sku():
            writer.writerow([evaluation.tower, evaluation.task.name, label, count, round(top1, 4)])
    return stream.getvalue()


def _leaks(evaluations: Sequence[Evaluation]) -> str:
    """Pairs that are the same file, near in hash bits, or near to a tower (its cosine)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["tower", "query", "gallery", "kind", "bits", "cosine"])
    for evaluation in evaluations:
        for leak in evaluation.doubtful:
            kind = "file" if leak.bits < 0 else "hash" if leak.cosine is None else "embedding"
            bits = leak.bits if kind == "hash" else ""
            cosine = "" if leak.cosine is None else f"{leak.cosine:.4f}"
            row = [evaluation.tower, str(leak.query), str(leak.gallery), kind, bits, cosine]
            writer.writerow(row)
    return stream.getvalue()
