from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.bundle import Bundle
from edge.errors import ConfigError
from export.calibrate import CalibrationRequest, divide, run_calibration
from export.calibration_record import CalibrationRecord
from export.cli import app
from export.datasets import Dataset, read_folder
from export.open_set_command import OpenSetRequest, run_open_set
from export.pack_command import PackRequest, run_pack
from tests.factories import write_two_precisions

SKUS, PICTURES = 12, 10


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, write_skus) -> Path:
    """Twelve SKUs in their own colours, ten noisy pictures each, no clean one."""
    root = write_skus(tmp_path_factory.mktemp("calibration"), SKUS, PICTURES, side=24)
    for front in root.glob("*/front.png"):
        front.unlink()
    rows = [f"sku-{n:02d},Paint > Shelf {n % 3}" for n in range(SKUS)]
    (root.parent / "skus.csv").write_text("sku_id,category\n" + "\n".join(rows) + "\n")
    return root


def _request(bundle: Path, pictures: Path, out: Path, **changes) -> CalibrationRequest:
    values = {"target": 0.8, "level_target": 0.8, "draws": 2, "references": 3, "threads": 1}
    return CalibrationRequest(
        bundle=bundle, data=(str(pictures),), out=out, **{**values, **changes}
    )


@pytest.fixture(scope="module")
def record(tiny_bundle: Path, pictures: Path, tmp_path_factory) -> tuple[CalibrationRecord, Path]:
    out = tmp_path_factory.mktemp("record") / "point.json"
    request = _request(tiny_bundle, pictures, out, categories=pictures.parent / "skus.csv")
    return run_calibration(request), out


def test_the_file_says_what_was_measured_and_on_what(record) -> None:
    made, out = record
    assert CalibrationRecord.read(out) == made
    point = made.points["fp32"]
    assert point.calibration.sku.precision_low >= 0.8
    assert len(point.calibration.levels) == 2
    assert "target 0.8" in point.measured
    assert len(made.skus) == SKUS
    assert len(made.pictures) == SKUS * PICTURES
    assert made.reports["fp32"]["coverage"]["sku"] > 0.3
    assert {row["level"] for row in made.reports["fp32"]["reliability"]} == {
        "level1",
        "level2",
        "sku",
    }


def test_it_goes_into_the_manifest_of_its_own_tower_only(record, own_bundle: Path) -> None:
    made, _ = record
    before = Bundle.load(own_bundle).bundle_id
    bundle = made.apply(own_bundle)
    assert bundle.manifest.decision["fp32"] == made.points["fp32"]
    assert bundle.bundle_id != before
    other = made.model_copy(update={"tower": "0" * 16})
    with pytest.raises(ConfigError, match=f"0000.*{made.tower}"):
        other.apply(own_bundle)


def test_pack_takes_it(record, tiny_bundle: Path, tmp_path: Path) -> None:
    made, out = record
    request = PackRequest(
        out=tmp_path / "b", name="b", version="2", base=tiny_bundle, operating_point=out
    )
    assert run_pack(request).manifest.decision["fp32"] == made.points["fp32"]
    text = json.loads(out.read_text())
    (tmp_path / "other.json").write_text(json.dumps({**text, "tower": "f" * 16}))
    other = PackRequest(
        out=tmp_path / "c", name="c", version="2", base=tiny_bundle,
        operating_point=tmp_path / "other.json",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="ffff"):
        run_pack(other)


def test_every_precision_has_its_own_point(pictures: Path, tmp_path: Path) -> None:
    bundle = write_two_precisions(tmp_path / "two", noise=0.05)
    made = run_calibration(_request(bundle.path, pictures, tmp_path / "p.json"))
    assert set(made.points) == {"fp32", "int8"}
    assert made.points["fp32"].calibration != made.points["int8"].calibration
    assert made.apply(bundle.path).manifest.decision == made.points
    one = run_calibration(
        _request(bundle.path, pictures, tmp_path / "q.json", precisions=("int8",))
    )
    assert one.points == {"int8": made.points["int8"]}
    with pytest.raises(ConfigError, match="no fp16 file"):
        run_calibration(_request(bundle.path, pictures, tmp_path / "r.json", precisions=("fp16",)))


