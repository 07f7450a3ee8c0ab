"""A gallery that is searched while it changes answers as exact search over a committed state would."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.errors import GalleryError
from edge.gallery import opened, recall
from edge.gallery.exact import ExactIndex
from edge.gallery.layered import LayeredIndex
from edge.gallery.live import LiveGallery
from edge.gallery.records import Sku
from edge.gallery.store import GalleryStore
from edge.types import F32, Embeddings

TOWER = "0123456789abcdef"
DIM = 8


@pytest.fixture(autouse=True)
def wide_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are searched whole: here the state that answers is tested, not how often one is missed."""
    monkeypatch.setattr(recall, "BEAMS", (4096,))


@pytest.fixture(params=["exact", "hnsw", "on disk"])
def threshold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    if request.param == "exact":
        return 10_000
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    if request.param == "on disk":
        monkeypatch.setattr(opened, "ON_DISK_FROM", 2)
        return 2
    return 5


@pytest.fixture
def live(small: Path, threshold: int) -> Iterator[LiveGallery]:
    with LiveGallery.open(small, threshold=threshold) as gallery:
        yield gallery


@pytest.fixture
def writer(small: Path) -> Iterator[GalleryStore]:
    with GalleryStore.open(small, read_only=False) as store:
        yield store


def agrees(gallery, path: Path, queries: F32, k: int) -> None:
    """``gallery`` answers as exact search over what the file holds now."""
    # vectors on disk have half precision
    near = 1e-3 if opened.ON_DISK_FROM < 1000 else 1e-5
    with GalleryStore.open(path) as store:
        snapshot = store.snapshot()
    held = snapshot.references
    assert gallery.version == snapshot.version
    assert list(gallery.skus.values()) == list(snapshot.skus)
    assert len(gallery) == len(gallery.index) == len(held)
    np.testing.assert_array_equal(gallery._reference_sku, held.sku_index)
    exact = ExactIndex(held.ids, held.vectors).search(queries, k + 1)
    found = gallery.search(Embeddings(queries, TOWER), k)
    np.testing.assert_allclose(found.similarity, exact.similarity[:, :k], atol=near)
    # float32 cannot tell which of two equal vectors is nearer
    gaps = -np.diff(np.maximum(exact.similarity, -9), axis=1, append=-99)
    apart = (gaps[:, :k] > near) & (np.roll(gaps, 1, axis=1)[:, :k] > near)
    np.testing.assert_array_equal(found.reference_id[apart], exact.reference_id[:, :k][apart])


def test_what_is_enrolled_relabelled_and_removed_counts_after_refresh(
    live: LiveGallery, writer: GalleryStore, small: Path, unit, new_reference
) -> None:
    before = live.current
    assert not live.refresh()
    added = writer.add_references([new_reference("c", v) for v in unit(4, DIM, 5)])
    assert live.refresh()
    agrees(live.current, small, unit(6, DIM, 6), 5)
    assert live.current.reference_counts() == {"a": 2, "b": 1, "c": 4}
    writer.relabel(added[:2], "b")
    writer.remove_references([added[2]])
    assert live.refresh()
    agrees(live.current, small, unit(6, DIM, 6), 9)
    assert live.current.reference_counts() == {"a": 2, "b": 3, "c": 1}
    writer.add_skus([Sku("0"), Sku("bb", category=("food",))])
    writer.remove_skus(["a"])
    assert live.refresh()
    assert list(live.current.skus) == ["0", "b", "bb", "c"]
    agrees(live.current, small, unit(6, DIM, 6), 3)
    assert (len(before), before.reference_counts()) == (3, {"a": 2, "b": 1, "c": 0})


