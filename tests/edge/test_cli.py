"""The real process, driven from outside on the tiny bundle: outputs, exit statuses, bad input."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import BundleError
from tests.conftest import ROOT
from tests.edge.command import Done
from tests.factories import (
    FINGERPRINT,
    SHELF,
    SHELF_FACINGS,
    SHELF_UNKNOWN,
    edit_manifest,
    reseal,
    squares,
    write_clip,
    write_detector,
    write_fronts,
    write_picture,
)

OTHER_TOWER = "ffeeddccbbaa99887766554433221100"


def edge(*arguments: object, stdout: int = subprocess.PIPE) -> Done:
    """Run ``edge`` in a process of its own; no command may ever show a trace."""
    words = [a if isinstance(a, bytes) else str(a) for a in arguments]
    done = subprocess.run(
        [sys.executable, "-c", "from edge.cli import main; main()", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTHONUNBUFFERED": ""},
    )
    err = done.stderr.decode()
    assert "Traceback" not in err, err
    assert "Exception ignored" not in err, err
    return Done(done.returncode, (done.stdout or b"").decode(), err)


@pytest.fixture
def audit(tiny_bundle: Path, tiny_gallery: Path, tmp_path: Path) -> Any:
    """``audit(*inputs)`` on the tiny bundle and gallery, into ``tmp_path/out``."""

    def run(*inputs: object, gallery: Path | None = tiny_gallery, as_json: bool = False) -> Done:
        options: Sequence[object] = ("--bundle", tiny_bundle, "--out", tmp_path / "out")
        if gallery is not None:
            options = (*options, "--gallery", gallery)
        return edge("audit", *inputs, *options, "--provider", "cpu", *["--json"] * as_json)

    return run


# ----------------------------------------------------------------------------------------- audit


def test_a_folder_is_audited(audit: Any, tiny_pictures: Path, tmp_path: Path) -> None:
    done = audit(tiny_pictures)
    assert (done.status, done.err) == (0, "")
    assert "2 frame(s): 10 facings of 4 SKUs, 2 unknown" in done.out
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "annotated",
        "facings.csv",
        "report.html",
        "results.jsonl",
        "summary.json",
        "unknown.zip",
    ]
    assert sorted(p.name for p in (out / "annotated").iterdir()) == ["a.jpg", "b.jpg"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["format"] == 1
    assert summary["frames"] == 2
    assert summary["facings"] == {sku: 2 * n for sku, n in SHELF_FACINGS.items()}
    assert summary["unknown"] == 2 * SHELF_UNKNOWN
    assert summary["provider"] == "cpu"
    assert summary["bundle"].startswith("tiny-1+")
    assert summary["gallery"]["skus"] == 4
    assert {"share_of_shelf", "timings_ms"} <= set(summary)
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [Path(record["source"]).name for record in records] == ["a.png", "b.png"]
    for record in records:
        assert set(record) == {
            "source",
            "index",
            "captured_at",
            "width",
            "height",
            "scale",
            "provider",
            "bundle_id",
            "gallery_version",
            "detections",
            "timings_ms",
        }
        assert len(record["detections"]) == len(SHELF)
        assert set(record["detections"][0]) == {
            "xyxy",
            "confidence",
            "sku_id",
            "category",
            "similarity",
            "margin",
            "probability",
            "top",
        }
    with (out / "facings.csv").open() as file:
        rows = {row["sku_id"]: int(row["facings"]) for row in csv.DictReader(file)}
    assert rows == {**{sku: 2 * n for sku, n in SHELF_FACINGS.items()}, "": 2 * SHELF_UNKNOWN}
    html = (out / "report.html").read_text()
    assert "The red one" in html
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_json_is_one_object_and_nothing_else(audit: Any, tiny_pictures: Path) -> None:
    done = audit(tiny_pictures / "a.png", as_json=True)
    assert (done.status, done.err) == (0, "")
    assert done.json["facings"] == SHELF_FACINGS


def test_a_clip_is_audited(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "aisle.avi", [SHELF] * 4, fps=2.0)
    done = edge(
        "audit", clip, "--bundle", tiny_bundle, "--out", tmp_path / "o", "--every", "1", "--json"
    )
    assert done.status == 0, done.err
    assert done.json["frames"] == 2
    assert done.json["unknown"] == len(SHELF)
    assert done.json["gallery"] == {}


def test_a_shelf_without_products_has_no_facings(audit: Any, tmp_path: Path) -> None:
    empty = write_picture(tmp_path / "empty.png", np.zeros((300, 400, 3), np.uint8))
    done = audit(empty, as_json=True)
    assert (done.status, done.err) == (0, "")
    assert done.json["facings"] == {}
    assert done.json["unknown"] == 0
    assert done.json["frames"] == 1
    with (tmp_path / "out" / "facings.csv").open() as file:
        assert list(csv.DictReader(file)) == []


def test_bad_inputs_are_a_line_each_and_the_others_are_audited(
    audit: Any, tiny_pictures: Path, tmp_path: Path
) -> None:
    good = tiny_pictures / "a.png"
    jpeg = write_picture(tmp_path / "whole.jpg", squares(SHELF)).read_bytes()
    bad = {
        "empty.jpg": b"",
        "text.png": b"this is no picture",
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": good.read_bytes()[:200],
        "clip.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 64,
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "hollow").mkdir()
    inputs = [*(tmp_path / name for name in bad), tmp_path / "hollow", tmp_path / "gone.jpg"]
    done = audit(*inputs, good, tmp_path / "no*.png")
    assert done.status == 1
    lines = done.err.splitlines()
    assert all(line.startswith("error: ") for line in lines), lines
    assert len(lines) == len(inputs) + 1
    for path in (*inputs, tmp_path / "no*.png"):
        assert sum(f"{path}: " in line for line in lines) == 1, path
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["facings"] == SHELF_FACINGS
    assert len(summary["failures"]) == len(lines)


def test_a_name_that_is_no_text_is_audited_and_shown(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    shutil.copyfile(tiny_pictures / "a.png", name)
    done = edge("audit", name, "--bundle", tiny_bundle, "--out", tmp_path / "o", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["unknown"] == len(SHELF)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--every", "0"], "--every must be above 0"),
        (["--provider", "tpu"], "provider 'tpu' is not known (choose auto, tensorrt"),
    ],
)
def test_a_wrong_value_is_status_2(
    tiny_bundle: Path,
    tiny_gallery: Path,
    tiny_pictures: Path,
    tmp_path: Path,
    options: list[str],
    words: str,
) -> None:
    common = ["--bundle", tiny_bundle, "--gallery", tiny_gallery, "--out", tmp_path / "o"]
    done = edge("audit", tiny_pictures / "a.png", *common, *options)
    assert done.status == 2
    assert words in done.error
    assert done.out == ""
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("call", [["audit"], ["audit", "a.png", "--wrong"]])
def test_a_wrong_call_is_status_2(call: list[str]) -> None:
    done = edge(*call)
    assert done.status == 2
    assert done.out == ""
    assert done.err


def test_a_provider_that_is_absent_is_named_with_what_is_there(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    from edge.vision.session import available_providers

    absent = next(p for p in ("openvino", "cuda", "tensorrt") if p not in available_providers())
    done = edge(
        "audit", tiny_pictures, "--bundle", tiny_bundle, "--out", tmp_path, "--provider", absent
    )
    assert done.status == 1
    assert f"provider {absent} is not in the installed onnxruntime (it has " in done.error
    assert "cpu" in done.error


def test_a_gallery_of_another_tower_is_refused_with_both_fingerprints(
    own_bundle: Path, tiny_gallery: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    edit_manifest(own_bundle, lambda m: m["tower"].update(fingerprint=OTHER_TOWER))
    options = ("--bundle", own_bundle, "--provider", "cpu")
    done = edge(
        "audit", tiny_pictures, "--gallery", tiny_gallery, "--out", tmp_path / "o", *options
    )
    assert done.status == 1
    for word in (str(tiny_gallery), FINGERPRINT, OTHER_TOWER):
        assert word in done.error


def test_an_output_of_an_unknown_shape_is_one_line(
    own_bundle: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    write_detector(own_bundle / "detector.onnx", head="unknown")
    reseal(own_bundle)
    done = edge("audit", tiny_pictures, "--bundle", own_bundle, "--out", tmp_path / "o")
    assert done.status == 1
    assert f"{own_bundle / 'detector.onnx'}: detector output must be" in done.error


# ------------------------------------------------------------------------------- a disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def noisy_shelf(path: Path) -> Path:
    """A shelf whose drawn picture does not fit 128 KiB."""
    image = np.random.default_rng(0).integers(0, 120, (1024, 1024, 3), dtype=np.uint8)
    return write_picture(path, np.maximum(image, squares(SHELF, 1024)))


def test_a_full_disk_ends_an_audit_with_one_line(
    small_disk: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    picture = noisy_shelf(tmp_path / "a.png")
    out = small_disk / "out"
    done = edge("audit", picture, "--bundle", tiny_bundle, "--out", out, "--provider", "cpu")
    assert done.status == 1
    assert str(out) in done.error
    assert "No space left on device" in done.error
    assert not (out / "summary.json").exists()
    assert [p for p in out.rglob("*") if p.suffix == ".tmp"] == []


def test_a_full_disk_leaves_the_old_gallery(
    small_disk: Path, tiny_bundle: Path, tiny_gallery: Path, tiny_fronts: Path
) -> None:
    gallery = small_disk / "g.db"
    shutil.copyfile(tiny_gallery, gallery)
    before = gallery.read_bytes()
    (small_disk / "ballast").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096 - 8192))
    done = edge("gallery", "build", tiny_fronts, "--out", gallery, "--bundle", tiny_bundle)
    assert done.status == 1
    assert str(gallery) in done.error
    assert gallery.read_bytes() == before
    assert sorted(p.name for p in small_disk.iterdir()) == ["ballast", "g.db"]


def test_a_size_limit_of_the_process_is_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    """As a full disk, for those who are not root: no file may grow beyond 64 KiB."""
    picture = noisy_shelf(tmp_path / "a.png")
    out = tmp_path / "out"
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({64 << 10}, {64 << 10}))\n"
        "from edge.cli import main; main()"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, "audit", picture, "--bundle", tiny_bundle, "--out", out],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {out}/annotated/a.jpg: cannot be written: File too large\n"


def test_an_output_that_cannot_be_made_is_one_line(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    done = edge("audit", tiny_pictures, "--bundle", tiny_bundle, "--out", out)
    assert done.status == 1
    assert str(tmp_path / "file") in done.error


# --------------------------------------------------------------------------------------- gallery


def test_a_gallery_from_folder_to_search(
    tiny_bundle: Path, tiny_pictures: Path, tmp_path: Path
) -> None:
    fronts = write_fronts(tmp_path / "fronts")
    gallery = tmp_path / "g.db"
    options = ("--bundle", tiny_bundle, "--provider", "cpu")
    built = edge("gallery", "build", fronts, "--out", gallery, *options, "--json")
    assert (built.status, built.err) == (0, "")
    assert built.json["skus"] == built.json["references"] == 4
    assert built.json["complete"] is True

    listed = edge("gallery", "list", gallery, "--json", "--locale", "de")
    assert listed.status == 0
    red = next(sku for sku in listed.json["skus"] if sku["sku_id"] == "red")
    assert red == {
        "sku_id": "red",
        "name": "Das red",
        "brand": "Brand r",
        "category": ["Paint", "red"],
        "gtin": None,
        "references": 1,
    }
    table = edge("gallery", "list", gallery)
    assert "red\tThe red one\tBrand r\tPaint > red\t1\n" in table.out

    found = edge("gallery", "search", gallery, fronts / "blue" / "front.png", *options, "--json")
    assert found.status == 0
    (result,) = found.json["results"]
    assert result["sku_id"] == "blue"
    assert result["top"][0]["similarity"] > 0.99

    sound = edge("gallery", "verify", gallery, "--bundle", tiny_bundle, "--json")
    assert sound.status == 0
    assert sound.json["ok"] is True
    assert sound.json["references"] == 4


def test_a_gallery_with_a_bad_picture_is_built_and_status_1(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    fronts = write_fronts(tmp_path / "fronts")
    (fronts / "red" / "b.jpg").write_bytes(b"none")
    done = edge("gallery", "build", fronts, "--out", tmp_path / "g.db", "--bundle", tiny_bundle)
    assert done.status == 1
    assert f"{fronts / 'red' / 'b.jpg'}: " in done.error
    assert "4 SKUs, 4 references" in done.out


def test_damage_is_found(own_bundle: Path, tiny_gallery: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "g.db"
    data = bytearray(tiny_gallery.read_bytes())
    data[len(data) // 2 :] = b"\0" * (len(data) - len(data) // 2)
    gallery.write_bytes(data)
    done = edge("gallery", "verify", gallery)
    assert done.status == 1
    assert "damaged" in done.out
    assert all(line.startswith("error: ") for line in done.err.splitlines())
    edit_manifest(own_bundle, lambda m: m["tower"].update(fingerprint=OTHER_TOWER))
    other = edge("gallery", "verify", tiny_gallery, "--bundle", own_bundle)
    assert other.status == 1
    assert FINGERPRINT in other.err
    assert OTHER_TOWER in other.err


def test_a_search_for_what_cannot_be_read_is_status_1(
    tiny_bundle: Path, tiny_gallery: Path, tmp_path: Path
) -> None:
    gone = os.fsencode(tmp_path) + b"/gon\xe9.png"
    done = edge("gallery", "search", tiny_gallery, gone, "--bundle", tiny_bundle, "--json")
    assert (done.status, done.err) == (1, "")
    assert "no such file" in done.json["results"][0]["error"].lower()


def test_a_gallery_that_is_none_is_one_line(tmp_path: Path) -> None:
    gallery = tmp_path / "g.db"
    gallery.write_bytes(b"not a database, just some text")
    done = edge("gallery", "list", gallery)
    assert done.status == 1
    assert str(gallery) in done.error


# ------------------------------------------------------------------------------ bundle and doctor


def test_a_bundle_is_verified(tiny_bundle: Path) -> None:
    done = edge("bundle", "verify", tiny_bundle, "--provider", "cpu", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["provider"] == "cpu"
    assert done.json["canary"]["box_agreement"] == 1.0
    assert done.json["files"] == 9


@pytest.mark.parametrize("damage", ["altered", "format", "path"])
def test_a_damaged_bundle_is_one_line(own_bundle: Path, damage: str) -> None:
    if damage == "altered":
        (own_bundle / "tower.onnx").write_bytes(b"other")
    elif damage == "format":
        edit_manifest(own_bundle, lambda m: m.update(format=9))
    else:
        edit_manifest(own_bundle, lambda m: m["files"].update({"../x": "0" * 64}))
    done = edge("bundle", "verify", own_bundle, "--json")
    assert done.status == 1
    assert done.out == ""
    assert str(own_bundle) in done.error


def test_the_doctor_speaks_json(tiny_bundle: Path, own_bundle: Path) -> None:
    done = edge("doctor", "--bundle", tiny_bundle, "--provider", "cpu", "--json")
    report = done.json
    assert report["provider"] == "cpu"
    assert report["bundle"].startswith("tiny-1+")
    assert report["threads"] >= 1
    assert "cpu" in report["providers"]
    assert done.status == (0 if report["ok"] else 1)
    # other wheels of this machine may be a problem, the bundle is not
    assert not any(str(tiny_bundle) in problem for problem in report["problems"])
    (own_bundle / "tower.onnx").unlink()
    sick = edge("doctor", "--bundle", own_bundle, "--json")
    assert sick.status == 1
    assert any("tower.onnx: missing" in problem for problem in sick.json["problems"])


# ------------------------------------------------------------------------------- demo and bench


def sample_or_skip() -> None:
    from edge.bundle import default_path
    from edge.demo import SAMPLE

    if not (SAMPLE / "truth.json").is_file():
        pytest.skip(f"no sample at {SAMPLE}")
    try:
        default_path()
    except BundleError as error:
        pytest.skip(str(error))


def test_bench_gives_its_numbers(tiny_bundle: Path, tiny_pictures: Path) -> None:
    from edge.demo import SAMPLE

    if not (SAMPLE / "fronts").is_dir():
        pytest.skip(f"no sample at {SAMPLE}")
    done = edge(
        "bench", tiny_pictures / "a.png", "--bundle", tiny_bundle, "--repeat", "2", "--json"
    )
    assert done.status == 0, done.err
    report = done.json
    assert {
        "facings",
        "overhead_ratio",
        "stages_ms",
        "bare_ms",
        "provider",
        "peak_rss_mb",
    } <= set(report)
    assert report["facings"] == len(SHELF)
    assert set(report["bare_ms"]) == {"detector", "tower"}
    assert report["overhead_ratio"] > 0
    assert report["peak_rss_mb"] > 10


def test_the_demo_finds_what_is_there(tmp_path: Path) -> None:
    sample_or_skip()
    done = edge("demo", "--out", tmp_path / "demo", "--provider", "cpu", "--json")
    assert done.status == 0, done.err
    truth = done.json["truth"]
    assert truth["accuracy"] >= 0.95
    assert truth["right_sku"] <= truth["found"] <= truth["facings"]
    # report, table, records and summary say the same numbers
    out = tmp_path / "demo"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["facings"] == done.json["facings"]
    with (out / "facings.csv").open() as file:
        rows = {row["sku_id"]: int(row["facings"]) for row in csv.DictReader(file)}
    assert {k: v for k, v in rows.items() if k and v} == summary["facings"]
    record = json.loads((out / "results.jsonl").read_text())
    known = [d["sku_id"] for d in record["detections"] if d["sku_id"] is not None]
    assert {sku: known.count(sku) for sku in known} == summary["facings"]
    assert len(record["detections"]) - len(known) == summary["unknown"]
    html = (out / "report.html").read_text()
    assert str(sum(summary["facings"].values())) in html
