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
from export.engine import on_tensorrt
from export.images import Image, read_rgb
from export.int8_choice import write_int8
from export.parity import GateData, GateReport, fp16_gate, onnx_gate
from export.preprocessing_parity import CROPS, preprocessing_gate

if TYPE_CHECKING:
    from export.backbones import ImageTower, Provenance

OPSET = 18
MAX_BYTES = 2**31
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
    model: str | Path,
    out: Path,
    *,
    gate: GateData,
    precisions: Sequence[Precision] = ("fp32", "int8"),
    crops: Sequence[Image] | None = None,
    notes: dict[str, Any] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> TowerFiles:
    """Writes `out/tower.onnx`, one file for each other precision, and `out/tower.json`.

    `model` is a checkpoint of `finetune`, or `timm:…`, `open_clip:…`, `hf-clip:…` as in `open_tower`.
    `gate` holds labelled crops, `crops` pictures (the gate's queries by default) on which the device
    must prepare a library's tower as its library does. Raises BundleError when a precision does not
    hold its gate, or TensorRT could not take FP32 or FP16: its file is gone then, those that hold
    theirs are written, and `tower.json` keeps what was measured of all.
    """
    from export.precision import to_fp16

    unknown = set(precisions) - {"fp32", "fp16", "int8"}
    if unknown:
        raise ConfigError(f"unknown precision: {', '.join(sorted(unknown))}")
    tower, provenance, library = _open(model)
    make_folder(out)
    files = {"fp32": out / "tower.onnx"}
    write_onnx(tower, files["fp32"])
    fingerprint = tower_fingerprint(files["fp32"], tower.preprocessing)
    spec = tower.preprocessing
    images = gate.query_images(spec)
    reports = {"fp32": on_tensorrt(onnx_gate(tower, files["fp32"], images), files["fp32"], images)}
    report(f"fp32: {reports['fp32'].line()}")
    if library is not None:
        pictures = crops if crops is not None else [read_rgb(s.path) for s in gate.queries.samples]
        prepared = preprocessing_gate(tower, library, pictures[:CROPS])
        reports["fp32"] = GateReport(
            {**reports["fp32"].values, **prepared.values},
            reports["fp32"].failures + prepared.failures,
        )
        report(f"preprocessing: {prepared.line()}")
    if "int8" in precisions:
        files["int8"] = out / "tower.int8.onnx"
        reports["int8"] = write_int8(files["fp32"], files["int8"], gate, spec, report)
    if "fp16" in precisions:
        files["fp16"] = out / "tower.fp16.onnx"
        to_fp16(files["fp32"], files["fp16"])
        measured = fp16_gate(tower, files["fp32"], files["fp16"], gate, spec)
        reports["fp16"] = on_tensorrt(measured, files["fp16"], images)
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


def _open(model: str | Path) -> tuple[ImageTower, Provenance, str | None]:
    """The tower, where it comes from, and its library's name for it where it was not fine-tuned.

    A fine-tuned tower was trained with the device's own preprocessing: nothing can differ.
    """
    from export.backbones import LIBRARIES, load_tower
    from export.finetune import load_finetuned

    library, _, rest = str(model).partition(":")
    if library in LIBRARIES and rest:
        name, _, weights = rest.partition("@")
        tower, provenance = load_tower(f"{library}:{name}", weights or None)
        return tower, provenance, f"{library}:{name}"
    return (*load_finetuned(Path(model)), None)


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
    if model.ByteSize() >= MAX_BYTES:
        raise BundleError(f"{file}: {model.ByteSize() / 2**30:.1f} GiB; one ONNX file holds 2 GiB")
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
