"""HNSW against exact search, and its cache against all that can happen to a file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")

from edge.gallery import cache
from edge.gallery.exact import ExactIndex
from edge.gallery.index import EF_CONSTRUCTION, METRIC, HnswIndex, M, make_index
from edge.types import F32

N, DIM, K = 1500, 32, 10


@pytest.fixture(scope="module")
def clustered() -> F32:
    """Vectors as embeddings have them: 300 products, five views each."""
    rng = np.random.default_rng(8)
    centres = rng.standard_normal((N // 5, DIM))
    vectors = np.repeat(centres, 5, axis=0) + 0.5 * rng.standard_normal((N, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@pytest.fixture
def key() -> cache.CacheKey:
    return cache.CacheKey("0123456789abcdef", DIM, N, N, "d1", METRIC, M, EF_CONSTRUCTION)


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    return np.arange(N, dtype=np.int64) * 3 + 1


def test_neighbours_agree_with_exact_search(clustered: F32, ids) -> None:
    asked = np.roll(clustered, 1, axis=1)[:200] * 0.3 + clustered[:200]
    exact = ExactIndex(ids, clustered).search(asked, K)
    found = HnswIndex.build(ids, clustered).search(asked, K)
    same = [
        len(np.intersect1d(a, b)) / K
        for a, b in zip(exact.reference_id, found.reference_id, strict=True)
    ]
    assert np.mean(exact.reference_id[:, 0] == found.reference_id[:, 0]) >= 0.99
    assert np.mean(same) >= 0.97
    both = exact.reference_id == found.reference_id
    np.testing.assert_allclose(found.similarity[both], exact.similarity[both], atol=1e-5)
    assert np.all(np.diff(found.similarity, axis=1) <= 0)


def test_more_neighbours_than_references_are_filled_up(clustered: F32) -> None:
    found = HnswIndex.build(np.arange(7), clustered[:7]).search(clustered[:2], 12)
    assert sorted(found.reference_id[0, :7].tolist()) == list(range(7))
    assert np.all(found.reference_id[:, 7:] == -1)
    assert np.all(np.isneginf(found.similarity[:, 7:]))


def test_more_neighbours_than_ef_are_found(clustered: F32, ids) -> None:
    found = HnswIndex.build(ids, clustered, ef=20).search(clustered[:3], 400)
    assert np.all(found.reference_id >= 0)


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_a_query_that_means_nothing_finds_nothing(clustered: F32, ids, bad: float) -> None:
    asked = clustered[:3].copy()
    asked[1] = bad
    found = HnswIndex.build(ids, clustered).search(asked, 2)
    assert found.reference_id[1].tolist() == [-1, -1]
    assert found.reference_id[[0, 2], 0].tolist() == [ids[0], ids[2]]


def test_a_graph_that_equal_vectors_broke_gives_way_to_exact_search(clustered: F32) -> None:
    vectors = np.concatenate([np.repeat(clustered[:1], 600, axis=0), clustered[:600]])
    made = make_index(np.arange(1200), vectors, threshold=100)
    found = made.search(clustered[:600], 1)
    assert made.kind == "exact"
    assert "of its own references" in made.note
    np.testing.assert_allclose(found.similarity[:, 0], 1.0, atol=1e-3)


def test_the_second_start_loads_what_the_first_has_built(
    tmp_path: Path, clustered: F32, ids, key, caplog: pytest.LogCaptureFixture
) -> None:
    graph = cache.graph_path(tmp_path / "gallery.db")
    first = make_index(ids, clustered, threshold=10, keep=(graph, key))
    assert "there is none yet" in first.note
    assert "there is none yet" in caplog.text
    second = make_index(ids, clustered, threshold=10, keep=(graph, key))
    assert second.note == "graph loaded from cache"
    assert (first.kind, second.kind, len(second)) == ("hnsw", "hnsw", N)
    asked = clustered[::50]
    np.testing.assert_array_equal(
        first.search(asked, K).reference_id, second.search(asked, K).reference_id
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gallery.db.hnsw", "gallery.db.hnsw.json"]


def _saved(tmp_path: Path, clustered: F32, ids, key: cache.CacheKey) -> Path:
    graph = cache.graph_path(tmp_path / "gallery.db")
    HnswIndex.build(ids, clustered).save(graph, key)
    assert cache.flaw(graph, key) is None
    return graph


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("tower", "feedfeedfeedfeed"),
        ("dim", DIM + 1),
        ("count", N + 1),
        ("last_seq", N + 1),
        ("digest", "d2"),
        ("metric", "l2"),
    ],
)
def test_a_graph_of_anything_else_is_built_again(
    tmp_path: Path, clustered: F32, ids, key, field: str, other: object
) -> None:
    graph = _saved(tmp_path, clustered, ids, key)
    header = graph.with_name(graph.name + ".json")
    header.write_text(json.dumps(json.loads(header.read_text()) | {field: other}))
    assert field in str(cache.flaw(graph, key))
    assert (
        f"graph built: {field} is"
        in make_index(ids, clustered, threshold=10, keep=(graph, key)).note
    )
    assert cache.flaw(graph, key) is None


def test_no_damaged_byte_reaches_hnswlib(
    tmp_path: Path, clustered: F32, ids, key, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _saved(tmp_path, clustered, ids, key)
    whole = graph.read_bytes()
    rng = np.random.default_rng(2)
    for at in [*range(96), *rng.integers(0, len(whole), 60).tolist()]:
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        graph.write_bytes(damaged)
        assert "does not match its checksum" in str(cache.flaw(graph, key))
    for tenth in range(10):
        graph.write_bytes(whole[: len(whole) * tenth // 10])
        assert "bytes, expected" in str(cache.flaw(graph, key))
    monkeypatch.setattr(HnswIndex, "load", lambda *_: pytest.fail("a damaged graph was loaded"))
    made = make_index(ids, clustered, threshold=10, keep=(graph, key))
    assert made.search(clustered[:50], 1).reference_id[:, 0].tolist() == ids[:50].tolist()


def test_a_damaged_header_is_a_reason_to_build_again(
    tmp_path: Path, clustered: F32, ids, key
) -> None:
    graph = _saved(tmp_path, clustered, ids, key)
    header = graph.with_name(graph.name + ".json")
    whole = header.read_bytes()
    for at in range(len(whole)):
        header.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        harmless = chr(whole[at]).isspace()
        assert harmless or cache.flaw(graph, key) is not None, f"byte {at} of the header"
    for content in (b"", b"[]", b"\xff\xfe", whole[: len(whole) // 2]):
        header.write_bytes(content)
        assert cache.flaw(graph, key) is not None


def test_a_disk_that_is_full_leaves_no_half_graph(
    tmp_path: Path, clustered: F32, ids, key, caplog: pytest.LogCaptureFixture
) -> None:
    class FullDisk(HnswIndex):
        def save(self, path: Path, key: cache.CacheKey) -> None:
            cache.save(path, key, lambda body: body.write_bytes(b"half"), 4000)

    graph = cache.graph_path(tmp_path / "gallery.db")
    with pytest.raises(OSError, match="4 of 4000 bytes written"):
        FullDisk.build(ids, clustered).save(graph, key)
    assert list(tmp_path.iterdir()) == []
    with caplog.at_level(logging.WARNING, "edge.gallery"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(HnswIndex, "save", FullDisk.save)
        made = make_index(ids, clustered, threshold=10, keep=(graph, key))
    assert made.kind == "hnsw"
    assert "is not kept: 4 of 4000 bytes written" in caplog.text
