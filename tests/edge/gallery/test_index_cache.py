"""The kept index against all that can happen to its files."""

from __future__ import annotations

import json
import logging
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")

from edge.errors import GalleryError, OutputError
from edge.gallery import cache, stored
from edge.gallery.base import Keep, load_base, make_base
from edge.gallery.gallery import Gallery
from edge.gallery.graph import Graph
from edge.gallery.hnsw import HnswIndex
from edge.gallery.measured import Recall
from edge.gallery.places import cache_folder, index_places
from edge.gallery.store import GalleryStore
from edge.types import F32, Embeddings

N, DIM = 300, 24
ORIGIN = cache.Origin("g1", "0123456789abcdef", DIM)
IDS = np.arange(N, dtype=np.int64) * 3 + 1
RECALL = Recall(16, 1.0, 1.0, 100, 0.99)


@pytest.fixture(scope="module")
def vectors(unit) -> F32:
    return unit(N, DIM, 5)


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(cache.graph_path(tmp_path / "gallery.db"), ORIGIN, 7)


@pytest.fixture
def kept(keep: Keep, vectors: F32) -> Keep:
    """An index that is kept; ``vectors`` of IDS."""
    with cache.writing(keep.index) as mine:
        assert mine
        stored.save(keep.index, HnswIndex.build(IDS, vectors), ORIGIN, 7, RECALL)
    return keep


def files(keep: Keep) -> list[Path]:
    header = cache.read_header(keep.index)
    return [cache.file_of(keep.index, header, role) for role in header.files]


def test_what_was_kept_is_loaded_and_finds_the_same(kept: Keep, vectors: F32) -> None:
    loaded = load_base(IDS, vectors, kept)
    built = HnswIndex.build(IDS, vectors)
    assert (loaded.note, len(loaded), loaded.ef) == ("graph loaded from cache", N, 16)
    a, b = loaded.search_at(vectors, 5, 32), built.search_at(vectors, 5, 32)
    np.testing.assert_array_equal(a.reference_id, b.reference_id)
    names = sorted(path.suffix for path in kept.index.parent.iterdir())
    assert names == [".hnsw", ".json", ".lock", ".nodes"]


def test_the_beam_and_its_recall_are_kept_in_the_header(kept: Keep) -> None:
    header = cache.read(kept.index, ORIGIN)
    assert (header.ef, header.last_seq, header.references, header.nodes) == (16, 7, N, N)
    assert header.measured == RECALL
    assert header.recall["at_1_low"] == pytest.approx(0.9737, abs=1e-4)


@pytest.mark.parametrize(
    ("field", "other"),
    [("gallery_id", "g2"), ("tower", "feedfeedfeedfeed"), ("dim", DIM + 1)],
)
def test_an_index_of_another_gallery_is_not_loaded(
    kept: Keep, vectors: F32, field: str, other: object
) -> None:
    origin = replace(ORIGIN, **{field: other})
    with pytest.raises(GalleryError, match=f"origin is .*{other}"):
        load_base(IDS, vectors, replace(kept, origin=origin))


@pytest.mark.parametrize(
    ("field", "other"),
    [("metric", "cosine"), ("m", 24), ("ef_construction", 50), ("layout", "big-32"), ("format", 1)],
)
def test_an_index_of_another_make_is_not_loaded(
    kept: Keep, vectors: F32, field: str, other: object
) -> None:
    path = cache.header_path(kept.index)
    content = json.loads(path.read_text()) | {field: other}
    del content["checksum"]
    path.write_text(json.dumps(content | {"checksum": cache._seal(content)}))
    with pytest.raises(GalleryError, match=f"{field} is .*, expected"):
        load_base(IDS, vectors, kept)


