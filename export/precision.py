"""FP32 ONNX → INT8 and FP16 files of the same tower."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from export.embedding import F32
from export.fp16 import write_fp16
from export.quantise import StaticOptions, prepare, quantise_dynamic, quantise_static

FP32_ISLANDS = (
    "LayerNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LpNormalization",
    "Softmax",
    # what norms are made of where an exporter takes them apart
    "ReduceL2",
    "ReduceSum",
    "ReduceMean",
    "Sqrt",
    "Pow",
)
_TAIL = {
    *FP32_ISLANDS, "Div", "Clip", "Expand", "Shape", "Concat", "Reshape", "Max", "Mul", "Gemm",
    "MatMul", "Add",
}  # fmt: skip
FIRST_FP32 = 5
"""Convolutions in a row that stay in FP32. The fourth of MobileNetV2, which expands 16 channels to 96,
alone costs more accuracy than all later ones together."""

Int8Mode = Literal["static", "dynamic"]


@dataclass(frozen=True, slots=True)
class TowerGraph:
    """What decides how a tower is quantised: first and last nodes by name, and whether matrices rule.

    `early` are the convolutions with fewer than FIRST_FP32 before them: of a joined tower those of
    each part.
    """

    early: tuple[str, ...]
    tail: tuple[str, ...]
    transformer: bool

    @property
    def modes(self) -> tuple[Int8Mode, ...]:
        """The ways of quantising that are worth a try."""
        return ("dynamic", "static") if self.transformer else ("static",)


def read_graph(fp32: Path) -> TowerGraph:
    """The graph as the quantiser sees it; names hold for the prepared model."""
    import onnx

    with tempfile.TemporaryDirectory(dir=fp32.parent) as folder:
        graph = onnx.load(str(prepare(fp32, Path(folder)))).graph
    constants = {tensor.name for tensor in graph.initializer}
    counts = Counter(
        node.op_type for node in graph.node if len(node.input) > 1 and node.input[1] in constants
    )
    return TowerGraph(
        tuple(early_convolutions(graph)),
        tuple(tail_nodes(graph)),
        counts["MatMul"] + counts["Gemm"] > counts["Conv"],
    )


def to_int8(
    fp32: Path,
    out: Path,
    calibration: F32,
    *,
    mode: Int8Mode = "static",
    graph: TowerGraph | None = None,
    options: StaticOptions | None = None,
    batch: int = 16,
) -> None:
    """INT8 of a tower; static ranges come from ``calibration (n, 3, S, S) float32`` store crops.

    Activations are unsigned, weights signed with a scale a channel that keeps sums from saturating
    on processors without VNNI (`export.saturation`). The projection and the normalisation stay
    in FP32. Of a convolutional tower everything else is quantised but the first FIRST_FP32
    convolutions (few channels, so eight bits cost the most there and time the least); of a
    transformer the products with constant matrices, which are nearly all of its work.

    `options` replaces this choice; its `exclude` is added to the projection and normalisation.
    """
    graph = graph or read_graph(fp32)
    if mode == "dynamic":
        quantise_dynamic(fp32, out, exclude=graph.tail)
        return
    if options is None:
        ops = ("MatMul", "Gemm") if graph.transformer else None
        options = StaticOptions(exclude=() if graph.transformer else graph.early, ops=ops)
    full = replace(options, exclude=(*options.exclude, *graph.tail))
    quantise_static(fp32, out, calibration, full, batch)


def to_fp16(fp32: Path, out: Path) -> None:
    """Half precision inside, float32 input and output, FP32 islands where halves overflow.

    The islands (FP32_ISLANDS) are normalisations and softmax, and all from the projection to the
    output; other weights beyond the range of a half are refused with BundleError.
    """
    import onnx

    graph = onnx.load(str(fp32), load_external_data=False).graph
    write_fp16(fp32, out, ops=FP32_ISLANDS, nodes=tail_nodes(graph))


def early_convolutions(graph: Any) -> list[str]:
    """Names of the convolutions with fewer than FIRST_FP32 before them on any way from the input."""
    before: dict[str, int] = {}
    names: list[str] = []
    for node in graph.node:
        passed = max((before.get(name, 0) for name in node.input), default=0)
        if node.op_type == "Conv":
            if passed < FIRST_FP32:
                names.append(node.name)
            passed += 1
        before.update(dict.fromkeys(node.output, passed))
    return names


def tail_nodes(graph: Any) -> list[str]:
    """Names of the nodes from the projection to the output, the last ones first.

    They are cheap, and the most sensitive. Of a joined tower those from the projections of its parts.
    """
    makers = {output: node for node in graph.node for output in node.output}
    names: list[str] = []
    open_tensors = [output.name for output in graph.output]
    while open_tensors:
        node = makers.get(open_tensors.pop())
        if node is None or node.op_type not in _TAIL or node.name in names:
            continue
        names.append(node.name)
        # a projection ends the tail, and what feeds it is the trunk, unless it joins embeddings; a
        # shape is no value at all
        given = makers.get(node.input[0])
        joins = given is not None and given.op_type == "Concat"
        projects = node.op_type in ("Gemm", "MatMul") and not joins
        if not projects and node.op_type != "Shape":
            open_tensors += node.input
    return names
