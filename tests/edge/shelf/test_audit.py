from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.source import SourceFailure
from edge.errors import CameraError, InferenceError, OutputError
from edge.shelf.audit import run_audit
from edge.shelf.records import read_records
from edge.shelf.summary import AuditSummary
from edge.types import Frame, FrameResult
from tests.edge.shelf.results import PRODUCTS, frame, result

SEEN: dict[tuple[str, int], list[str | None]] = {
    ("one.jpg", 0): ["a", "a", "b", None],
    ("in/two.jpg", 0): ["c", None],
    ("clip.mp4", 0): ["a", "b"],
    ("clip.mp4", 30): ["a", "b", "b"],
    ("clip.mp4", 60): ["a", "b", "b"],
}


def infer(one: Frame) -> FrameResult:
    if one.camera_id == "bad.jpg":
        raise InferenceError("bad.jpg: the detector gave no output")
    return result(SEEN[one.camera_id, one.index], source=one.camera_id, index=one.index)


def audit(
    out: Path, items: list[Frame | SourceFailure] | None = None, *, every: int = 1, cap: int = 100
) -> AuditSummary:
    if items is None:
        items = [frame(*key) for key in SEEN]
    return run_audit(
        items,
        infer,
        out,
        products=PRODUCTS,
        bundle_id="tiny 1",
        gallery={"file": "g.db", "version": "7"},
        provider="auto",
        annotate_every=every,
        annotated_per_source=cap,
    )


def test_all_files_say_the_same(tmp_path: Path) -> None:
    summary = audit(tmp_path / "new" / "out")
    out = tmp_path / "new" / "out"
    assert summary.exit_status == 0
    data = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert data == json.loads(json.dumps(summary.to_json()))
    assert data["format"] == 1
    assert data["frames"] == 5
    assert data["facings"] == {"a": 3, "b": 3, "c": 1}
    assert data["unknown"] == 2
    assert (data["provider"], data["bundle"]) == ("cpu", "tiny 1")
    assert data["gallery"] == {"file": "g.db", "version": "7"}
    assert data["timings_ms"] == {"detect": 12.346, "embed": 4.0}
    assert data["failures"] == []
    shares = data["share_of_shelf"]
    assert sum(shares["by_sku"].values()) + shares["unknown"] == pytest.approx(1, abs=1e-5)
    rows = list(csv.DictReader((out / "facings.csv").open(encoding="utf-8")))
    assert {row["sku_id"]: int(row["facings"]) for row in rows if row["sku_id"]} == data["facings"]
    assert rows[0]["name"] == "Alpine Milk"
    assert (rows[0]["brand"], rows[0]["category"]) == ("Bergland", "Food > Dairy")
    assert (rows[-1]["sku_id"], rows[-1]["facings"]) == ("", "2")
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-5)
    records = list(read_records(out / "results.jsonl"))
    assert [(r.source, r.index) for r in records] == list(SEEN)
    assert [list(r.matches.sku_id) for r in records] == list(SEEN.values())
    per_source = {s["source"]: s for s in data["sources"]}
    assert per_source["clip.mp4"]["facings"] == {"a": 1, "b": 2}
    assert per_source["clip.mp4"]["frames"] == 3
    assert sorted(p.name for p in out.iterdir()) == [
        "annotated", "facings.csv", "report.html", "results.jsonl", "summary.json", "unknown.zip"
    ]  # fmt: skip


def test_each_frame_has_a_picture_with_a_name_of_its_own(tmp_path: Path) -> None:
    SEEN_AGAIN = [frame("one.jpg"), frame("in/two.jpg"), frame("clip.mp4", 30)]
    summary = audit(tmp_path, SEEN_AGAIN)
    assert dict(summary.annotated) == {
        "one.jpg": ["annotated/one.jpg"],
        "in/two.jpg": ["annotated/two.jpg"],
        "clip.mp4": ["annotated/clip_f000030.jpg"],
    }
    for names in summary.annotated.values():
        for name in names:
            assert cv2.imread(str(tmp_path / name)).shape[1] > 400


def test_equal_and_odd_names_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = ["x/a.jpg", "y/A.JPG", "z/a.png", "../..", "牛 奶.jpg", "b\\c.jpg", "." * 9]
    for source in sources:
        monkeypatch.setitem(SEEN, (source, 0), ["a"])
    summary = audit(tmp_path, [frame(source) for source in sources])
    names = [name for names in summary.annotated.values() for name in names]
    assert len({name.casefold() for name in names}) == len(sources)
    assert names[:3] == ["annotated/a.jpg", "annotated/A-2.jpg", "annotated/a-3.jpg"]
    assert sorted(f"annotated/{p.name}" for p in (tmp_path / "annotated").iterdir()) == sorted(
        names
    )


def test_long_clips_are_drawn_now_and_then(tmp_path: Path) -> None:
    clip = [frame("clip.mp4", index) for index in (0, 30, 60)]
    assert audit(tmp_path / "a", clip, every=2).annotated["clip.mp4"] == [
        "annotated/clip.jpg", "annotated/clip_f000060.jpg"
    ]  # fmt: skip
    assert len(audit(tmp_path / "b", clip, cap=1).annotated["clip.mp4"]) == 1


