from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("faster_coco_eval")
pytest.importorskip("onnxruntime.quantization")

from edge.errors import BundleError, ConfigError  # noqa: E402
from export.activations import largest_activation  # noqa: E402
from export.cli import app  # noqa: E402
from export.detector_evaluation import open_detector, read_photos  # noqa: E402
from export.detector_precision import decoding_nodes, judge, write_precision  # noqa: E402
from tests.export.test_detector_evaluation import write_shelves  # noqa: E402
from tests.factories import SIDE, write_detector  # noqa: E402


def write_deep(path: Path, gain: float = 2.0) -> Path:
    """The tiny detector behind three convolutions: times ``gain``, as it is, and back."""
    from onnx import helper, numpy_helper

    model = onnx.load(str(write_detector(path)))
    nodes, given = list(model.graph.node), "images"
    nodes[0].input[0] = "back"
    scales = {"loud": gain, "same": 1.0, "back": 1.0 / gain}
    for name, scale in scales.items():
        weight = (np.eye(3) * scale).astype(np.float32).reshape(3, 3, 1, 1)
        model.graph.initializer.append(numpy_helper.from_array(weight, f"{name}-weight"))
        zero = np.zeros(3, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(zero, f"{name}-bias"))
        inputs = [given, f"{name}-weight", f"{name}-bias"]
        model.graph.node.append(helper.make_node("Conv", inputs, [name], name=f"conv-{name}"))
        given = name
    convolutions = list(model.graph.node)[-3:]
    del model.graph.node[:]
    for number, node in enumerate(nodes):
        node.name = f"decode-{number}"
    model.graph.node.extend([*convolutions, *nodes])
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shelves(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shelves(tmp_path_factory.mktemp("others"))


def test_the_decoding_ends_at_the_last_convolutions(tmp_path: Path) -> None:
    path = write_deep(tmp_path / "d.onnx")
    names = set(decoding_nodes(path))
    assert names == {f"decode-{n}" for n in range(7)}
    assert set(decoding_nodes(path, with_last=True)) - names == {"conv-back"}


def test_both_precisions_are_written_and_measured(
    gate: Path, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out.onnx"
    call = ["detector", str(write_deep(tmp_path / "d.onnx")), "--out", str(out), "--fp16", "--int8"]
    call += ["--evaluate", str(gate), "--calibrate", str(others), "--json"]
    app(call, standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert set(told["written"]) == {"fp32", "fp16", "int8"}
    assert told["gates"]["int8"]["ap_int8"] == pytest.approx(told["gates"]["int8"]["ap_fp32"])
    for name in ("fp16", "int8"):
        gate_values = told["gates"][name]
        assert gate_values["ap_loss"] == pytest.approx(0, abs=1e-3)
        assert gate_values["speed_up"] > 0
        assert told["told"][name].startswith(
            "AP 1.000 -> 1.000 (loss +0.0000), AP50 1.000 -> 1.000"
        )
        assert told["told"][name].endswith("times as fast as fp32 on this CPU")
    assert told["gates"]["fp16"]["max_activation"] == pytest.approx(2.0)
    kinds = {t.data_type for t in onnx.load(told["written"]["fp16"]).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    ops = [n.op_type for n in onnx.load(told["written"]["int8"]).graph.node]
    assert "QuantizeLinear" in ops


def test_an_overflow_that_the_cpu_hides_fails_the_gate(gate: Path, tmp_path: Path) -> None:
    photos = read_photos(gate)
    loud = open_detector(write_deep(tmp_path / "d.onnx", gain=2.0**16), photos)
    with pytest.raises(BundleError, match=r"exceeds the range of FP16"):
        write_precision(loud, tmp_path / "h.onnx", "fp16", gate=photos)
    model = onnx.load(str(loud.path))
    for tensor in model.graph.initializer:  # the same gain in two steps that a half can hold
        if tensor.name in ("loud-weight", "same-weight"):
            value = (np.eye(3) * 2.0**8).astype(np.float32).reshape(3, 3, 1, 1)
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save(model, str(loud.path))
    with pytest.raises(BundleError, match=r"activation of 6\.554e\+04 \(conv-same\) overflows"):
        write_precision(loud, tmp_path / "h.onnx", "fp16", gate=photos)
    assert not (tmp_path / "h.onnx").exists()


def test_a_form_that_finds_other_boxes_fails_the_gate(gate: Path, tmp_path: Path) -> None:
    photos = read_photos(gate)
    full = open_detector(write_detector(tmp_path / "a.onnx"), photos)
    moved = open_detector(write_detector(tmp_path / "b.onnx", shift_px=2.0), photos)
    report = judge(full, moved, "int8", photos)
    assert len(report.failures) == 1
    assert "AP falls from 1.0000" in report.failures[0]
    assert report.values["ap_loss"] == report.values["ap_fp32"] - report.values["ap_int8"] > 0.1
    assert judge(full, full, "int8", photos).failures == ()


def test_the_gate_needs_other_photos_than_the_calibration(gate: Path, tmp_path: Path) -> None:
    photos = read_photos(gate)
    opened = open_detector(write_deep(tmp_path / "d.onnx"), photos)
    with pytest.raises(ConfigError, match="calibrates INT8 and would also judge"):
        write_precision(opened, tmp_path / "q.onnx", "int8", gate=photos, calibration=photos)
    with pytest.raises(ConfigError, match="needs photos to calibrate"):
        write_precision(opened, tmp_path / "q.onnx", "int8", gate=photos)
    with pytest.raises(ConfigError, match="--evaluate with photos"):
        app(["detector", str(opened.path), "--out", "x.onnx", "--fp16"], standalone_mode=False)


def test_activations_are_recorded_outside_the_islands_only(tmp_path: Path) -> None:
    path = write_deep(tmp_path / "d.onnx", gain=500.0)
    ones = np.ones((5, 3, SIDE, SIDE), np.float32)
    largest, node = largest_activation(path, ones, nodes=decoding_nodes(path))
    assert (largest, node) == (pytest.approx(500.0), "conv-loud")
    left = largest_activation(path, ones, islands=("Conv",), nodes=decoding_nodes(path))
    assert left == (0.0, "")
    assert largest_activation(path, ones * np.inf)[0] == float("inf")
