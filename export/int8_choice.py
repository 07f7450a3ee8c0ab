"""INT8 of a tower, dynamic or static: whichever holds accuracy better."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.manifest import Preprocessing
from export.latency import speed_up
from export.parity import GateData, GateReport, int8_gate
from export.precision import Int8Mode, read_graph, to_int8
from export.recover import refit_projection

_TOP1 = ("top1_int8", "top1_int8_queries_fp32_gallery")


def write_int8(
    fp32: Path,
    out: Path,
    gate: GateData,
    spec: Preprocessing,
    report: Callable[[str], None] = lambda line: None,
) -> GateReport:
    """Writes `out` by each way of quantising that suits the graph and keeps the most accurate.

    Each way's projection is fitted to the features it gives, where that brings them nearer to FP32.

    Accurate is the lower of the two top-1 (INT8 and FP32 gallery), then the cosine to FP32; a way
    that fails its gate never beats one that holds it. The report of the kept one also says how many
    times as fast as FP32 it is (`speed_up`), and `static` is 1 or 0.
    """
    graph = read_graph(fp32)
    calibration = gate.calibration_images(spec)
    tried: dict[Int8Mode, tuple[Path, GateReport]] = {}
    try:
        for mode in graph.modes:
            file = out.with_name(f".{out.stem}.{mode}.onnx")
            tried[mode] = (file, GateReport({}, ("not measured",)))
            to_int8(fp32, file, calibration, mode=mode, graph=graph)
            refitted = refit_projection(fp32, file, calibration)
            measured = int8_gate(fp32, file, gate, spec)
            values = {**measured.values, "projection_refitted": float(refitted)}
            tried[mode] = (file, replace(measured, values=values))
            report(f"int8, {mode}: {tried[mode][1].line()}")
        best = max(tried, key=lambda mode: _merit(tried[mode][1]))
        file, kept = tried[best]
        os.replace(file, out)
    finally:
        for file, _ in tried.values():
            file.unlink(missing_ok=True)
    faster = speed_up(fp32, out, spec.size)
    values = {**kept.values, "static": float(best == "static"), "speed_up": round(faster, 2)}
    report(f"int8: {best} kept, {faster:.2f} times as fast as fp32")
    return replace(kept, values=values)


def _merit(report: GateReport) -> tuple[bool, float, float]:
    lower = min(report.values.get(name, 0.0) for name in _TOP1)
    return not report.failures, lower, report.values.get("min_cosine", 0.0)
