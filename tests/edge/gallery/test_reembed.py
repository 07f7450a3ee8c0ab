from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import GalleryError
from edge.gallery import reembed
from edge.gallery.records import NewReference, Sku
from edge.gallery.reembed import ReembedReport, reembed_gallery
from edge.gallery.store import GalleryStore
from edge.gallery.twins import decode
from edge.gallery.verify import verify_gallery
from edge.types import U8, Embeddings
from tests.conftest import ROOT
from tests.edge.command import Edge
from tests.factories import tower_spec, write_bundle, write_tower

OLD, NEW = "aa" * 16, "bb" * 16
COUNT = 10


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.resize(pixels, (32, 32)))[1].tobytes())


def embed(images: list[U8]) -> Embeddings:
    """A tower of 12 dimensions: the colours of four quarters."""
    small = np.stack([cv2.resize(image, (2, 2)).ravel() for image in images])
    vectors = small.astype(np.float32) - 127.5
    return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), NEW)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Ten references of five SKUs, two and two with the same picture, of a tower of 3 dimensions."""
    path = tmp_path / "old.db"
    with GalleryStore.create(path, tower=OLD, dim=3, precision="fp32") as store:
        store.add_skus([Sku(f"s{i}", names={"en": f"S {i}"}) for i in range(5)])
        rng = np.random.default_rng(0)
        vectors = rng.standard_normal((COUNT, 3)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = store.add_references(
            [
                NewReference(
                    f"s{i // 2}", v, picture(i // 2), f"{i}.jpg", f"{i}", 2.0, "2024-05-06"
                )
                for i, v in enumerate(vectors)
            ]
        )
        store.remove_references(ids[1:2])  # ids need not be without gaps
    return path


def run(old: Path, out: Path, **changes: object) -> ReembedReport:
    options = {"embed": embed, "tower": NEW, "dim": 12, "precision": "fp32"} | changes
    return reembed_gallery(old, out, **options)  # type: ignore[arg-type]


def told(path: Path) -> list[tuple[object, ...]]:
    with GalleryStore.open(path) as store:
        return [
            (r.sku_id, r.jpeg, r.source, r.source_sha256, r.quality, r.created_at)
            for r in store.references()
        ]


@pytest.mark.parametrize("block", [4, 4096])
def test_the_new_gallery_holds_all_but_the_vectors(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(reembed, "BLOCK", block)
    before = old.read_bytes()
    out = tmp_path / "new.db"
    report = run(old, out)
    assert old.read_bytes() == before
    assert told(out) == told(old)
    with GalleryStore.open(old) as a, GalleryStore.open(out, tower=NEW) as b:
        assert a.skus() == b.skus()
        assert b.dim == 12
        image = decode(next(b.references()).jpeg, "reference")
        expected = embed([image]).vectors[0]
        np.testing.assert_allclose(b.vectors().vectors[0], expected, atol=1e-5)
    assert verify_gallery(out).ok
    assert (report.references, report.resumed, report.compared) == (COUNT - 1, 0, COUNT - 1)
    assert (report.old_tower, report.new_tower) == (OLD, NEW)
    # equal pictures lie together in the new gallery; one SKU has a single picture left
    assert report.new_right == pytest.approx(8 / 9)
    assert report.old_right < report.new_right
    assert 0.0 <= report.agreement <= 1.0
    assert sorted(p.name for p in tmp_path.iterdir() if "reembed" in p.name) == []


def test_a_run_that_broke_off_goes_on(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembed, "BATCH", 2)
    out = tmp_path / "new.db"
    seen: list[int] = []

    def breaking(images: list[U8]) -> Embeddings:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(len(images))
        return embed(images)

    with pytest.raises(KeyboardInterrupt):
        run(old, out, embed=breaking)
    assert not out.exists()
    later: list[int] = []

    def counting(images: list[U8]) -> Embeddings:
        later.append(len(images))
        return embed(images)

    report = run(old, out, embed=counting)
    assert (report.resumed, later) == (6, [2, 1])
    assert told(out) == told(old)


@pytest.mark.parametrize("change", ["gallery", "tower", "damage"])
def test_what_was_made_of_something_else_is_not_gone_on_with(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(reembed, "BATCH", 2)
    out = tmp_path / "new.db"
    calls: list[int] = []

    def breaking(images: list[U8]) -> Embeddings:
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return embed(images)

    with pytest.raises(KeyboardInterrupt):
        run(old, out, embed=breaking)
    tower = NEW
    if change == "gallery":
        with GalleryStore.open(old, read_only=False) as store:
            store.remove_references([6])
    elif change == "tower":
        tower = "cc" * 16
    else:
        work = tmp_path / "new.db.reembed" / "gallery.db"
        data = bytearray(work.read_bytes())
        data[:4096] = bytes(4096)
        work.write_bytes(data)

    def again(images: list[U8]) -> Embeddings:
        return Embeddings(embed(images).vectors, tower)

    report = run(old, out, embed=again, tower=tower)
    assert report.resumed == 0
    assert told(out) == told(old)


def test_a_gallery_is_not_written_over_itself(old: Path) -> None:
    with pytest.raises(GalleryError, match="name another file"):
        run(old, old)


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.db"
    with GalleryStore.create(path, tower=OLD, dim=3, precision="fp32") as store:
        store.add_sku(Sku("a"))
        vector = np.array([1, 0, 0], np.float32)
        store.add_references([NewReference("a", vector, b"\xff\xd8junk", "x.jpg", "", 0.0)])
    with pytest.raises(GalleryError, match=r"bad\.db: reference 2: its picture cannot be decoded"):
        run(path, tmp_path / "new.db")


def test_an_empty_gallery_becomes_an_empty_gallery(tmp_path: Path) -> None:
    GalleryStore.create(tmp_path / "e.db", tower=OLD, dim=3, precision="fp32").close()
    assert run(tmp_path / "e.db", tmp_path / "new.db").references == 0


def test_undo_takes_back_no_part_of_what_was_made(old: Path, tmp_path: Path) -> None:
    run(old, tmp_path / "new.db")
    with GalleryStore.open(tmp_path / "new.db", read_only=False) as store:
        (change,) = store.history()
        assert (change.kind, change.summary, change.undoable) == ("reembed", "9 references", False)
        with pytest.raises(GalleryError, match="nothing to undo"):
            store.undo()
        assert store.reference_count == COUNT - 1


def test_the_command_embeds_with_another_bundle_and_switches(
    tiny_bundle: Path, tiny_gallery: Path, tiny_pictures: Path, tmp_path: Path, edge: Edge
) -> None:
    models = tmp_path / "models"
    files = {
        "detector.onnx": tiny_bundle / "detector.onnx",
        "tower.onnx": write_tower(models / "tower.onnx", noise=0.05),
    }
    other = write_bundle(tmp_path / "b", files=files, tower=tower_spec(fingerprint=NEW)).path
    new, site = tmp_path / "new.db", tmp_path / "site.json"
    options = ("--bundle", tiny_bundle, "--gallery", tiny_gallery)
    assert edge("gallery", "switch", site, *options).status == 0
    reembed = ("gallery", "reembed", tiny_gallery, "--bundle", other)
    report = edge(*reembed, "--out", new, "--site", site, "--json").json
    assert (report["references"], report["new_tower"]) == (4, NEW)
    assert report["site"]["tower"] == NEW
    out = tmp_path / "out"
    done = edge("audit", tiny_pictures / "a.png", "--site", site, "--out", out, "--json")
    assert done.json["facings"] == {"red": 2, "green": 1, "blue": 1, "yellow": 1}
    both = edge("audit", tiny_pictures, "--site", site, "--bundle", other, "--out", out)
    assert both.status == 2
    assert "--site" in both.error


REEMBEDDER = """
import sys, time
from pathlib import Path
from edge.gallery import reembed
from tests.edge.gallery.test_reembed import NEW, embed

def slow(images):
    time.sleep(0.03)
    return embed(images)

reembed.BATCH = 1
report = reembed.reembed_gallery(
    Path(sys.argv[1]), Path(sys.argv[2]), embed=slow, tower=NEW, dim=12, precision="fp32"
)
print(report.resumed)
"""


def test_killed_runs_lose_nothing_that_was_done(old: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.db"
    work = tmp_path / "new.db.reembed" / "gallery.db"
    words = [sys.executable, "-c", REEMBEDDER, str(old), str(out)]
    options = {"PYTHONPATH": str(ROOT), **os.environ}
    before = 0
    for wanted in (2, 5):
        process = subprocess.Popen(words, env=options)
        deadline = time.monotonic() + 60
        while before < wanted and time.monotonic() < deadline:
            time.sleep(0.02)
            with suppress(GalleryError):
                before = done(work)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
        assert done(work) >= before >= wanted
    last = subprocess.run(words, env=options, capture_output=True, check=True, timeout=60)
    assert int(last.stdout) >= before
    assert told(out) == told(old)
    assert not work.exists()


def done(work: Path) -> int:
    """How many references are in the gallery in the making."""
    if not work.exists():
        return 0
    with GalleryStore.open(work) as store:
        return len(store.vectors())
