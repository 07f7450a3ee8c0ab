"""Kilobyte-size models, bundles and pictures for the tests: no torch, no download.

The detector scores each of 8 x 8 cells of its 64 x 64 input by brightness and answers with the
cell itself, so that a bright square that fills a cell is found exactly and black is not. The tower
averages colours, so that squares of different colours lie apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.bundle import MANIFEST, Bundle, sha256
from edge.manifest import (
    DetectorSpec,
    OperatingPoint,
    Precision,
    Preprocessing,
    Provenance,
    ScalePolicy,
    TowerSpec,
    Variant,
)
from edge.types import F32, U8
from edge.vision.session import TensorSpec
from export.pack import BundleParts, pack, single_variant

SIDE = 64
CELLS = 8
CELL_PX = SIDE // CELLS
CROP = 32
DIM = 12
FINGERPRINT = "00112233445566778899aabbccddeeff"
PROVENANCE = Provenance(licence="CC0-1.0", source="made by the tests")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
}
UNKNOWN_COLOUR = (255, 255, 255)
"""Found by the detector, enrolled nowhere."""

Layout = Mapping[tuple[int, int], tuple[int, int, int]]
SHELF: Layout = {
    (1, 1): COLOURS["red"],
    (1, 3): COLOURS["red"],
    (1, 5): COLOURS["green"],
    (4, 1): COLOURS["blue"],
    (4, 3): COLOURS["yellow"],
    (4, 6): UNKNOWN_COLOUR,
}
"""Colour by (row, column) of the picture's 8 x 8 cells."""
SHELF_FACINGS = {"red": 2, "green": 1, "blue": 1, "yellow": 1}
SHELF_UNKNOWN = 1


# ------------------------------------------------------------------------------------- pictures


def squares(layout: Layout, side: int = 256) -> U8:
    """A black picture ``(side, side, 3) uint8`` with one coloured square a cell of ``layout``."""
    image = np.zeros((side, side, 3), np.uint8)
    cell = side // CELLS
    for (row, column), colour in layout.items():
        image[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = colour
    return image


def boxes_of(layout: Layout, side: int = 256) -> F32:
    """The boxes ``(N, 4)`` of ``squares`` in the same order."""
    cell = side // CELLS
    rows = [(c * cell, r * cell, (c + 1) * cell, (r + 1) * cell) for r, c in layout]
    return np.array(rows, np.float32).reshape(-1, 4)


def write_picture(path: Path, image: U8) -> Path:
    """Write RGB pixels to a file whose suffix says how; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, ::-1]))
    return path


def write_fronts(folder: Path, skus: Sequence[str] = tuple(COLOURS)) -> Path:
    """``folder/<sku>/front.png`` in one flat colour each, and ``folder/skus.csv``."""
    for sku in skus:
        write_picture(folder / sku / "front.png", np.full((40, 40, 3), COLOURS[sku], np.uint8))
    lines = ["sku_id,brand,category,name_en,name_de"]
    lines += [f"{sku},Brand {sku[0]},Paint > {sku},The {sku} one,Das {sku}" for sku in skus]
    (folder / "skus.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_clip(path: Path, layouts: Sequence[Layout], *, fps: float = 2.0, side: int = 256) -> Path:
    """A Motion-JPEG clip with one picture a frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (side, side))
    assert writer.isOpened()
    for layout in layouts:
        writer.write(np.ascontiguousarray(squares(layout, side)[:, :, ::-1]))
    writer.release()
    return path


# --------------------------------------------------------------------------------------- models


def detector_spec(**changes: Any) -> DetectorSpec:
    """The manifest entry of ``write_detector``'s model, with changes."""
    values: dict[str, Any] = {
        "variants": single_variant("detector.onnx"),
        "head": "yolov8",
        "input_wh": (SIDE, SIDE),
        "layout": "nchw",
        "class_names": ("product",),
        "confidence": 0.6,
        "iou": 0.5,
        "max_det": 1000,
        "scale": ScalePolicy(facing_px=(4.0, 24.0), enough_coverage=0.01, max_tiles=16),
        "provenance": PROVENANCE,
    }
    return DetectorSpec.model_validate({**values, **changes})


def tower_spec(**changes: Any) -> TowerSpec:
    """The manifest entry of ``write_tower``'s model, with changes."""
    values: dict[str, Any] = {
        "variants": single_variant("tower.onnx"),
        "dim": DIM,
        "preprocessing": preprocessing(),
        "fingerprint": FINGERPRINT,
        "batch_sizes": (1, 2, 4),
        "provenance": PROVENANCE,
    }
    return TowerSpec.model_validate({**values, **changes})