def test_a_failure_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    missing = SourceFailure("no.jpg", CameraError("no.jpg: no such file or folder"))
    summary = audit(tmp_path, [missing, frame("bad.jpg"), frame("bad.jpg", 1), frame("one.jpg")])
    assert summary.exit_status == 1
    data = json.loads((tmp_path / "summary.json").read_text())
    assert data["failures"] == [
        {"source": "no.jpg", "error": "no.jpg: no such file or folder"},
        {"source": "bad.jpg", "error": "bad.jpg: the detector gave no output"},
    ]
    assert data["facings"] == {"a": 2, "b": 1}
    assert len(list(read_records(tmp_path / "results.jsonl"))) == 1


def test_out_of_memory_is_a_failure_of_that_input(tmp_path: Path) -> None:
    def greedy(one: Frame) -> FrameResult:
        if one.camera_id == "huge.jpg":
            raise MemoryError
        return infer(one)

    summary = run_audit(
        [frame("huge.jpg"), frame("one.jpg")], greedy, tmp_path, products={}, bundle_id="",
        gallery={}, provider="cpu",
    )  # fmt: skip
    assert [f.error for f in summary.failures] == ["huge.jpg: not enough memory for this picture"]
    assert summary.frames == 1


def test_no_frame_at_all_still_gives_all_files(tmp_path: Path) -> None:
    summary = audit(tmp_path, [SourceFailure("x", CameraError("x: the folder holds no pictures"))])
    assert summary.exit_status == 1
    data = json.loads((tmp_path / "summary.json").read_text())
    assert (data["frames"], data["facings"], data["unknown"]) == (0, {}, 0)
    assert data["share_of_shelf"] == {"by_sku": {}, "by_brand": {}, "unknown": 0.0}
    assert (tmp_path / "results.jsonl").read_text() == ""
    assert data["provider"] == "auto"


def test_a_picture_with_no_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEEN, ("wall.jpg", 0), [])
    summary = audit(tmp_path, [frame("wall.jpg")])
    assert (summary.frames, summary.known, summary.unknown, summary.exit_status) == (1, 0, 0, 0)
    assert (tmp_path / "annotated" / "wall.jpg").exists()


def test_a_second_audit_replaces_the_first(tmp_path: Path) -> None:
    audit(tmp_path)
    own = tmp_path / "annotated" / "mine.jpg"
    own.write_bytes(b"not made by an audit")
    audit(tmp_path, [frame("one.jpg")])
    left = sorted(p.name for p in (tmp_path / "annotated").iterdir())
    assert left == ["mine.jpg", "one.jpg"]
    assert len(list(read_records(tmp_path / "results.jsonl"))) == 1


def test_a_forged_summary_removes_nothing_outside(tmp_path: Path) -> None:
    victim = tmp_path / "victim.jpg"
    victim.write_bytes(b"x")
    out = tmp_path / "out"
    out.mkdir()
    names = ["annotated/../../victim.jpg", "../victim.jpg", str(victim)]
    (out / "summary.json").write_text(json.dumps({"sources": [{"annotated": names}]}))
    audit(out, [frame("one.jpg")])
    assert victim.exists()


def full_after(bytes_free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full after so many bytes."""
    real, left = os.write, [bytes_free]

    def write(fd: int, data: bytes) -> int:
        if fd > 2:
            if left[0] <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = bytes(data)[: left[0]]
            left[0] -= len(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("free", [0, 500, 3_000, 60_000, 300_000])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    full_after(free, monkeypatch)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        audit(tmp_path)
    monkeypatch.undo()
    assert str(caught.value).startswith(str(tmp_path))
    files = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    assert "summary.json" not in files
    assert not [name for name in files if name.endswith(".tmp")]
    for name, path in files.items():
        if name.endswith(".jpg"):
            assert cv2.imread(str(path)) is not None
        elif "results.jsonl" in name:
            done = list(read_records(path))
            assert len(done) <= len(SEEN)
            assert name == "results.jsonl.partial" or len(done) == len(SEEN)


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="out"):
        audit(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            audit(tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


def test_frames_are_not_kept(tmp_path: Path) -> None:
    """A clip of any length needs the memory of one frame: each is dropped before the next comes."""
    import weakref

    alive: list[weakref.ref[np.ndarray]] = []

    def stream() -> Iterator[Frame]:
        for index in (0, 30, 60):
            assert sum(reference() is not None for reference in alive) <= 1
            one = frame("clip.mp4", index)
            alive.append(weakref.ref(one.image))
            yield one
            del one

    run_audit(stream(), infer, tmp_path, products={}, bundle_id="", gallery={}, provider="cpu")


def test_progress_is_told_of_each_frame(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    run_audit(
        [frame("one.jpg"), SourceFailure("x", CameraError("x: gone"))], infer, tmp_path,
        products={}, bundle_id="", gallery={}, provider="cpu",
        progress=lambda done, source: told.append((done, source)),
    )  # fmt: skip
    assert told == [(1, "one.jpg"), (2, "x")]


def test_a_formula_in_a_name_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEEN, ("one.jpg", 0), ["=cmd()"])
    audit(tmp_path, [frame("one.jpg")])
    rows = list(csv.DictReader((tmp_path / "facings.csv").open(encoding="utf-8")))
    assert rows[0]["sku_id"] == "'=cmd()"
