"""Image tower → ONNX files that a bundle can carry, each behind its parity gate."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge.atomic import make_folder, write_bytes, write_text
from edge.errors import BundleError, ConfigError
from edge.manifest import Preprocessing
from export.embedding import F32
from export.parity import GateData, GateReport, int8_gate, onnx_gate

if TYPE_CHECKING:
    from export.backbones import ImageTower, Provenance

OPSET = 18
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, slots=True)
class TowerFiles:
    """What was written: a file per precision, and everything a manifest must say about them."""

    files: dict[str, Path]
    preprocessing: Preprocessing
    dim: int
    fingerprint: str
    reports: dict[str, GateReport]


def export_tower(
    checkpoint: Path,
    out: Path,
    *,
    gate: GateData,
    precisions: Sequence[Precision] = ("fp32", "int8"),
    notes: dict[str, Any] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> TowerFiles:
    """Writes `out/tower.onnx`, one file for each other precision, and `out/tower.json`.

    `gate` holds labelled crops: every second query calibrates INT8, all of it measures
    parity. Raises BundleError when a precision does not hold its gate: its file is gone then, those
    that hold theirs are written, and `tower.json` keeps what was measured of all.
    """
    from export.finetune import load_finetuned
    from export.precision import to_fp16, to_int8

    unknown = set(precisions) - {"fp32", "fp16", "int8"}
    if unknown:
        raise ConfigError(f"unknown precision: {', '.join(sorted(unknown))}")
    tower, provenance = load_finetuned(checkpoint)
    make_folder(out)
    files = {"fp32": out / "tower.onnx"}
    write_onnx(tower, files["fp32"])
    fingerprint = tower_fingerprint(files["fp32"], tower.preprocessing)
    spec = tower.preprocessing
    images = gate.query_images(spec)
    reports = {"fp32": onnx_gate(tower, files["fp32"], images)}
    report(f"fp32: {reports['fp32'].line()}")
    if "int8" in precisions:
        files["int8"] = out / "tower.int8.onnx"
        to_int8(files["fp32"], files["int8"], images[::2])
        reports["int8"] = int8_gate(files["fp32"], files["int8"], gate, spec)
        report(f"int8: {reports['int8'].line()}")
    if "fp16" in precisions:
        from export.parity import fp16_gate

        files["fp16"] = out / "tower.fp16.onnx"
        to_fp16(files["fp32"], files["fp16"])
        reports["fp16"] = fp16_gate(tower, files["fp32"], files["fp16"], gate, spec)
        report(f"fp16: {reports['fp16'].line()}")
    refused = {
        name: files.pop(name) for name, gate_report in reports.items() if gate_report.failures
    }
    for file in refused.values():
        file.unlink()
    result = TowerFiles(files, spec, _dim(tower), fingerprint, reports)
    if "fp32" not in refused:
        write_text(out / "tower.json", _description(result, provenance, notes or {}))
    for name, file in refused.items():
        reports[name].require(file)
    return result


def write_onnx(tower: ImageTower, file: Path) -> None:
    """FP32 ONNX: `images` float32 (n, 3, S, S) → `embeddings` (n, D) of norm 1, only n dynamic."""
    import onnx
    import torch

    size = tower.preprocessing.size
    example = torch.zeros(2, 3, size, size)
    tower = tower.eval().to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            tower,
            (example,),
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes={"images": {0: torch.export.Dim("n", min=1, max=4096)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise BundleError(f"{file}: torch.onnx gave no model")
    model = program.model_proto
    _forget_origin(model)
    onnx.checker.check_model(model, full_check=True)
    write_bytes(file, model.SerializeToString())


def _forget_origin(model: Any) -> None:
    """Drop stack traces and paths of the machine that exported: they are no part of a model."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def tower_fingerprint(file: Path, preprocessing: Preprocessing) -> str:
    """32 hex digits over the FP32 weights (values, in graph order) and the preprocessing."""
    import onnx
    from onnx import numpy_helper

    digest = hashlib.sha256()
    for tensor in onnx.load(str(file)).graph.initializer:
        values = numpy_helper.to_array(tensor)
        digest.update(str(values.shape).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(preprocessing.model_dump_json().encode())
    return digest.hexdigest()[:32]


def latency_ms(
    file: Path, size: int, batches: Sequence[int] = (1, 8, 16, 32), *, threads: int = 2
) -> dict[str, float]:
    """Milliseconds a picture by batch size, the best of five runs on the CPU provider."""
    import time

    from edge.vision.session import OrtSession, SessionOptions

    session = OrtSession(file, "cpu", SessionOptions(threads=threads))
    rng = np.random.default_rng(0)
    measured = {}
    for batch in batches:
        images: F32 = rng.normal(size=(batch, 3, size, size)).astype(np.float32)
        session.run(images)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            session.run(images)
            times.append(time.perf_counter() - start)
        measured[str(batch)] = round(1e3 * min(times) / batch, 2)
    return measured


def _dim(tower: ImageTower) -> int:
    import torch

    size = tower.preprocessing.size
    with torch.inference_mode():
        return int(tower(torch.zeros(1, 3, size, size)).shape[-1])


def _description(result: TowerFiles, provenance: Provenance, notes: dict[str, Any]) -> str:
    about = {
        "files": {precision: file.name for precision, file in result.files.items()},
        "sha256": {
            precision: hashlib.sha256(file.read_bytes()).hexdigest()
            for precision, file in result.files.items()
        },
        "dim": result.dim,
        "preprocessing": result.preprocessing.model_dump(mode="json"),
        "fingerprint": result.fingerprint,
        "start": {
            "model": provenance.model,
            "weights": provenance.weights,
            "sha256": provenance.sha256,
            "licence": provenance.licence,
        },
        "gates": {name: measured.values for name, measured in result.reports.items()},
        **notes,
    }
    return json.dumps(about, indent=1)