def test_no_damaged_byte_reaches_hnswlib(
    kept: Keep, vectors: F32, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Graph, "load", lambda *_, **__: pytest.fail("a damaged graph was loaded"))
    rng = np.random.default_rng(2)
    for path in files(kept):
        whole = path.read_bytes()
        for at in [*range(96), *rng.integers(0, len(whole), 60).tolist()]:
            damaged = bytearray(whole)
            damaged[at] ^= int(rng.integers(1, 256))
            path.write_bytes(damaged)
            with pytest.raises(GalleryError, match="does not match its checksum"):
                load_base(IDS, vectors, kept)
        for tenth in range(10):
            path.write_bytes(whole[: len(whole) * tenth // 10])
            with pytest.raises(GalleryError, match="bytes, expected"):
                load_base(IDS, vectors, kept)
        path.unlink()
        with pytest.raises(GalleryError, match="cannot be read: No such file"):
            load_base(IDS, vectors, kept)
        path.write_bytes(whole)


def test_no_damaged_header_is_believed(kept: Keep) -> None:
    path = cache.header_path(kept.index)
    whole = path.read_bytes()
    before, messages = cache.read_header(kept.index), set()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        try:
            after = cache.read_header(kept.index)
        except GalleryError as error:
            messages.add(str(error))
        else:
            assert after == before, f"byte {at} of the header"
    assert messages == {"gallery.db.hnsw.json is damaged"}
    for content in (b"", b"[]", b"\xff\xfe", b"1", b'{"checksum": 1}', b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(GalleryError, match="is damaged"):
            cache.read_header(kept.index)
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(GalleryError, match="is damaged"):
            cache.read_header(kept.index)


def test_every_damage_leads_to_a_new_graph_and_right_answers(
    small: Path, unit, caplog: pytest.LogCaptureFixture
) -> None:
    first = Gallery.open(small, threshold=2)
    assert first.index.note.startswith("graph built: there is none yet")
    index = cache.graph_path(small)
    for role in ("hnsw", "nodes", "json"):
        header = cache.read_header(index)
        path = cache.header_path(index) if role == "json" else cache.file_of(index, header, role)
        path.write_bytes(path.read_bytes()[:-3] + b"xyz")
        again = Gallery.open(small, threshold=2)
        assert again.index.note.startswith("graph built: ")
        assert role in again.index.note
        found = again.search(Embeddings(unit(3, 8, 1), again.tower), 1)
        np.testing.assert_allclose(found.similarity[:, 0], 1.0, atol=1e-5)
        assert "is built" in caplog.text
        assert Gallery.open(small, threshold=2).index.note == "graph loaded from cache"
        left = [p for p in small.parent.iterdir() if p.suffix in (".hnsw", ".nodes")]
        assert len(left) == 2


def test_an_id_with_another_vector_is_searched_by_what_it_is_now(kept: Keep, unit) -> None:
    """A gallery that was put back from a copy may give an id out a second time."""
    from edge.gallery.records import ReferenceSet, Snapshot
    from edge.gallery.state import GalleryState

    vectors = unit(N, DIM, 5)
    vectors[10] = unit(1, DIM, 99)[0]
    base = load_base(IDS, vectors, kept)
    references = ReferenceSet(IDS, np.zeros(N, np.int32), vectors, "")
    state = GalleryState.of(Snapshot("9-g1", 9, (), references), base)
    assert (state.gone.tolist(), state.delta_ids.tolist()) == ([31], [31])
    found = state.index().search(vectors[10:11], N)
    assert found.reference_id[0, 0] == 31
    assert sorted(found.reference_id[0].tolist()) == IDS.tolist()
    np.testing.assert_array_equal(state.vectors(), vectors)


@contextmanager
def file_size_limit(bytes_: int) -> Iterator[None]:
    """No file of this process can grow beyond this size; Python ignores the signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 100, 20_000, 40_000])
def test_a_full_disk_leaves_no_half_index_and_the_last_one_whole(
    kept: Keep, vectors: F32, room: int, caplog: pytest.LogCaptureFixture
) -> None:
    more = np.concatenate([vectors, -vectors])
    ids = np.arange(2 * N)
    before = sorted(path.name for path in kept.index.parent.iterdir())
    with file_size_limit(room):
        made = make_base(ids, more, threshold=10, keep=kept)
    assert made.kind == "hnsw"
    assert "is not kept, and will be built again" in caplog.text
    assert "cannot be written" in caplog.text
    assert sorted(path.name for path in kept.index.parent.iterdir()) == before
    assert len(load_base(IDS, vectors, kept)) == N


def test_hnswlib_itself_says_nothing_of_a_full_disk(tmp_path: Path, vectors: F32) -> None:
    """Why every size is checked; when this fails, hnswlib has learned to speak."""
    graph = HnswIndex.build(IDS, vectors).parts.graph
    with file_size_limit(10_000):
        graph.save(tmp_path / "graph")
    assert (tmp_path / "graph").stat().st_size < graph.file_bytes
    with file_size_limit(10_000), pytest.raises(OutputError, match=r"10000 of \d+ bytes written"):
        stored.write_graph(tmp_path / "graph", graph)


def test_what_a_killed_process_left_is_removed(kept: Keep, vectors: F32) -> None:
    folder = kept.index.parent
    good = {path.name for path in folder.iterdir()}
    for name in (
        "gallery.db.00ff00ff.hnsw",
        "gallery.db.00ff00ff.nodes",
        "gallery.db.00ff00ff.vectors",
        ".gallery.db.hnsw.json.a1b2c3.tmp",
    ):
        (folder / name).write_bytes(b"half")
    others = {"gallery.db", "other.db.00ff00ff.hnsw", "gallery.db.notes.hnsw-x"}
    for name in others:
        (folder / name).write_bytes(b"of somebody else")
    with cache.writing(kept.index):
        assert len(cache.clean(kept.index)) == 4
    assert {path.name for path in folder.iterdir()} == good | others
    assert len(load_base(IDS, vectors, kept)) == N


def test_a_kill_while_an_index_is_written_costs_nothing(tmp_path: Path) -> None:
    """Killed at every file operation of the writing: the old index or the new one, never a mixture."""
    index = cache.graph_path(tmp_path / "gallery.db")
    seen = set()
    for at in range(1, 60):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, str(index), str(at)], capture_output=True, text=True
        )
        assert done.returncode in (0, -9), done.stderr
        try:
            header = cache.read(index, cache.Origin("g", "t", 8))
        except GalleryError as error:
            seen.add(str(error))
        else:
            seen.add(header.last_seq)
        if done.returncode == 0:
            break
    assert done.returncode == 0
    assert {text for text in seen if isinstance(text, str)} == {"there is none yet"}
    assert len(seen) >= 2
    left = sorted(path.suffix for path in tmp_path.iterdir())
    assert left == [".hnsw", ".json", ".lock", ".nodes"]


_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from edge.gallery import cache, stored
from edge.gallery.hnsw import HnswIndex
from edge.gallery.measured import Recall

left = int(sys.argv[2])
def die(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "os.replace") and "gallery.db" in str(arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
index = Path(sys.argv[1])
made = HnswIndex.build(np.arange(8), np.eye(8, dtype=np.float32))
sys.addaudithook(die)
with cache.writing(index) as mine:
    stored.save(index, made, cache.Origin("g", "t", 8), left, Recall(16, 1.0, 1.0, 20, 0.99))
"""


def test_two_processes_do_not_write_one_index(kept: Keep, vectors: F32) -> None:
    with cache.writing(kept.index) as mine, cache.writing(kept.index) as second:
        assert (mine, second) == (True, False)
        made = make_base(IDS, vectors, threshold=10, keep=replace(kept, last_seq=8))
        assert made.kind == "hnsw"
    assert cache.read_header(kept.index).last_seq == 7


def test_on_a_read_only_medium_the_graph_is_kept_in_the_cache_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert index_places(small) == (cache.graph_path(small),)
    real = __import__("os").access
    monkeypatch.setattr(
        "os.access", lambda path, mode: Path(path) != small.parent and real(path, mode)
    )
    own, beside = index_places(small)
    assert own.parent == tmp_path / "cache" / "shelf-edge" / "galleries"
    assert beside == cache.graph_path(small)
    assert Gallery.open(small, threshold=2).index.note.startswith("graph built")
    assert Gallery.open(small, threshold=2).index.note == "graph loaded from cache"
    assert not [path for path in small.parent.iterdir() if "hnsw" in path.name]
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/shelf-edge:/other")
    assert cache_folder() == Path("/var/cache/shelf-edge")


def test_a_graph_delivered_on_a_read_only_medium_is_used(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Gallery.open(small, threshold=2).index.note.startswith("graph built")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = __import__("os").access
    monkeypatch.setattr(
        "os.access", lambda path, mode: Path(path) != small.parent and real(path, mode)
    )
    assert Gallery.open(small, threshold=2).index.note == "graph loaded from cache"
    assert not (tmp_path / "cache").exists()


def test_a_new_gallery_in_the_place_of_an_old_one_has_no_use_for_its_graph(
    small: Path, tmp_path: Path, unit, new_reference
) -> None:
    Gallery.open(small, threshold=2)
    index = cache.graph_path(small)
    old = {p.name: p.read_bytes() for p in index.parent.iterdir() if p.suffix in (".hnsw", ".json")}
    other = tmp_path / "other" / "gallery.db"
    other.parent.mkdir()
    from edge.gallery.records import Sku

    with GalleryStore.create(other, tower="0123456789abcdef", dim=8, precision="fp32") as store:
        store.add_sku(Sku("z"))
        store.add_references([new_reference("z", v) for v in unit(3, 8, 70)])
    for name, content in old.items():
        (other.parent / name).write_bytes(content)
    opened = Gallery.open(other, threshold=2)
    assert "origin is" in opened.index.note
    found = opened.search(Embeddings(unit(3, 8, 70), opened.tower), 1)
    np.testing.assert_allclose(found.similarity[:, 0], 1.0, atol=1e-5)
    shutil.rmtree(other.parent)


def test_a_graph_that_cannot_be_kept_is_said(
    kept: Keep, vectors: F32, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = replace(kept, index=files(kept)[0] / "gallery.db.hnsw")
    with caplog.at_level(logging.WARNING, "edge.gallery"):
        assert make_base(IDS, vectors, threshold=10, keep=nowhere).kind == "hnsw"
    assert "will be built again" in caplog.text