def preprocessing(**changes: Any) -> Preprocessing:
    """Stretch to 32 x 32, values -1..1, with changes."""
    values: dict[str, Any] = {
        "size": CROP,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "resize": "stretch",
    }
    return Preprocessing.model_validate({**values, **changes})


def write_detector(
    path: Path,
    *,
    nhwc: bool = False,
    batch: int | None = None,
    head: str = "yolov8",
    units: str = "pixels",
    shift_px: float = 0.0,
) -> Path:
    """Write the detector as ONNX.

    Args:
        nhwc: channels last.
        batch: fixed batch size; dynamic by default.
        head: ``yolov8`` ``(n, 5, 64)``, ``end2end`` ``(n, 64, 6)`` or ``unknown`` ``(n, 64)``.
        units: of the boxes, ``pixels`` or ``unit``.
        shift_px: moves every box to the right: a model that answers wrongly.
    """
    from onnx import TensorProto, helper, numpy_helper

    grid = (np.arange(CELLS) + 0.5) * CELL_PX
    x, y = np.meshgrid(grid, grid)
    centre = np.stack([x.ravel() + shift_px, y.ravel()])
    half = np.full_like(centre, CELL_PX / 2)
    scale = SIDE if units == "unit" else 1.0
    if head == "end2end":
        boxes = np.concatenate([centre - half, centre + half]).T / scale  # (64, 4)
        boxes = boxes[None]
    else:
        boxes = np.concatenate([centre, 2 * half])[None] / scale  # (1, 4, 64)
    constants = {
        "boxes": boxes.astype(np.float32),
        "zero": np.zeros(1, np.float32),
        "flat": np.array([0, 1, CELLS * CELLS] if head != "end2end" else [0, CELLS * CELLS, 1]),
    }
    nodes = [
        helper.make_node("Transpose", ["images"], ["planar"], perm=[0, 3, 1, 2])
        if nhwc
        else helper.make_node("Identity", ["images"], ["planar"]),
        helper.make_node(
            "AveragePool", ["planar"], ["cells"], kernel_shape=[CELL_PX] * 2, strides=[CELL_PX] * 2
        ),
        helper.make_node("ReduceMax", ["cells"], ["bright"], axes=[1], keepdims=1),
        helper.make_node("Reshape", ["bright", "flat"], ["score"]),
        helper.make_node("Mul", ["score", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "boxes"], ["placed"]),
    ]
    n: int | str = "n" if batch is None else batch
    count = CELLS * CELLS
    shape: list[int | str]
    if head == "yolov8":
        nodes.append(helper.make_node("Concat", ["placed", "score"], ["output"], axis=1))
        shape = [n, 5, count]
    elif head == "end2end":
        parts = ["placed", "score", "nothing"]
        nodes.append(helper.make_node("Concat", parts, ["output"], axis=2))
        shape = [n, count, 6]
    else:
        nodes.append(helper.make_node("Flatten", ["score"], ["output"], axis=1))
        shape = [n, count]
    size = [SIDE, SIDE, 3] if nhwc else [3, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "tiny-detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [n, *size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return _save(graph, path)


def write_tower(path: Path, *, kind: str = "colours", noise: float = 0.0) -> Path:
    """Write the tower as ONNX: ``colours``, ``collapsed`` (one constant answer) or ``nan``.

    ``noise`` changes the weights a little, as another precision would.
    """
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(5)
    weights = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
    weights = weights + noise * rng.standard_normal(weights.shape)
    bias = np.full(DIM, 0.05)
    if kind == "collapsed":
        weights, bias = weights * 0, rng.standard_normal(DIM)
    if kind == "nan":
        bias = np.full(DIM, np.nan)
    pool = CROP // 2
    nodes = [
        helper.make_node(
            "AveragePool", ["crops"], ["pooled"], kernel_shape=[pool] * 2, strides=[pool] * 2
        ),
        helper.make_node("Flatten", ["pooled"], ["colours"], axis=1),
        helper.make_node("Gemm", ["colours", "weights", "bias"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny-tower",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, CROP, CROP])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    return _save(graph, path)


def _save(graph: Any, path: Path) -> Path:
    import onnx
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


# -------------------------------------------------------------------------------------- bundles


def bundle_parts(folder: Path, **changes: Any) -> BundleParts:
    """What ``pack`` needs for the tiny bundle; its models are written into ``folder``."""
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "licence": "CC0-1.0",
        "detector": detector_spec(),
        "tower": tower_spec(),
        "files": {
            "detector.onnx": folder / "detector.onnx",
            "tower.onnx": folder / "tower.onnx",
        },
        "decision": {"fp32": OperatingPoint(similarity=0.9, margin=0.05, measured="by design")},
        "crops": [np.full((24, 16, 3), colour, np.uint8) for colour in COLOURS.values()],
        "scene": squares(SHELF),
        "card": "# tiny\n\nMade by the tests.\n",
    }
    if not changes.get("files"):
        write_detector(folder / "detector.onnx")
        write_tower(folder / "tower.onnx")
    return BundleParts(**{**values, **changes})


def write_bundle(out: Path, **changes: Any) -> Bundle:
    """Pack the tiny bundle into ``out``; ``changes`` are fields of ``BundleParts``."""
    return pack(bundle_parts(out.parent / f"{out.name}-models", **changes), out)


def write_detector_bundle(
    out: Path, spec_changes: Mapping[str, Any] | None = None, **model: Any
) -> Bundle:
    """The tiny bundle with another detector; ``model`` are options of ``write_detector``."""
    models = out.parent / f"{out.name}-models"
    files = {
        "detector.onnx": write_detector(models / "detector.onnx", **model),
        "tower.onnx": write_tower(models / "tower.onnx"),
    }
    return write_bundle(out, files=files, detector=detector_spec(**dict(spec_changes or {})))


def write_two_precisions(out: Path, noise: float = 0.01) -> Bundle:
    """The tiny bundle with an fp32 tower for GPUs and another, slightly different one for the CPU."""
    models = out.parent / f"{out.name}-models"
    files = {
        "detector.onnx": write_detector(models / "detector.onnx"),
        "tower.onnx": write_tower(models / "tower.onnx"),
        "tower.int8.onnx": write_tower(models / "tower.int8.onnx", noise=noise),
    }
    variants = (
        Variant(file="tower.onnx", precision="fp32", providers=("cuda", "tensorrt")),
        Variant(file="tower.int8.onnx", precision="int8", providers=("cpu", "openvino")),
    )
    point = OperatingPoint(similarity=0.9, margin=0.05, measured="by design")
    decision: dict[Precision, OperatingPoint] = {"fp32": point, "int8": point}
    return write_bundle(out, files=files, tower=tower_spec(variants=variants), decision=decision)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a bundle's manifest in place, as an attacker or a tired colleague would."""
    path = folder / MANIFEST
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def reseal(folder: Path) -> None:
    """Write the checksums of the files as they are now into the manifest."""
    files = {
        p.relative_to(folder).as_posix(): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != MANIFEST
    }
    edit_manifest(folder, lambda data: data.update(files=files))


# ---------------------------------------------------------------------------------------- fakes


@dataclass
class FakeSession:
    """A ``Session`` that answers with ``answer(batch)`` and remembers the shapes that it was given."""

    answer: Callable[[F32], npt.NDArray[Any]]
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    provider: str = "fake"
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def signature(self) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
        return (
            TensorSpec("in", self.input_shape, "tensor(float)"),
            (TensorSpec("out", self.output_shape, "tensor(float)"),),
        )

    def run(self, batch: F32) -> list[npt.NDArray[Any]]:
        self.shapes.append(batch.shape)
        return [self.answer(batch)]


def tower_session(answer: Callable[[F32], npt.NDArray[Any]] | None = None) -> FakeSession:
    """A tower whose embedding is the crop's mean colour, repeated."""

    def mean_colour(batch: F32) -> F32:
        return np.tile(batch.mean(axis=(2, 3)) + np.float32(1e-3), (1, DIM // 3))

    return FakeSession(answer or mean_colour, (None, 3, CROP, CROP), (None, DIM))


def detector_session(
    answer: Callable[[F32], npt.NDArray[Any]],
    *,
    batch: int | None = None,
    input_wh: tuple[int, int] = (SIDE, SIDE),
    output: tuple[int | None, ...] = (None, 5, None),
) -> FakeSession:
    """A detector with a YOLOv8 head that answers as it is told."""
    return FakeSession(answer, (batch, 3, input_wh[1], input_wh[0]), output)


class BlobDetector:
    """Answers, like a trained detector, with bright blobs on black whose size it knows.

    A blob is a facing when the square root of its area is within ``range_px`` of the input. Blobs
    are separated by dark pixels; grey padding is dark enough.
    """

    def __init__(self, range_px: tuple[float, float], anchors: int = 512) -> None:
        self._range = range_px
        self._anchors = anchors

    def __call__(self, batch: F32) -> F32:
        out = np.zeros((len(batch), 5, self._anchors), np.float32)
        for picture, rows in zip(batch, out, strict=True):
            mask = (picture.max(axis=0) > 0.6).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
            at = 0
            for x, y, w, h, _ in stats[1:]:
                if self._range[0] <= np.sqrt(w * h) <= self._range[1] and at < self._anchors:
                    rows[:, at] = (x + w / 2, y + h / 2, w, h, 0.9)
                    at += 1
        return out
