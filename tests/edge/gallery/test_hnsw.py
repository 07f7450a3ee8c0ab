"""The graph against exact search, and the traps of its library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")

from edge.errors import GalleryError
from edge.gallery import cache, recall
from edge.gallery import graph as graphs
from edge.gallery.base import Keep, make_base
from edge.gallery.compaction import extend
from edge.gallery.exact import ExactIndex
from edge.gallery.graph import Graph
from edge.gallery.hnsw import HnswIndex, Parts
from edge.gallery.measured import Recall
from edge.gallery.nodes import Nodes, vector_digests
from edge.gallery.projection import Projection
from edge.gallery.records import ReferenceSet, Snapshot
from edge.gallery.sources import InMemory, OnDisk
from edge.gallery.state import GalleryState
from edge.gallery.truth import nearest
from edge.gallery.workspace import Workspace
from edge.types import F32, I64

N, DIM, K = 1500, 96, 10


@pytest.fixture(scope="module")
def clustered() -> F32:
    """Vectors as embeddings have them: 300 products, five views each, of a few degrees of freedom."""
    rng = np.random.default_rng(8)
    centres = rng.standard_normal((N // 5, 12))
    points = np.repeat(centres, 5, axis=0) + 0.5 * rng.standard_normal((N, 12))
    vectors = points @ rng.standard_normal((12, DIM)) + 0.1 * rng.standard_normal((N, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


@pytest.fixture(scope="module")
def ids() -> I64:
    return np.arange(N, dtype=np.int64) * 3 + 1


@pytest.fixture(scope="module")
def queries(clustered: F32) -> F32:
    return np.asarray(np.roll(clustered, 1, axis=1)[:200] * 0.3 + clustered[:200], np.float32)


def test_neighbours_agree_with_exact_search(clustered: F32, ids: I64, queries: F32) -> None:
    exact = ExactIndex(ids, clustered).search(queries, K)
    found = HnswIndex.build(ids, clustered).search(queries, K)
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


def test_more_neighbours_than_the_beam_is_wide_are_found(clustered: F32, ids: I64) -> None:
    found = HnswIndex.build(ids, clustered, ef=16).search(clustered[:3], 400)
    assert np.all(found.reference_id >= 0)


def test_more_neighbours_than_live_nodes_are_filled_up(clustered: F32) -> None:
    graph = Graph.empty(DIM, 10)
    graph.add(clustered[:10], np.arange(10))
    graph.forget(np.array([0, 4, 9]))
    assert (len(graph), graph.alive) == (10, 7)
    found = graph.search(clustered[:2], 10)
    assert sorted(found[0, :7].tolist()) == [1, 2, 3, 5, 6, 7, 8]
    assert found[0, 7:].tolist() == [-1] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_query_that_means_nothing_finds_nothing(clustered: F32, ids: I64, bad: float) -> None:
    asked = clustered[:3].copy()
    asked[1] = bad
    found = HnswIndex.build(ids, clustered).search(asked, 2)
    assert found.reference_id[1].tolist() == [-1, -1]
    assert found.reference_id[[0, 2], 0].tolist() == [ids[0], ids[2]]
    assert np.all(np.isneginf(found.similarity[1]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 0.5])
def test_no_bad_vector_becomes_a_reference(
    tmp_path: Path, clustered: F32, ids: I64, bad: float
) -> None:
    vectors = clustered.copy()
    vectors[3] *= np.float32(bad)
    work = Workspace(tmp_path / "work", cache.Origin("g", "t", DIM), 1)
    for take in (HnswIndex.build, work.append):
        with pytest.raises(GalleryError, match=r"reference 10: vector must have L2 norm 1, got"):
            take(ids, vectors)
    assert work.references == 0


def test_the_length_of_a_query_does_not_matter(clustered: F32, ids: I64) -> None:
    index = HnswIndex.build(ids, clustered)
    near, far = index.search(clustered[:5], 4), index.search(clustered[:5] * np.float32(40), 4)
    np.testing.assert_array_equal(near.reference_id, far.reference_id)
    np.testing.assert_allclose(near.similarity, far.similarity, atol=1e-5)


def test_queries_of_another_dimension_are_refused(clustered: F32, ids: I64) -> None:
    with pytest.raises(GalleryError, match=rf"\(N, {DIM}\) as the gallery, got \(2, 9\)"):
        HnswIndex.build(ids, clustered).search(clustered[:2, :9], 1)


def test_equal_vectors_do_not_tear_the_graph_apart(clustered: F32) -> None:
    vectors = np.concatenate([np.repeat(clustered[:1], 900, axis=0), clustered[:600]])
    ids = np.arange(1500)
    made = make_base(ids, vectors, threshold=100)
    assert made.kind == "hnsw"
    assert len(made) == 1500
    found, exact = (
        made.search(clustered[:600], 1),
        ExactIndex(ids, vectors).search(clustered[:600], 1),
    )
    assert np.mean(found.reference_id == exact.reference_id) >= 0.99
    many = made.search(clustered[:1], 950)
    assert many.reference_id[0, :901].tolist() == [*range(901)]  # 900 copies and the first of 600
    np.testing.assert_allclose(many.similarity[0, :901], 1.0, atol=1e-5)


def test_only_equal_vectors_are_one_node(clustered: F32) -> None:
    nudged = clustered[:2].copy()
    nudged[1] = nudged[0]
    nudged[1, 3] = np.nextafter(nudged[1, 3], np.float32(1))
    assert len(np.unique(vector_digests(nudged))) == 2
    zero = np.zeros((2, 3), np.float32)
    zero[1] = -0.0
    assert len(np.unique(vector_digests(zero))) == 1  # minus zero is zero


def test_a_graph_that_finds_too_little_gives_way_to_exact_search(
    clustered: F32, ids: I64, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(self: Graph, points: F32, beam: int) -> I64:
        return np.zeros((len(points), beam), np.int64)

    monkeypatch.setattr(Graph, "search", blind)
    made = make_base(ids, clustered, threshold=100)
    assert made.kind == "exact"
    assert "of the nearest references: searched exactly" in made.note
    assert made.search(clustered[:9], 1).reference_id[:, 0].tolist() == ids[:9].tolist()


def test_the_smallest_beam_that_reaches_the_target_is_chosen(
    clustered: F32, ids: I64, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "HELD_OUT", 100)
    index = HnswIndex.build(ids, clustered, hold_out=recall.hold_out)
    held = recall.hold_out(N)
    modest, strict = (recall.choose_beam(index, held, target=t) for t in (0.5, 0.96))
    assert modest.ef == recall.BEAMS[0]
    assert modest.ef <= strict.ef
    assert modest.met
    assert modest.queries == len(held)
    assert 70 < len(held) < 130
    impossible = recall.choose_beam(index, held, target=1.1)
    assert (impossible.ef, impossible.met) == (recall.BEAMS[-1], False)


def test_a_lucky_sample_does_not_reach_the_target() -> None:
    assert Recall(16, 1.0, 1.0, 200, 0.99).met is False
    assert Recall(16, 1.0, 1.0, 300, 0.99).met is True
    assert Recall(16, 0.992, 1.0, 3000, 0.99).met is False
    assert Recall(16, 0.994, 1.0, 3000, 0.99).met is True
    assert Recall.from_json(Recall(24, 0.97, 0.9, 50, 0.99).to_json()) == Recall(
        24, 0.97, 0.9, 50, 0.99
    )


def test_what_is_promised_holds_for_queries_that_were_never_enrolled(unit) -> None:
    """Isotropic vectors are the worst that a graph can meet: here nodes would flatter it."""
    vectors, queries = unit(5000, 24, 1), unit(1000, 24, 2)
    index = HnswIndex.build(np.arange(5000), vectors, hold_out=recall.hold_out)
    promised = recall.complete(index, recall.hold_out(5000), target=0.93)
    assert len(index.parts.graph) == 5000
    exact = ExactIndex(np.arange(5000), vectors).search(queries, 1).reference_id
    found = index.search_at(queries, 1, promised.ef).reference_id
    assert np.mean(found == exact) == pytest.approx(promised.at_1, abs=0.015)
    assert np.mean(found == exact) >= 0.93


def test_measured_recall_is_that_of_exact_search(clustered: F32, ids: I64) -> None:
    index = HnswIndex.build(ids, clustered, hold_out=recall.hold_out)
    held = recall.hold_out(N)
    found = recall.choose_beam(index, held, target=0.0)
    there = np.delete(np.arange(N), held)
    exact = ExactIndex(ids[there], clustered[there]).search(clustered[held], 1)
    got = index.search_at(clustered[held], 1, recall.BEAMS[0])
    assert found.at_1 == np.mean(exact.reference_id == got.reference_id)


@pytest.mark.parametrize("seeded", [True, False])
def test_bounds_leave_no_nearest_node_out(clustered: F32, seeded: bool) -> None:
    projection, vectors = Projection.learn(clustered, 8), InMemory(clustered)
    left_out = np.arange(N) % 7 == 0
    cosine = clustered[:150] @ clustered.T
    cosine[:, left_out] = -np.inf
    true = -np.sort(-cosine, axis=1)[:, :K]
    least = true - 0.02 if seeded else np.full_like(true, -np.inf)
    found = nearest(clustered[:150], vectors, projection, left_out, least)
    np.testing.assert_allclose(found, true, atol=1e-6)


def test_few_new_nodes_leave_the_measured_recall_as_it_was(
    clustered: F32, ids: I64, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = HnswIndex.build(
        ids, clustered, hold_out=lambda count: recall.hold_out(count, first=1400)
    )
    held, before = recall.hold_out(N, first=1400), Recall(48, 0.991, 0.9, 2000, 0.99)
    assert recall.complete(index, held, least=before) == before
    assert len(index.parts.graph) == N
    monkeypatch.setattr(recall, "FEWEST", 10)
    index = HnswIndex.build(
        ids, clustered, hold_out=lambda count: recall.hold_out(count, first=1400)
    )
    assert recall.complete(index, held, least=before, target=0.5).ef == 48


def state_of(base, ids: I64, vectors: F32) -> GalleryState:
    references = ReferenceSet(ids, np.zeros(len(ids), np.int32), vectors, "")
    return GalleryState.of(Snapshot("1-g", 1, (), references), base)


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(cache.graph_path(tmp_path / "g.db"), cache.Origin("g", "t", DIM), 1)


def test_extending_adds_removes_and_leaves_the_old_index_alone(
    clustered: F32, ids: I64, keep: Keep
) -> None:
    old = make_base(ids[:1200], clustered[:1200], threshold=100)
    before = old.search(clustered[:50], K)
    stays = np.arange(100, N)
    made = extend(state_of(old, ids[stays], clustered[stays]), threshold=100, keep=keep)
    assert made.note == "graph extended by 300 references"
    assert len(made) == 1400
    exact = ExactIndex(ids[stays], clustered[stays]).search(clustered, 1)
    found = made.search(clustered, 1)
    assert np.mean(found.reference_id == exact.reference_id) >= 0.99
    assert not np.isin(found.reference_id, ids[:100]).any()
    np.testing.assert_array_equal(old.search(clustered[:50], K).reference_id, before.reference_id)


def test_many_dead_nodes_are_a_reason_to_build_anew(clustered: F32, ids: I64, keep: Keep) -> None:
    old = make_base(ids, clustered, threshold=100)
    state = state_of(old, ids[600:], clustered[600:])
    assert extend(state, threshold=100, keep=keep).note == "graph built"


def test_nodes_keep_their_numbers(clustered: F32) -> None:
    digest = np.array([5, 6, 5, 7], np.uint64)
    nodes, rows, dead = Nodes.none().updated(np.array([1, 2, 3, 4]), digest)
    assert (nodes.ids.tolist(), nodes.start.tolist()) == ([1, 3, 2, 4], [0, 2, 3, 4])
    assert (rows.tolist(), dead.tolist()) == ([0, 1, 3], [])
    later, rows, dead = nodes.updated(np.array([3, 4, 8, 9]), np.array([5, 7, 6, 9], np.uint64))
    assert (later.ids.tolist(), later.start.tolist()) == ([3, 8, 4, 9], [0, 1, 2, 3, 4])
    assert (rows.tolist(), dead.tolist()) == ([3], [])
    last, _, dead = later.updated(np.array([9]), np.array([9], np.uint64))
    assert (last.start.tolist(), dead.tolist()) == ([0, 0, 0, 0, 1], [0, 1, 2])
    again, rows, _ = last.updated(np.array([9, 10]), np.array([9, 5], np.uint64))
    assert (len(again), rows.tolist()) == (5, [1])  # a dead node is not used again


def test_the_projection_shortens_no_distance_by_much(clustered: F32) -> None:
    projection = Projection.learn(clustered, 16)
    assert projection.dim == 16
    points = projection(clustered)
    true = np.linalg.norm(clustered[:100, None] - clustered[None, :100], axis=2)
    made = np.linalg.norm(points[:100, None] - points[None, :100], axis=2)
    assert np.all(made <= true + 1e-5)
    assert np.mean(made[true > 0] / true[true > 0]) > 0.9
    few = Projection.learn(clustered[:, :8], 16)
    np.testing.assert_array_equal(few(clustered[:3, :8]), clustered[:3, :8])


def test_vectors_on_disk_are_searched_like_those_in_memory(
    tmp_path: Path, clustered: F32, ids: I64, queries: F32
) -> None:
    made = HnswIndex.build(ids, clustered)
    path = tmp_path / "vectors"
    clustered.astype("<f2").tofile(path)
    on_disk = HnswIndex(
        Parts(made.parts.graph, made.parts.projection, made.parts.nodes, OnDisk(path, DIM, N))
    )
    near, far = made.search(queries, K), on_disk.search(queries, K)
    assert np.mean(near.reference_id == far.reference_id) > 0.99
    np.testing.assert_allclose(near.similarity, far.similarity, atol=3e-4)


def test_a_vector_file_that_is_cut_while_in_use_is_an_error(tmp_path: Path, clustered: F32) -> None:
    path = tmp_path / "vectors"
    clustered.astype("<f2").tofile(path)
    source = OnDisk(path, DIM, N)
    with path.open("r+b") as file:
        file.truncate(DIM * 2 * 10)
    np.testing.assert_allclose(source.take(np.array([9])), clustered[9:10], atol=1e-3)
    for read in (lambda: source.take(np.array([700])), lambda: source.block(0, 20)):
        with pytest.raises(GalleryError, match="became shorter while it was in use"):
            read()
    with pytest.raises(GalleryError, match=r"has \d+ bytes, expected"):
        OnDisk(path, DIM, N)


def test_a_full_graph_takes_no_more(clustered: F32) -> None:
    graph = Graph.empty(DIM, 3)
    graph.add(clustered[:3], np.arange(3))
    with pytest.raises(GalleryError, match="no room for 2 more"):
        graph.add(clustered[3:5], np.arange(3, 5))


def test_a_graph_of_another_size_is_refused(tmp_path: Path, clustered: F32) -> None:
    graph = Graph.empty(DIM, 9)
    graph.add(clustered[:9], np.arange(9))
    graph.save(tmp_path / "graph")
    assert (tmp_path / "graph").stat().st_size == graph.file_bytes
    with pytest.raises(GalleryError, match="holds 9 nodes of M 16, not 8 of 16"):
        Graph.load(tmp_path / "graph", DIM, 8, room=3)


def test_ef_is_never_left_to_the_library(clustered: F32, ids: I64) -> None:
    """A graph that was loaded has hnswlib's ef of 10: the beam must come from the call."""
    index = HnswIndex.build(ids, clustered)
    index.parts.graph._hnsw.set_ef(1)
    narrow = index.search_at(clustered[:300], 1, 1)
    index.parts.graph._hnsw.set_ef(400)
    again = HnswIndex(index.parts, ef=200).search(clustered[:300], 1)
    assert np.mean(again.reference_id[:, 0] == ids[:300]) >= 0.99
    assert np.mean(narrow.reference_id[:, 0] == ids[:300]) >= 0.9
    assert graphs.M == 16