def test_a_large_gallery_is_searched_on_disk(
    small: Path, unit, new_reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    from edge.gallery.sources import OnDisk
    from edge.gallery.state import GalleryState

    monkeypatch.setattr(opened, "ON_DISK_FROM", 50)
    monkeypatch.setattr(opened, "BACKLOG_AT_LEAST", 10)
    monkeypatch.setattr(GalleryState, "vectors", lambda self: pytest.fail("all vectors in memory"))
    with GalleryStore.open(small, read_only=False) as writer:
        writer.add_references([new_reference("c", v) for v in unit(100, DIM, 5)])
        with LiveGallery.open(small, threshold=20) as live:
            assert isinstance(live.current.index.parts.vectors, OnDisk)
            agrees(live.current, small, unit(9, DIM, 4), 5)
            writer.add_references([new_reference("b", v) for v in unit(30, DIM, 6)])
            writer.remove_references([4, 5, 6])
            live.refresh()
            live.wait()
            assert live.current.index.note == "graph extended by 30 references"
            agrees(live.current, small, unit(9, DIM, 4), 5)
    with LiveGallery.open(small, threshold=20) as again:
        assert again.current.index.note == "graph loaded from cache"
        assert isinstance(again.current.index.parts.vectors, OnDisk)
        agrees(again.current, small, unit(9, DIM, 4), 5)
    assert len([p for p in small.parent.iterdir() if p.suffix == ".vectors"]) == 1


def test_undo_brings_back_what_was_removed(
    live: LiveGallery, writer: GalleryStore, small: Path, unit
) -> None:
    writer.remove_skus(["a"])
    live.refresh()
    agrees(live.current, small, unit(6, DIM, 1), 3)
    writer.undo()
    live.refresh()
    agrees(live.current, small, unit(6, DIM, 1), 3)


def test_any_course_of_changes_gives_the_state_that_is_committed(
    small: Path, threshold: int, unit, new_reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "BACKLOG_AT_LEAST", 12)
    rng = np.random.default_rng(3)
    with (
        GalleryStore.open(small, read_only=False) as writer,
        LiveGallery.open(small, threshold=threshold) as live,
    ):
        with GalleryStore.open(small) as store:
            held = store.vectors().ids.tolist()
        for step in range(40):
            roll = rng.random()
            if roll < 0.5 or len(held) < 8:
                new = unit(int(rng.integers(1, 9)), DIM, 100 + step)
                if rng.random() < 0.3:
                    new[:] = new[0]  # one picture, many times
                sku = str(rng.choice(["a", "b", "c"]))
                held += writer.add_references([new_reference(sku, v) for v in new])
            elif roll < 0.8:
                gone = [held.pop(int(rng.integers(len(held)))) for _ in range(3)]
                writer.remove_references(gone)
            else:
                writer.relabel([held[int(rng.integers(len(held)))]], "c")
            if rng.random() < 0.6:
                live.refresh()
                if rng.random() < 0.5:
                    live.wait()
                agrees(live.current, small, unit(5, DIM, step), int(rng.integers(1, 30)))
        live.refresh()
        live.wait()
        agrees(live.current, small, unit(9, DIM, 7), 12)


def test_the_base_is_extended_in_the_background_and_changes_meanwhile_are_kept(
    small: Path, unit, new_reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")
    from edge.gallery import live as live_module

    monkeypatch.setattr(opened, "BACKLOG_AT_LEAST", 10)
    may_go, begun = threading.Event(), threading.Event()
    plain = live_module.extend

    def slow(*args, **kwargs):
        begun.set()
        assert may_go.wait(20)
        return plain(*args, **kwargs)

    monkeypatch.setattr(live_module, "extend", slow)
    with (
        GalleryStore.open(small, read_only=False) as writer,
        LiveGallery.open(small, threshold=5) as live,
    ):
        first = writer.add_references([new_reference("c", v) for v in unit(30, DIM, 5)])
        live.refresh()
        assert begun.wait(20)
        assert live.compacting
        writer.remove_references(first[:3])
        writer.add_references([new_reference("b", v) for v in unit(2, DIM, 6)])
        live.refresh()
        agrees(live.current, small, unit(5, DIM, 1), 12)
        may_go.set()
        assert live.wait(20)
        assert live.current.index.kind == "hnsw"
        assert "2 newer references searched exactly" in live.current.index.note
        assert "3 removed ones passed over" in live.current.index.note
        agrees(live.current, small, unit(5, DIM, 1), 12)
    with LiveGallery.open(small, threshold=5) as again:
        assert again.current.index.note.startswith("graph loaded from cache, 2 newer")
        agrees(again.current, small, unit(5, DIM, 1), 12)


def test_a_compaction_that_fails_changes_no_answer(
    small: Path, unit, new_reference, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    from edge.gallery import live as live_module

    monkeypatch.setattr(opened, "BACKLOG_AT_LEAST", 1)

    def broken(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(live_module, "extend", broken)
    with (
        GalleryStore.open(small, read_only=False) as writer,
        LiveGallery.open(small, threshold=100) as live,
    ):
        writer.add_references([new_reference("c", v) for v in unit(9, DIM, 5)])
        live.refresh()
        live.wait()
        assert "was not extended: no room" in caplog.text
        agrees(live.current, small, unit(5, DIM, 1), 4)


def test_when_the_journal_does_not_reach_back_the_file_is_read_anew(
    live: LiveGallery, writer: GalleryStore, small: Path, unit, new_reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    writer.add_references([new_reference("c", v) for v in unit(4, DIM, 5)])
    monkeypatch.setattr(GalleryStore, "changes_since", lambda self, seq: None)
    assert live.refresh()
    agrees(live.current, small, unit(6, DIM, 6), 5)


def test_changes_that_do_not_fit_are_not_believed(
    live: LiveGallery, writer: GalleryStore, small: Path, unit, new_reference, caplog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from dataclasses import replace

    writer.add_references([new_reference("c", v) for v in unit(4, DIM, 5)])
    plain = GalleryStore.changes_since

    def lies(self, seq):
        found = plain(self, seq)
        return found and replace(found, reference_count=found.reference_count + 1)

    monkeypatch.setattr(GalleryStore, "changes_since", lies)
    assert live.refresh()
    assert "read anew: changes do not lead to as many" in caplog.text
    agrees(live.current, small, unit(6, DIM, 6), 5)


def test_a_damaged_or_missing_file_leaves_the_gallery_as_it_was(
    live: LiveGallery, small: Path, unit
) -> None:
    before = live.current
    aside = small.with_name("aside.db")
    small.rename(aside)
    with pytest.raises(GalleryError, match="no such gallery"):
        live.refresh()
    assert live.current is before
    aside.rename(small)
    assert not live.refresh()


def test_a_gallery_of_another_tower_is_refused_while_running(
    live: LiveGallery, small: Path, tmp_path: Path
) -> None:
    small.unlink()
    for leftover in small.parent.glob("gallery.db*"):
        leftover.unlink()
    with GalleryStore.create(small, tower="feedfeed", dim=DIM, precision="fp32") as store:
        store.add_sku(Sku("z"))
    with pytest.raises(GalleryError, match=f"tower feedfeed, the bundle has {TOWER}"):
        live.refresh()
    assert list(live.current.skus) == ["a", "b", "c"]


def test_passing_over_the_removed_never_leaves_fewer_neighbours(unit) -> None:
    vectors = unit(400, DIM, 3)
    ids = np.arange(400)
    near = np.argsort(-(vectors @ vectors[0]))[:300]  # the whole neighbourhood is gone
    gone = np.sort(near)
    layered = LayeredIndex(ExactIndex(ids, vectors), gone, ExactIndex(ids[:0], vectors[:0]), 100)
    found = layered.search(vectors[:1], 50)
    stays = np.setdiff1d(ids, gone)
    exact = ExactIndex(stays, vectors[stays]).search(vectors[:1], 50)
    np.testing.assert_array_equal(found.reference_id, exact.reference_id)
    everything = layered.search(vectors[:1], 130)
    assert (everything.reference_id >= 0).sum() == 100
    bad = layered.search(np.full((2, DIM), np.nan, np.float32), 3)
    assert np.all(bad.reference_id == -1)


def soak(path: Path, total: int, threads: int, unit, new_reference) -> dict[str, float]:
    """Search in several threads while ``total`` references are added and removed.

    Every answer must be as many references as there can be, all of them of the committed state that
    the gallery says it is, and as similar as they really are.
    """
    rng = np.random.default_rng(1)
    enrolled: dict[int, F32] = {}
    at_version: dict[str, frozenset[int]] = {}
    problems: list[str] = []
    searches = 0
    done = threading.Event()
    queries = unit(64, DIM, 77)

    def searching(seed: int) -> None:
        nonlocal searches
        while not done.is_set():
            gallery = live.current
            found = gallery.search(Embeddings(queries, TOWER), 5)
            searches += 1
            while gallery.version not in at_version:
                time.sleep(0.001)
            living = at_version[gallery.version]
            expected = min(5, len(living))
            for row in range(len(queries)):
                ids = found.reference_id[row]
                if (ids >= 0).sum() != expected or not set(ids[:expected].tolist()) <= living:
                    problems.append(f"{gallery.version}: {ids}")
                    done.set()
                    return
                true = np.array([enrolled[i] @ queries[row] for i in ids[:expected].tolist()])
                if np.abs(true - found.similarity[row, :expected]).max() > 1e-4:
                    problems.append(f"{gallery.version}: similarity of {ids}")
                    done.set()
                    return

    with (
        GalleryStore.open(path, read_only=False) as writer,
        LiveGallery.open(path, threshold=200) as live,
    ):
        with GalleryStore.open(path) as store:
            first = store.vectors()
        enrolled.update(zip(first.ids.tolist(), first.vectors, strict=True))
        alive = list(enrolled)
        at_version[writer.version] = frozenset(alive)
        workers = [threading.Thread(target=searching, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        changed, slowest = 0, 0.0
        while changed < total and not problems:
            count = int(rng.integers(1, min(500, total // 8)))
            if len(alive) > total // 4 and rng.random() < 0.5:
                rng.shuffle(alive)
                gone, alive = alive[:count], alive[count:]
                writer.remove_references(gone)
                count = len(gone)
            else:
                new = unit(count, DIM, int(rng.integers(1 << 30)))
                added = writer.add_references([new_reference("c", v) for v in new])
                enrolled.update(zip(added, new, strict=True))
                alive += added
            at_version[writer.version] = frozenset(alive)
            changed += count
            begun = time.perf_counter()
            live.refresh()
            slowest = max(slowest, time.perf_counter() - begun)
        live.wait()
        done.set()
        for worker in workers:
            worker.join(60)
            assert not worker.is_alive()
        assert problems == []
        agrees(live.current, path, unit(20, DIM, 4), 3)
    return {"changed": changed, "searches": searches, "slowest_refresh_s": slowest}


def test_searches_during_changes_see_committed_states(
    small: Path, unit, new_reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "BACKLOG_AT_LEAST", 40)
    report = soak(small, 250, 2, unit, new_reference)
    assert report["searches"] > 0


@pytest.mark.soak
def test_searches_during_ten_thousand_changes(
    small: Path, unit, new_reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "BACKLOG_AT_LEAST", 500)
    print(soak(small, 20_000, 4, unit, new_reference))
