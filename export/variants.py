"""The files of one model in several precisions, and which execution provider uses which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from edge.errors import BundleError, ConfigError
from edge.manifest import Precision, Provider, Variant

_WANTED: dict[Provider, tuple[Precision, ...]] = {
    "tensorrt": ("fp16", "fp32", "int8"),
    "cuda": ("fp16", "fp32", "int8"),
    "openvino": ("int8", "fp32", "fp16"),
    "cpu": ("int8", "fp32", "fp16"),
}
"""Best first: halves where there are half-precision units, eight bits where there are none."""


def variants(files: Mapping[Precision, str]) -> tuple[Variant, ...]:
    """A variant a precision of ``files`` (name in the bundle by precision), FP32 first.

    Every provider uses one of them. With all three precisions FP32 goes to OpenVINO, which computes it
    in whatever its device is best at.

    Raises:
        ConfigError: when there is no file, or a precision is not known.
    """
    order: tuple[Precision, ...] = get_args(Precision)
    unknown = [name for name in files if name not in order]
    if unknown or not files:
        raise ConfigError(f"unknown precision: {', '.join(unknown) or 'none given'}")
    use: dict[Provider, Precision] = {
        provider: next(p for p in wanted if p in files) for provider, wanted in _WANTED.items()
    }
    if "fp32" not in use.values():
        use["openvino"] = "fp32" if "fp32" in files else use["openvino"]
    return tuple(
        Variant(
            file=files[precision],
            precision=precision,
            providers=tuple(p for p in _WANTED if use[p] == precision),
        )
        for precision in order
        if precision in files
    )


def precision_of(file: Path) -> Precision:
    """What an ONNX file computes in: eight bits where it quantises, halves where weights are halves.

    Raises:
        ConfigError: when there is no such file.
        BundleError: when it is no ONNX model.
    """
    import onnx

    if not file.is_file():
        raise ConfigError(f"{file}: no such file")
    try:
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception as error:  # protobuf's own classes, by version
        raise BundleError(f"{file}: not an ONNX model: {error!r}") from error
    if any("Quantize" in node.op_type or "Integer" in node.op_type for node in graph.node):
        return "int8"
    if any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer):
        return "fp16"
    return "fp32"
