"""Indexes that are built block by block: resumable at any moment, and as good as those in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hnswlib", reason="hnswlib is not installed: no graph to test")

from edge.errors import GalleryError
from edge.gallery import cache, stored
from edge.gallery.exact import ExactIndex
from edge.gallery.graph import Graph
from edge.gallery.scale import build_on_disk
from edge.gallery.workspace import Workspace
from edge.types import F32, I64
from tests.conftest import ROOT

N, DIM, STEP = 900, 16, 200
ORIGIN = cache.Origin("g1", "0123456789abcdef", DIM)
IDS = np.arange(N, dtype=np.int64) * 2 + 5


@pytest.fixture(scope="module")
def vectors(unit) -> F32:
    made = unit(N, DIM, 5)
    made[100:150] = made[7]  # one picture, fifty times
    made[500] = made[3]
    return made


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return cache.graph_path(tmp_path / "gallery.db")


def source_of(vectors: F32, ids: I64 = IDS):
    def source(after: int) -> Iterator[tuple[I64, F32]]:
        left = np.flatnonzero(ids > after)
        for start in range(0, len(left), STEP):
            rows = left[start : start + STEP]
            yield ids[rows], vectors[rows]

    return source


class Killed(Exception):
    """Stands for the end of the process."""


def build(index: Path, vectors: F32, stop: tuple[str, int] | None = None) -> list[tuple[str, int]]:
    seen = []

    def progress(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        seen.append((stage, done))
        if seen[-1] == stop:
            raise Killed

    build_on_disk(
        index,
        ORIGIN,
        source_of(vectors),
        references=N,
        last_seq=11,
        checkpoint_nodes=300,
        block=150,
        progress=progress,
    )
    return seen


def is_right(index: Path, vectors: F32, unit) -> None:
    header = cache.read(index, ORIGIN)
    assert (header.references, header.nodes, header.last_seq) == (N, N - 51, 11)
    made = stored.load(index, header)
    queries = unit(60, DIM, 9)
    exact = ExactIndex(IDS, vectors).search(queries, 4)
    found = made.search(queries, 4)
    assert np.mean(found.reference_id[:, 0] == exact.reference_id[:, 0]) >= 0.98
    assert np.mean(found.reference_id == exact.reference_id) >= 0.9
    same = found.reference_id == exact.reference_id
    np.testing.assert_allclose(found.similarity[same], exact.similarity[same], atol=5e-4)
    twins = made.search(vectors[7:8], 60).reference_id[0]
    assert twins[:51].tolist() == [IDS[7], *IDS[100:150]]
    left = sorted(path.suffix for path in index.parent.iterdir())
    assert left == [".hnsw", ".json", ".lock", ".nodes", ".vectors"]


def test_a_build_in_one_go(index: Path, vectors: F32, unit) -> None:
    seen = build(index, vectors)
    assert [stage for stage, _ in seen] == [*["copy"] * 5, *["graph"] * 6, "measure", "measure"]
    is_right(index, vectors, unit)
    assert cache.read_header(index).recall["at_1"] >= 0.99


@pytest.mark.parametrize("stop", [("copy", 400), ("copy", 900), ("graph", 600), ("measure", 0)])
def test_a_build_that_was_stopped_goes_on_where_it_was(
    index: Path, vectors: F32, unit, stop: tuple[str, int]
) -> None:
    with pytest.raises(Killed):
        build(index, vectors, stop)
    assert not cache.header_path(index).exists()
    seen = build(index, vectors)
    if stop[0] == "copy":
        assert [n for s, n in seen if s == "copy"] == list(range(stop[1] + STEP, N, STEP)) + (
            [N] if stop[1] < N else []
        )
    else:
        first = min((n for s, n in seen if s == "graph"), default=N)
        assert not [s for s, _ in seen if s == "copy"]
        assert first > 300  # the first checkpoint counts
    is_right(index, vectors, unit)


@pytest.mark.parametrize("name", ["vectors", "ids", "node", "digest", "state.json"])
def test_work_that_was_damaged_meanwhile_is_done_anew(
    index: Path, vectors: F32, unit, name: str
) -> None:
    with pytest.raises(Killed):
        build(index, vectors, ("graph", 600))
    path = index.with_name(index.name + ".work") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert build(index, vectors)[0][0] == "copy"
    is_right(index, vectors, unit)


def test_a_damaged_checkpoint_of_the_graph_never_reaches_hnswlib(
    index: Path, vectors: F32, unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        build(index, vectors, ("graph", 600))
    folder = index.with_name(index.name + ".work")
    (graph,) = folder.glob("graph-*")
    graph.write_bytes(graph.read_bytes()[:-1] + b"\xff")
    with monkeypatch.context() as patch:
        patch.setattr(Graph, "load", lambda *_, **__: pytest.fail("a damaged graph was loaded"))
        build(index, vectors)
    is_right(index, vectors, unit)


def test_a_half_written_block_is_cut_off(index: Path, vectors: F32, unit) -> None:
    with pytest.raises(Killed):
        build(index, vectors, ("copy", 400))
    for name in ("vectors", "ids", "node", "digest"):
        with (index.with_name(index.name + ".work") / name).open("ab") as file:
            file.write(b"torn")
    build(index, vectors)
    is_right(index, vectors, unit)


def test_no_damaged_byte_of_a_large_index_is_searched(index: Path, vectors: F32) -> None:
    build(index, vectors)
    header = cache.read(index, ORIGIN)
    rng = np.random.default_rng(4)
    for role in ("hnsw", "nodes", "vectors"):
        path = cache.file_of(index, header, role)
        whole = path.read_bytes()
        for at in rng.integers(0, len(whole), 40).tolist():
            damaged = bytearray(whole)
            damaged[at] ^= int(rng.integers(1, 256))
            path.write_bytes(damaged)
            with pytest.raises(GalleryError, match="does not match its checksum"):
                cache.read(index, ORIGIN)
        for tenth in range(10):
            path.write_bytes(whole[: len(whole) * tenth // 10])
            with pytest.raises(GalleryError, match="bytes, expected"):
                cache.read(index, ORIGIN)
        path.write_bytes(whole)
    assert cache.read(index, ORIGIN) == header


def test_work_for_another_gallery_is_no_use(tmp_path: Path, vectors: F32) -> None:
    work = Workspace(tmp_path / "work", ORIGIN, 3)
    work.append(IDS[:10], vectors[:10])
    work.append(IDS[:0], vectors[:0])  # a source may have nothing to say
    same = Workspace(tmp_path / "work", ORIGIN, 9)
    assert (same.resumed, same.references, same.last_id, same.last_seq) == (True, 10, 23, 3)
    other = Workspace(tmp_path / "work", cache.Origin("g2", ORIGIN.tower, DIM), 9)
    assert (other.resumed, other.references, other.last_id, other.last_seq) == (False, 0, -1, 9)


def test_one_build_at_a_time(index: Path, vectors: F32) -> None:
    with cache.writing(index), pytest.raises(GalleryError, match="another process is building"):
        build(index, vectors)


def test_nothing_to_index_is_an_error(index: Path) -> None:
    with pytest.raises(GalleryError, match="no references to index"):
        build_on_disk(index, ORIGIN, lambda after: iter(()), references=0, last_seq=0)


def test_a_killed_build_goes_on(index: Path, unit) -> None:
    """The real process, killed with SIGKILL at moments of its own, until it is through."""
    vectors = unit(N, DIM, 5)
    vectors[100:150] = vectors[7]
    vectors[500] = vectors[3]
    program = ROOT / "tests" / "edge" / "gallery" / "killed_build.py"
    for delay in ("copy:400", "graph:300", "graph:600", "never"):
        done = subprocess.run(
            [sys.executable, str(program), str(index), delay],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == (0 if delay == "never" else -9), done.stderr
    stages = json.loads(done.stdout)
    assert "copy" not in stages
    is_right(index, vectors, unit)
