from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError, InferenceError
from edge.manifest import Variant
from edge.vision import session, tensorrt
from edge.vision.binding import DeviceBinding
from edge.vision.session import ORT_NAMES, OrtSession, SessionOptions, open_session
from export.pack import single_variant
from tests.factories import CROP, DIM, write_tower

ONE = single_variant("m.onnx")


class FakeOrt:
    """Stands for the onnxruntime module: what is built in, and what a session really runs on."""

    def __init__(
        self,
        built: Sequence[str],
        runs: dict[str, str] | None = None,
        broken: Sequence[str] = (),
        shape: Sequence[int | str] = ("n", 3, 8, 8),
        builds_engine: bool = False,
    ) -> None:
        self.built = [ORT_NAMES[name] for name in built]
        self.runs = {ORT_NAMES[k]: ORT_NAMES[v] for k, v in (runs or {}).items()}
        self.broken = [ORT_NAMES[name] for name in broken]
        self.shape = list(shape)
        self.builds_engine = builds_engine
        self.opened: list[tuple[Any, ...]] = []
        self.preloaded = 0
        outer = self

        class SessionOptions:
            intra_op_num_threads = 0
            inter_op_num_threads = 0
            log_severity_level = 2

            def __init__(self) -> None:
                self.entries: dict[str, str] = {}

            def add_session_config_entry(self, key: str, value: str) -> None:
                self.entries[key] = value

        class InferenceSession:
            def __init__(self, path: str, settings: Any, providers: list[Any]) -> None:
                outer.opened.append((path, settings, providers))
                first = providers[0] if isinstance(providers[0], str) else providers[0][0]
                if first in outer.broken:
                    raise RuntimeError(f"{first}: library not found\nand much more")
                if outer.builds_engine and first == ORT_NAMES["tensorrt"]:
                    folder = Path(providers[0][1]["trt_engine_cache_path"])
                    (folder / "one.engine").write_bytes(b"engine")
                self.actual = outer.runs.get(first, first)

            def disable_fallback(self) -> None:
                pass

            def get_providers(self) -> list[str]:
                return [self.actual, ORT_NAMES["cpu"]]

            def get_inputs(self) -> list[Any]:
                return [SimpleNamespace(name="x", shape=outer.shape, type="tensor(float)")]

            def get_outputs(self) -> list[Any]:
                return [SimpleNamespace(name="y", shape=["n", 4], type="tensor(float)")]

        self.SessionOptions = SessionOptions
        self.InferenceSession = InferenceSession

    def get_available_providers(self) -> list[str]:
        return self.built

    def preload_dlls(self) -> None:
        self.preloaded += 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.onnx").write_bytes(b"a model")
    return tmp_path


def install(monkeypatch: pytest.MonkeyPatch, fake: FakeOrt) -> FakeOrt:
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake


# ----------------------------------------------------------------------------- choice of provider


