from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import MANIFEST, Bundle
from edge.errors import BundleError, ConfigError, EdgeError, InferenceError
from edge.manifest import OperatingPoint, Precision, ScalePolicy
from edge.pipeline import Models
from export.pack import pack
from export.pack_command import PackRequest, run_pack
from export.variants import variants
from tests.conftest import ROOT
from tests.factories import (
    CROP,
    DIM,
    FINGERPRINT,
    SHELF,
    bundle_parts,
    detector_spec,
    squares,
    tower_spec,
    write_bundle,
    write_detector,
    write_picture,
    write_tower,
)

pytest.importorskip("onnx")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def only(folder: Path, *names: str) -> bool:
    """Nothing was left behind beside what is expected."""
    return {p.name for p in folder.iterdir()} == set(names)


def test_a_bundle_is_whole_and_alone(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b")
    assert only(tmp_path, "b", "b-models")
    assert set(tree(bundle.path)) == {*bundle.manifest.files, MANIFEST}
    assert bundle.path.stat().st_mode & 0o777 == 0o755
    golden = json.loads((bundle.path / "canary" / "golden.json").read_text())
    assert len(golden["embeddings"]["fp32"]) == 4
    assert len(golden["boxes"]["fp32"]) == len(SHELF)
    spec = bundle.manifest.canary
    assert 0 < spec.min_spread < Models.open(bundle, provider="cpu").canary.spread


def test_the_same_parts_make_the_same_bundle(tmp_path: Path) -> None:
    assert tree(write_bundle(tmp_path / "a").path) == tree(write_bundle(tmp_path / "b").path)


def test_a_bundle_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "b")
    second = write_bundle(tmp_path / "b", version="2")
    assert first.bundle_id != second.bundle_id
    assert Bundle.load(tmp_path / "b").manifest.version == "2"
    assert only(tmp_path, "b", "b-models")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match=r"mine/manifest\.json: missing"):
        write_bundle(mine)
    assert tree(mine) == {"thesis.txt": b"years of work"}
    assert only(tmp_path, "b", "b-models", "mine", "mine-models")


def with_tower(folder: Path, kind: str) -> dict[str, Any]:
    return {
        "files": {
            "detector.onnx": write_detector(folder / "detector.onnx"),
            "tower.onnx": write_tower(folder / "tower.onnx", kind=kind),
        }
    }


def with_detector(folder: Path, **model: Any) -> dict[str, Any]:
    return {
        "files": {
            "detector.onnx": write_detector(folder / "detector.onnx", **model),
            "tower.onnx": write_tower(folder / "tower.onnx"),
        }
    }


WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], type[EdgeError], str]] = {
    "a file that is missing": (
        lambda f: {"files": {"tower.onnx": f / "gone.onnx"}},
        ConfigError,
        "gone.onnx: no such file",
    ),
    "a collapsed tower": (
        lambda f: with_tower(f, "collapsed"),
        BundleError,
        "embeddings have collapsed",
    ),
    "a tower without answers": (
        lambda f: with_tower(f, "nan"),
        InferenceError,
        "tower.onnx: tower on cpu gave NaN",
    ),
    "a tower of another dimension": (
        lambda f: {"tower": tower_spec(dim=7)},
        BundleError,
        "tower.onnx: tower output must be",
    ),
    "a detector of another head": (
        lambda f: with_detector(f, head="unknown"),
        BundleError,
        "detector.onnx: detector output must be",
    ),
    "a detector that finds nothing": (
        lambda f: {"scene": np.zeros((64, 64, 3), np.uint8)},
        BundleError,
        "detector.onnx: the detector finds nothing",
    ),
    "one crop": (
        lambda f: {"crops": [np.zeros((8, 8, 3), np.uint8)]},
        ConfigError,
        "two product pictures",
    ),
    "a name with spaces": (lambda f: {"name": "My Bundle"}, ConfigError, "name: "),
    "no operating point": (lambda f: {"decision": {}}, ConfigError, "operating point for fp32"),
    "a tolerance out of range": (
        lambda f: {"min_cosine": {"fp32": 1.5}},
        ConfigError,
        "min_cosine.fp32: ",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    change, error, words = WRONG[kind]
    parts = bundle_parts(tmp_path / "models", **change(tmp_path / "models"))
    out = tmp_path / "out" / "b"
    with pytest.raises(error) as caught:
        pack(parts, out)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert not out.parent.exists() or only(out.parent)


def test_a_failed_pack_leaves_the_old_bundle(tmp_path: Path) -> None:
    old = tree(write_bundle(tmp_path / "b").path)
    with pytest.raises(BundleError, match="collapsed"):
        write_bundle(tmp_path / "b", **with_tower(tmp_path / "m", "collapsed"))
    assert tree(tmp_path / "b") == old


def test_a_swap_that_breaks_off_brings_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tree(write_bundle(tmp_path / "b").path)
    real = os.replace
    calls = []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(tmp_path / "b", version="2")
    monkeypatch.undo()
    assert tree(tmp_path / "b") == old
    assert only(tmp_path, "b", "b-models")


# ------------------------------------------------------------------------------- the command


def request(tiny_bundle: Path, tmp_path: Path, **changes: Any) -> PackRequest:
    values: dict[str, Any] = {
        "out": tmp_path / "new",
        "name": "theirs",
        "version": "3",
        "base": tiny_bundle,
    }
    return PackRequest(**{**values, **changes})


def their_detector(tmp_path: Path, **model: Any) -> dict[str, Any]:
    return {
        "detector": (write_detector(tmp_path / "theirs.onnx", **model),),
        "detector_licence": "MIT",
        "detector_source": "somebody",
    }


@pytest.mark.parametrize(
    "model", [{}, {"nhwc": True, "batch": 1}, {"head": "end2end", "units": "unit"}]
)
def test_a_detector_by_others_needs_no_code(
    tiny_bundle: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    bundle = run_pack(
        request(
            tiny_bundle,
            tmp_path,
            **their_detector(tmp_path, **model),
            confidence=0.6,
            facing_px=(4.0, 24.0),
        )
    )
    assert bundle.manifest.name == "theirs"
    assert bundle.manifest.detector.provenance.licence == "MIT"
    assert bundle.manifest.detector.max_det >= 1000
    base = Bundle.load(tiny_bundle).manifest
    assert bundle.manifest.tower == base.tower  # galleries stay usable
    assert bundle.manifest.decision == base.decision
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert "theirs.onnx; somebody; licence MIT" in card
    assert "Made by the tests" in card
    assert Models.open(bundle, provider="cpu").canary.box_agreement == 1.0


def in_eight_bits(path: Path, **model: Any) -> Path:
    """The tiny detector with its scores stored in eight bits and read back."""
    import onnx
    from onnx import helper, numpy_helper

    loaded = onnx.load(str(write_detector(path, **model)))
    graph = loaded.graph
    graph.initializer.append(numpy_helper.from_array(np.float32(1 / 255), "step"))
    graph.initializer.append(numpy_helper.from_array(np.uint8(0), "origin"))
    bright = next(n for n in graph.node if n.output[0] == "bright")
    bright.output[0] = "exact"
    at = list(graph.node).index(bright) + 1
    for op, given, result in (
        ("DequantizeLinear", "small", "bright"),
        ("QuantizeLinear", "exact", "small"),
    ):
        graph.node.insert(at, helper.make_node(op, [given, "step", "origin"], [result]))
    onnx.save(loaded, str(path))
    return path


def in_halves(path: Path, **model: Any) -> Path:
    from export.fp16 import write_fp16

    write_fp16(write_detector(path, **model), path)
    return path


def three_forms(folder: Path) -> dict[str, Any]:
    files = (
        in_eight_bits(folder / "a.int8.onnx"),
        write_detector(folder / "a.onnx"),
        in_halves(folder / "a.fp16.onnx"),
    )
    return {"detector": files, "detector_licence": "MIT", "detector_source": "somebody"}


def test_a_detector_brings_its_precisions(tiny_bundle: Path, tmp_path: Path) -> None:
    changes = three_forms(tmp_path)
    bundle = run_pack(request(tiny_bundle, tmp_path, **changes, confidence=0.6))
    forms = {v.precision: (v.file, v.providers) for v in bundle.manifest.detector.variants}
    assert forms == {
        "fp32": ("detector.onnx", ("openvino",)),
        "fp16": ("detector.fp16.onnx", ("tensorrt", "cuda")),
        "int8": ("detector.int8.onnx", ("cpu",)),
    }
    for path, name in zip(
        changes["detector"], ("detector.int8.onnx", "detector.onnx", "detector.fp16.onnx"),
        strict=True,
    ):  # fmt: skip
        assert (bundle.path / name).read_bytes() == path.read_bytes()
    golden = json.loads((bundle.path / "canary" / "golden.json").read_text())
    assert set(golden["boxes"]) == {"fp32", "fp16", "int8"}
    models = Models.open(bundle, provider="cpu")
    assert (models.detector_precision, models.tower_precision) == ("int8", "fp32")
    assert models.canary.box_agreement == 1.0
    again = run_pack(request(bundle.path, tmp_path, out=tmp_path / "again", confidence=0.7))
    assert again.manifest.detector.variants == bundle.manifest.detector.variants


@pytest.mark.parametrize(
    ("names", "use"),
    [
        (("int8",), {"int8": {"tensorrt", "cuda", "openvino", "cpu"}}),
        (("fp16", "fp32"), {"fp16": {"tensorrt", "cuda"}, "fp32": {"openvino", "cpu"}}),
        (("fp32", "int8"), {"fp32": {"tensorrt", "cuda"}, "int8": {"openvino", "cpu"}}),
        (("fp16", "int8"), {"fp16": {"tensorrt", "cuda"}, "int8": {"openvino", "cpu"}}),
        (
            ("fp16", "fp32", "int8"),
            {"fp16": {"tensorrt", "cuda"}, "fp32": {"openvino"}, "int8": {"cpu"}},
        ),
    ],
)
def test_every_provider_uses_one_file_and_every_file_is_used(
    names: tuple[Precision, ...], use: dict[str, set[str]]
) -> None:
    made = variants({name: f"{name}.onnx" for name in names})
    assert {v.precision: set(v.providers) for v in made} == use


def test_thresholds_alone_can_be_changed(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = run_pack(
        request(
            tiny_bundle,
            tmp_path,
            confidence=0.7,
            iou=0.4,
            facing_px=(5.0, 30.0),
            similarity=0.8,
            margin=0.1,
            measured="on my shelf",
        )
    )
    spec = bundle.manifest.detector
    assert (spec.confidence, spec.iou, spec.scale.facing_px) == (0.7, 0.4, (5.0, 30.0))
    assert spec.scale.max_tiles == 16  # the rest of the base's policy
    assert bundle.manifest.decision["fp32"] == OperatingPoint(
        similarity=0.8, margin=0.1, measured="on my shelf"
    )


def described_tower(folder: Path, **changes: Any) -> Path:
    """``tower.json`` as the tower's export writes it, with its files beside it."""
    folder.mkdir(exist_ok=True)
    write_tower(folder / "t.onnx")
    write_tower(folder / "t8.onnx", noise=0.01)
    about: dict[str, Any] = {
        "dim": DIM,
        "fingerprint": "ab" * 16,
        "files": {"fp32": "t.onnx", "int8": "t8.onnx"},
        "preprocessing": {
            "size": CROP,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "resize": "stretch",
        },
        "start": {"model": "tiny", "weights": "none", "licence": "CC0-1.0"},
    }
    (folder / "tower.json").write_text(json.dumps({**about, **changes}))
    return folder / "tower.json"


def test_a_new_tower_brings_its_precisions(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = run_pack(
        request(
            tiny_bundle,
            tmp_path,
            tower=described_tower(tmp_path / "t"),
            tower_licence="apache-2.0 and MIT",
            similarity=0.7,
        )
    )
    tower = bundle.manifest.tower
    assert tower.fingerprint == "ab" * 16 != FINGERPRINT
    assert tower.provenance.licence == "apache-2.0 and MIT"
    providers = {v.precision: v.providers for v in tower.variants}
    assert providers == {"fp32": ("tensorrt", "cuda"), "int8": ("openvino", "cpu")}
    assert set(bundle.manifest.decision) == {"fp32", "int8"}
    assert Models.open(bundle, provider="cpu").tower_precision == "int8"


def test_pictures_of_ones_own_become_the_canary(tiny_bundle: Path, tmp_path: Path) -> None:
    scene = write_picture(tmp_path / "scene.png", squares({(0, 0): (255, 255, 255)}))
    crops = tuple(
        write_picture(tmp_path / f"{i}.png", np.full((9, 9, 3), colour, np.uint8))
        for i, colour in enumerate([(255, 0, 0), (0, 255, 0)])
    )
    (tmp_path / "card.md").write_text("# mine\n")
    bundle = run_pack(
        request(tiny_bundle, tmp_path, scene=scene, crops=crops, card=tmp_path / "card.md")
    )
    assert len(bundle.manifest.canary.crops) == 2
    assert (bundle.path / "MODEL_CARD.md").read_text() == "# mine\n"


def beside(folder: Path, other: Callable[[Path], Path]) -> dict[str, Any]:
    files = (write_detector(folder / "a.onnx"), other(folder / "b.onnx"))
    return {"detector": files, "detector_licence": "MIT", "detector_source": "somebody"}


REFUSED: dict[str, tuple[Callable[[Path], dict[str, Any]], type[EdgeError], str]] = {
    "detector without licence": (
        lambda f: {"detector": (write_detector(f / "d.onnx"),)},
        ConfigError,
        "--detector needs --detector-licence and --detector-source",
    ),
    "detector of unknown shape": (
        lambda f: their_detector(f, head="unknown"),
        BundleError,
        "theirs.onnx: output (1, 64) is neither",
    ),
    "detector that is missing": (
        lambda f: {"detector": (f / "no.onnx",), "detector_licence": "x", "detector_source": "y"},
        ConfigError,
        "no.onnx: no such file",
    ),
    "two detectors of one precision": (
        lambda f: beside(f, write_detector),
        ConfigError,
        "both are fp32",
    ),
    "a precision with another head": (
        lambda f: beside(f, lambda p: in_eight_bits(p, head="end2end")),
        BundleError,
        "b.onnx: head end2end, input 64x64 nchw, boxes xyxy in pixels, but",
    ),
    "a precision with another input": (
        lambda f: beside(f, lambda p: in_halves(p, nhwc=True)),
        BundleError,
        "b.onnx: head yolov8, input 64x64 nhwc",
    ),
    "a precision of another detector": (
        lambda f: beside(f, lambda p: in_eight_bits(p, shift_px=3.0)),
        BundleError,
        "b.onnx: not the detector of",
    ),
    "a second precision that is missing": (
        lambda f: beside(f, lambda p: p),
        ConfigError,
        "b.onnx: no such file",
    ),
    "a second precision that is no model": (
        lambda f: beside(f, lambda p: Path(shutil.copy(__file__, p))),
        BundleError,
        "b.onnx: not an ONNX model",
    ),
    "confidence out of range": (lambda f: {"confidence": 7.0}, ConfigError, "confidence: "),
    "facing sizes in the wrong order": (
        lambda f: {"facing_px": (90.0, 10.0)},
        ConfigError,
        "facing_px must be an increasing pair",
    ),
    "tower without operating point": (
        lambda f: {"tower": described_tower(f / "t")},
        ConfigError,
        "--tower needs --similarity",
    ),
    "tower description that is missing": (
        lambda f: {"tower": f / "tower.json"},
        ConfigError,
        "tower.json: not a tower description",
    ),
    "tower description without a dimension": (
        lambda f: {"tower": described_tower(f / "t", dim=None), "similarity": 0.5},
        ConfigError,
        "dim: ",
    ),
    "tower of an unknown precision": (
        lambda f: {"tower": described_tower(f / "t", files={"fp8": "t.onnx"}), "similarity": 0.5},
        ConfigError,
        "fp8",
    ),
    "tower whose file is missing": (
        lambda f: {"tower": described_tower(f / "t", files={"fp32": "x.onnx"}), "similarity": 0.5},
        ConfigError,
        "x.onnx: no such file",
    ),
    "base that is none": (lambda f: {"base": f}, BundleError, "manifest.json: missing"),
    "one crop": (
        lambda f: {"crops": (write_picture(f / "c.png", squares(SHELF)),)},
        ConfigError,
        "two product pictures",
    ),
    "name with spaces": (lambda f: {"name": "My Bundle"}, ConfigError, "name: "),
    "card that is no text": (
        lambda f: {"card": write_picture(f / "card.png", squares(SHELF))},
        ConfigError,
        "card.png: cannot be read as UTF-8 text",
    ),
    "card that is missing": (lambda f: {"card": f / "no.md"}, ConfigError, "no.md: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_wrong_request_is_one_line(tiny_bundle: Path, tmp_path: Path, kind: str) -> None:
    change, error, words = REFUSED[kind]
    with pytest.raises(error) as caught:
        run_pack(request(tiny_bundle, tmp_path, **change(tmp_path)))
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "new").exists()


def test_without_a_base_what_is_missing_is_named(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export import pack_command

    def none() -> Path:
        raise BundleError("no default bundle")

    monkeypatch.setattr(pack_command, "default_path", none)
    with pytest.raises(ConfigError, match="--scene is missing, and there is no base bundle"):
        run_pack(request(tiny_bundle, tmp_path, base=None))


def test_a_bundle_can_be_packed_over_its_own_base(tiny_bundle: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(tiny_bundle, tmp_path / "own"))
    bundle = run_pack(request(tiny_bundle, tmp_path, base=own, out=own, confidence=0.65))
    assert bundle.manifest.detector.confidence == 0.65
    assert bundle.manifest.detector.scale == ScalePolicy.model_validate(
        detector_spec().scale.model_dump()
    )


def test_the_real_command_packs(tiny_bundle: Path, tmp_path: Path) -> None:
    theirs = write_detector(tmp_path / "theirs.onnx", nhwc=True)

    def call(*options: object) -> subprocess.CompletedProcess[str]:
        code = "from export.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, "pack", "--base", str(tiny_bundle), *map(str, options)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    about = ("--detector-licence", "MIT", "--detector-source", "somebody", "--confidence", 0.6)
    done = call("--out", tmp_path / "b", "--detector", theirs, *about, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["bundle"].startswith("custom-1+")
    wrong = call("--out", tmp_path / "c", "--name", "My Bundle")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: name: ")
    assert wrong.stderr.count("\n") == 1


def test_a_detector_by_others_audits_a_real_photo(shelf_data: Path, tmp_path: Path) -> None:
    """A YOLOv8n of a third party, channels last, packed and used with no code of its own."""
    from edge.auditor import audit_paths
    from edge.bundle import default_path

    theirs = shelf_data / "detector" / "sku110k_yolov8n_nhwc.onnx"
    photos = sorted((shelf_data / "shelves" / "val").rglob("*.jpg"))
    try:
        base = default_path()
    except BundleError as error:
        pytest.skip(str(error))
    if not theirs.is_file() or not photos:
        pytest.skip(f"no third party's detector or no photos in {shelf_data}")
    bundle = run_pack(
        request(
            base,
            tmp_path,
            detector=(theirs,),
            detector_licence="AGPL-3.0",
            detector_source="trained on SKU-110K by others",
        )
    )
    assert bundle.manifest.detector.layout == "nhwc"
    summary = audit_paths([photos[0]], tmp_path / "out", bundle=bundle.path, provider="cpu")
    assert summary.exit_status == 0
    assert summary.unknown > 20