def test_a_target_out_of_reach_is_refused_with_the_number_needed(
    tiny_bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    with pytest.raises(ConfigError, match="at least 299 accepted answers without an error"):
        run_calibration(_request(tiny_bundle, pictures, out, target=0.99))
    assert not out.exists()


def test_evaluation_data_is_not_calibrated_on(
    record, tiny_bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    same = tmp_path / "eval"
    shutil.copytree(pictures / "sku-00", same / "sku-00")
    with pytest.raises(ConfigError, match=r"leak: 1 SKU\(s\).*sku-00"):
        run_calibration(
            _request(tiny_bundle, pictures, tmp_path / "p.json", evaluation=(str(same),))
        )
    (same / "sku-00").rename(same / "renamed")
    with pytest.raises(ConfigError, match="stand in the gallery too"):
        run_calibration(
            _request(tiny_bundle, pictures, tmp_path / "p.json", evaluation=(str(same),))
        )
    made, _ = record
    with pytest.raises(ConfigError, match=r"leak: 10 picture\(s\)"):
        made.refuse_overlap(read_folder(same).samples, "eval")


def test_the_same_picture_is_never_enrolled_and_asked(
    tiny_bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="stand in the gallery too"):
        run_calibration(_request(tiny_bundle, pictures, tmp_path / "p.json", queries=str(pictures)))


def test_photos_are_divided_clean_ones_first(tmp_path: Path, write_skus) -> None:
    data = read_folder(write_skus(tmp_path / "skus", 3, 4))
    enrolled, asked = divide(data, 2, seed=0)
    assert enrolled.counts() == {f"sku-0{n}": 2 for n in range(3)}
    assert all(any(s.clean for s in enrolled.only([label]).samples) for label in data.labels)
    assert not {s.photo for s in enrolled.samples} & {s.photo for s in asked.samples}
    single = Dataset("one", tuple({s.label: s for s in data.samples}.values()))
    with pytest.raises(ConfigError, match="no SKU has two photos"):
        divide(single, 2, seed=0)


def test_the_commands_work_end_to_end(
    record, tiny_bundle: Path, own_bundle: Path, pictures: Path, tmp_path: Path, write_skus
) -> None:
    pytest.importorskip("matplotlib")
    run = CliRunner().invoke
    skus = str(pictures.parent / "skus.csv")
    done = run(
        app,
        ["calibrate", str(own_bundle), "--data", str(pictures), "--out", str(tmp_path / "p.json"),
         "--target", "0.8", "--level-target", "0.8", "--draws", "2", "--references", "3",
         "--skus", skus, "--write"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "fp32: " in done.output
    assert Bundle.load(own_bundle).manifest.decision["fp32"].calibration is not None
    # the same pictures are no evaluation for it
    common = ["--gallery", str(pictures), "--protocol", "open-set", "--splits", "2"]
    again = run(
        app, ["evaluate", str(tiny_bundle), *common, "--calibration", str(tmp_path / "p.json")]
    )
    assert isinstance(again.exception, ConfigError)
    assert "leak: 12 SKU(s)" in str(again.exception)
    fresh = run(
        app,
        ["evaluate", str(tiny_bundle), *common, "--skus", skus, "--target", "0.7", "--level-target",
         "0.7", "--out", str(tmp_path / "report"), "--json"],
    )  # fmt: skip
    assert fresh.exit_code == 0, fresh.output
    row = json.loads(fresh.stdout)["towers"][0]
    assert row["certified"] == 2
    assert {"coverage", "precision", "fpir", "fnir"} <= set(row["mean"])
    assert json.loads((tmp_path / "report" / "open_set.json").read_text())["towers"] == [row]
    assert len((tmp_path / "report" / "open_set_splits.csv").read_text().splitlines()) == 3
    assert cv2.imread(str(tmp_path / "report" / "open_set.png")) is not None


def test_other_products_are_judged_at_the_calibrated_point(
    record, tiny_bundle: Path, tmp_path: Path
) -> None:
    made, out = record
    rng = np.random.default_rng(3)
    for n in range(8):
        (tmp_path / "eval" / f"other-{n}").mkdir(parents=True)
        colour = rng.uniform(0, 255, 3)
        for i in range(7):
            noisy = np.clip(colour + rng.normal(0, 12, (24, 24, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "eval" / f"other-{n}" / f"{i}.png"), noisy)
    request = OpenSetRequest(
        (str(tiny_bundle),), str(tmp_path / "eval"), calibration=out, splits=2, threads=1
    )
    row = run_open_set(request)["towers"][0]
    assert row["targets"] == [0.8, 0.8]
    assert row["mean"]["coverage"] is not None
    with pytest.raises(ConfigError, match="name the bundle's folder"):
        run_open_set(
            OpenSetRequest((str(tiny_bundle / "tower.onnx"),), request.gallery, calibration=out)
        )
    assert made.points["fp32"].calibration is not None


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": 1}')
    with pytest.raises(ConfigError, match=r"x\.json: tower"):
        CalibrationRecord.read(tmp_path / "x.json")
    with pytest.raises(ConfigError, match=r"none\.json"):
        CalibrationRecord.read(tmp_path / "none.json")