def test_a_provider_that_is_not_installed_is_an_error_with_what_is(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    install(monkeypatch, FakeOrt(["openvino", "cpu"]))
    with pytest.raises(
        InferenceError,
        match=r"provider cuda is not in the installed onnxruntime \(it has openvino, cpu\)",
    ):
        open_session(folder, ONE, "cuda")


def test_an_unknown_provider_is_a_wrong_call(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"provider 'gpu' is not known \(choose auto, tensorrt"):
        open_session(folder, ONE, "gpu")


def test_a_silent_fallback_is_an_error_for_a_named_provider(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    install(monkeypatch, FakeOrt(["cuda", "cpu"], runs={"cuda": "cpu"}))
    with pytest.raises(
        InferenceError,
        match=r"m\.onnx: asked for provider cuda, but onnxruntime put CPUExecutionProvider",
    ):
        open_session(folder, ONE, "cuda")


def test_auto_takes_the_next_that_works_and_says_so(
    monkeypatch: pytest.MonkeyPatch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = install(
        monkeypatch,
        FakeOrt(["cuda", "openvino", "cpu"], runs={"cuda": "cpu"}, broken=["openvino"]),
    )
    with caplog.at_level(logging.WARNING):
        opened, variant = open_session(folder, ONE)
    assert opened.provider == "cpu"
    assert variant.file == "m.onnx"
    assert len(fake.opened) == 3
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("provider cuda does not work here: ")
    assert "openvino cannot load it: OpenVINOExecutionProvider: library not found" in lines[1]
    assert "and much more" not in lines[1]


def test_auto_is_content_with_the_best(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    fake = install(monkeypatch, FakeOrt(["openvino", "cpu"]))
    assert open_session(folder, ONE)[0].provider == "openvino"
    assert len(fake.opened) == 1
    assert fake.opened[0][2][-1] == ORT_NAMES["cpu"]


def test_each_provider_gets_its_own_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "i.onnx").write_bytes(b"another")
    variants = (
        Variant(file="m.onnx", precision="fp16", providers=("cuda",)),
        Variant(file="i.onnx", precision="int8", providers=("cpu",)),
    )
    fake = install(monkeypatch, FakeOrt(["cuda", "cpu"], broken=["cuda"]))
    opened, variant = open_session(folder, variants)
    assert (opened.provider, variant.precision) == ("cpu", "int8")
    assert [Path(o[0]).name for o in fake.opened] == ["m.onnx", "i.onnx"]


def test_no_file_for_a_provider_is_said(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    install(monkeypatch, FakeOrt(["openvino", "cpu"]))
    only = (Variant(file="m.onnx", precision="fp32", providers=("cpu",)),)
    with pytest.raises(InferenceError, match="openvino: the bundle has no file for it"):
        open_session(folder, only, "openvino")
    assert open_session(folder, only)[0].provider == "cpu"


def test_when_nothing_works_every_reason_is_given(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    install(monkeypatch, FakeOrt(["cuda", "cpu"], broken=["cuda", "cpu"]))
    with pytest.raises(InferenceError, match=r"cuda cannot load it.*; .*cpu cannot load it") as e:
        open_session(folder, ONE)
    assert "\n" not in str(e.value)


def test_without_onnxruntime_the_way_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InferenceError, match=r"pip install 'shelf-edge\[cpu\]'"):
        open_session(folder, ONE)


def test_the_runtime_keeps_no_database_at_home(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    home = tmp_path / "home"
    home.mkdir()
    model = write_tower(tmp_path / "m.onnx")
    inherited = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in inherited}
    script = (
        "import sys, time; from pathlib import Path; from edge.vision.session import open_session;"
        "from export.pack import single_variant;"
        "open_session(Path(sys.argv[1]), single_variant('m.onnx')); time.sleep(0.5)"
    )
    command = [sys.executable, "-c", script, str(model.parent)]
    subprocess.run(command, check=True, timeout=60, env={**env, "HOME": str(home)})
    assert list(home.rglob("*")) == []


def test_threads_follow_the_affinity_mask(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    fake = install(monkeypatch, FakeOrt(["cpu"]))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert session.available_threads() == 3
    open_session(folder, ONE)
    open_session(folder, ONE, "cpu", SessionOptions(threads=2))
    assert [o[1].intra_op_num_threads for o in fake.opened] == [3, 2]
    assert fake.opened[0][1].inter_op_num_threads == 1


# -------------------------------------------------------------------------------------- TensorRT


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "_platform_key", lambda: "sm9.0-580-trt101300")


@pytest.mark.usefixtures("platform")
def test_tensorrt_gets_cache_profile_and_half_precision(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    fake = install(monkeypatch, FakeOrt(["tensorrt", "cuda", "cpu"]))
    cache = folder / "cache"
    opened, _ = open_session(
        folder, ONE, "tensorrt", SessionOptions(cache=cache, batch_sizes=(1, 8, 4, 32, 16))
    )
    assert opened.provider == "tensorrt"
    assert fake.preloaded == 1
    chain = fake.opened[-1][2]
    assert [p if isinstance(p, str) else p[0] for p in chain] == [
        ORT_NAMES["tensorrt"],
        ORT_NAMES["cuda"],
        ORT_NAMES["cpu"],
    ]
    options = chain[0][1]
    assert options["trt_fp16_enable"] is True
    assert options["trt_engine_cache_enable"] is True
    assert options["trt_timing_cache_enable"] is True
    assert options["trt_profile_min_shapes"] == "x:1x3x8x8"
    assert options["trt_profile_opt_shapes"] == "x:8x3x8x8"
    assert options["trt_profile_max_shapes"] == "x:32x3x8x8"
    path = Path(options["trt_engine_cache_path"])
    assert path.is_dir()
    assert path.parent == cache / "tensorrt"
    assert path.name.endswith("sm9.0-580-trt101300")


@pytest.mark.usefixtures("platform")
def test_an_engine_of_another_model_or_machine_is_never_met(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def key() -> str:
        options = tensorrt.tensorrt_options(folder / "m.onnx", "x", (None, 3, 8, 8), (1,), folder)
        return str(options["trt_engine_cache_path"])

    first = key()
    assert key() == first
    (folder / "m.onnx").write_bytes(b"retrained")
    second = key()
    monkeypatch.setattr(tensorrt, "_platform_key", lambda: "sm8.7-540-trt101300")
    assert len({first, second, key()}) == 3


@pytest.mark.usefixtures("platform")
def test_a_fixed_batch_needs_no_profile(folder: Path) -> None:
    options = tensorrt.tensorrt_options(folder / "m.onnx", "x", (1, 3, 8, 8), (1, 4), folder)
    assert not [name for name in options if "profile" in name]


@pytest.mark.usefixtures("platform")
def test_other_open_sizes_are_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    install(monkeypatch, FakeOrt(["tensorrt", "cpu"], shape=("n", 3, "h", "w")))
    with pytest.raises(InferenceError, match=r"m\.onnx: TensorRT needs fixed sizes") as caught:
        open_session(folder, ONE, "tensorrt", SessionOptions(cache=folder))
    assert str(caught.value).count("m.onnx") == 1


@pytest.mark.usefixtures("platform")
def test_a_build_is_announced_and_its_end_too_but_only_once(
    monkeypatch: pytest.MonkeyPatch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, FakeOrt(["tensorrt", "cuda", "cpu"], builds_engine=True))
    with caplog.at_level(logging.WARNING):
        open_session(folder, ONE, "tensorrt", SessionOptions(cache=folder))
    before, after = (record.getMessage() for record in caplog.records)
    assert before.startswith("building a TensorRT engine for m.onnx into ")
    assert after.startswith("TensorRT engine for m.onnx built in ")
    caplog.clear()
    open_session(folder, ONE, "tensorrt", SessionOptions(cache=folder))
    assert caplog.records == []


def test_the_platform_key_survives_a_machine_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tensorrt._platform_key().startswith("smgpu-unknown-trt")
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '8.7, 540.4.0'\n")
    smi.chmod(0o755)
    assert tensorrt._platform_key().startswith("sm8.7-540.4.0-trt")


def test_the_cache_follows_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tensorrt.default_cache() == tmp_path / "shelf-edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert tensorrt.default_cache() == Path.home() / ".cache" / "shelf-edge"


# ----------------------------------------------------------------------------- the real runtime


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return write_tower(tmp_path_factory.mktemp("tower") / "m.onnx")


def batch(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 3, CROP, CROP), np.float32)


def test_a_model_runs_and_is_described(tower: Path) -> None:
    opened, _ = open_session(tower.parent, ONE, "cpu")
    given, outputs = opened.signature
    assert (given.name, given.shape) == ("crops", (None, 3, CROP, CROP))
    assert [o.shape for o in outputs] == [(None, DIM)]
    (answer,) = opened.run(batch(3))
    assert answer.shape == (3, DIM)
    np.testing.assert_allclose(np.linalg.norm(answer, axis=1), 1, atol=1e-5)


def test_a_batch_that_does_not_fit_is_named(tower: Path) -> None:
    opened = OrtSession(tower, "cpu", SessionOptions())
    with pytest.raises(
        InferenceError, match=r"m\.onnx: cpu failed on a batch of shape \(1, 3, 9, 9\)"
    ) as caught:
        opened.run(np.zeros((1, 3, 9, 9), np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09" * 500])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(InferenceError, match=r"m\.onnx: cpu cannot load it: ") as caught:
        OrtSession(path, "cpu", SessionOptions())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["two inputs", "integer input"])
def test_models_of_another_kind_are_named(tmp_path: Path, kind: str) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    element = TensorProto.INT64 if kind == "integer input" else TensorProto.FLOAT
    names = ["a", "b"] if kind == "two inputs" else ["a", "a"]
    graph = helper.make_graph(
        [helper.make_node("Add", names, ["c"])],
        "g",
        [helper.make_tensor_value_info(n, element, [1]) for n in sorted(set(names))],
        [helper.make_tensor_value_info("c", element, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(InferenceError, match=r"m\.onnx: .*input"):
        OrtSession(tmp_path / "m.onnx", "cpu", SessionOptions())


def test_bound_buffers_answer_as_a_plain_run_does(tower: Path) -> None:
    import onnxruntime

    raw = onnxruntime.InferenceSession(str(tower), providers=["CPUExecutionProvider"])
    binding = DeviceBinding(onnxruntime, raw, "cpu")
    for n, seed in ((4, 0), (1, 1), (4, 2), (1, 3), (4, 4)):
        pixels = batch(n, seed)
        (expected,) = raw.run(None, {"crops": pixels})
        (answer,) = binding.run(pixels)
        np.testing.assert_allclose(answer, expected, atol=1e-6)
    assert sorted(shape[0] for shape in binding._bound) == [1, 4]  # one set of buffers a shape


def test_an_answer_from_bound_buffers_is_not_overwritten_by_the_next(tower: Path) -> None:
    import onnxruntime

    raw = onnxruntime.InferenceSession(str(tower), providers=["CPUExecutionProvider"])
    binding = DeviceBinding(onnxruntime, raw, "cpu")
    first = binding.run(batch(2, 0))[0]
    kept = first.copy()
    binding.run(batch(2, 1))
    np.testing.assert_array_equal(first, kept)


def test_bound_buffers_take_a_view(tower: Path) -> None:
    import onnxruntime

    raw = onnxruntime.InferenceSession(str(tower), providers=["CPUExecutionProvider"])
    pixels = batch(4)[::2]
    (expected,) = raw.run(None, {"crops": np.ascontiguousarray(pixels)})
    np.testing.assert_allclose(
        DeviceBinding(onnxruntime, raw, "cpu").run(pixels)[0], expected, atol=1e-6
    )
