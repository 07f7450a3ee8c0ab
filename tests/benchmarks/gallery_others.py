"""The gallery's index beside exact search, usearch and faiss on the same vectors, at the same recall.

Each index is built once, in a process of its own, and kept in a folder; all are then asked the same
queries, one at a time and on one thread, each with the smallest beam that reaches the target.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.gallery import cache, scale, stored
from edge.gallery.exact import ExactIndex
from edge.gallery.hnsw import HnswIndex
from edge.gallery.sources import InMemory
from edge.types import F32, I64
from tests.benchmarks.gallery import MADE, QUERY_BLOCK, apart, rss_mib, timed
from tests.benchmarks.vectors import BLOCK, shape_of

TARGET = 0.99
M, EF_CONSTRUCTION = 16, 100
BEAMS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
KINDS = ("ours", "ours in memory", "usearch", "usearch f16", "usearch i8", "faiss", "faiss sq8")


def load_vectors(folder: Path) -> F32:
    return np.load(folder / "vectors.npy", mmap_mode="r")


def prepare(folder: Path, count: int, asked: int, facings: Path | None) -> None:
    """Write references and queries: synthetic ones, or facings with those of every 12th photo asked."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "truth.npy").exists():
        return
    if facings is not None:
        stored_ = np.load(facings)
        vectors, photo = stored_["vectors"], stored_["photo"]
        held_out = np.isin(photo, np.unique(photo)[::12])
        rows = np.random.default_rng(0).permutation(np.flatnonzero(held_out))[:asked]
        references, queries = vectors[~held_out], vectors[rows]
        np.save(folder / "vectors.npy", references)
    else:
        queries = MADE.take(asked, first_block=QUERY_BLOCK)
        file = np.lib.format.open_memmap(
            folder / "vectors.npy", "w+", np.float32, (count, MADE.dim)
        )
        for number, block in enumerate(MADE.blocks(count)):
            file[number * BLOCK : number * BLOCK + len(block)] = block
        file.flush()
        references = file
    np.save(folder / "queries.npy", queries)
    best = np.full(len(queries), -np.inf, np.float32)
    truth = np.zeros(len(queries), np.int64)
    for start in range(0, len(references), BLOCK):
        cosine = queries @ np.array(references[start : start + BLOCK]).T
        at = cosine.argmax(axis=1)
        value = cosine[np.arange(len(queries)), at]
        truth = np.where(value > best, start + at, truth)
        best = np.maximum(best, value)
    np.save(folder / "truth.npy", truth)


def build(folder: Path, kind: str) -> dict[str, Any]:
    """Build and keep one index."""
    vectors = load_vectors(folder)
    count, dim = vectors.shape
    path = str(folder / kind.replace(" ", "-"))
    begun, cpu = time.perf_counter(), time.process_time()
    if kind == "ours":

        def source(after: int):
            for start in range(after + 1, count, BLOCK):
                yield (
                    np.arange(start, min(count, start + BLOCK)),
                    np.array(vectors[start : start + BLOCK]),
                )

        scale.build_on_disk(
            cache.graph_path(folder / "gallery.db"), cache.Origin("b", "t", dim), source,
            references=count, last_seq=count, target=TARGET,
        )  # fmt: skip
    elif kind.startswith("usearch"):
        usearch = importlib.import_module("usearch.index")
        made = usearch.Index(
            ndim=dim, metric="ip", dtype=[*kind.split(), "f32"][1],
            connectivity=M, expansion_add=EF_CONSTRUCTION,
        )  # fmt: skip
        for start in range(0, count, BLOCK):
            part = np.array(vectors[start : start + BLOCK])
            made.add(np.arange(start, start + len(part)), part, threads=os.cpu_count())
        made.save(path)
    else:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(os.cpu_count())
        if kind == "faiss":
            made = faiss.IndexHNSWFlat(dim, M, faiss.METRIC_INNER_PRODUCT)
        else:
            made = faiss.IndexHNSWSQ(
                dim, faiss.ScalarQuantizer.QT_8bit, M, faiss.METRIC_INNER_PRODUCT
            )
            made.train(np.array(vectors[:BLOCK]))
        made.hnsw.efConstruction = EF_CONSTRUCTION
        for start in range(0, count, BLOCK):
            made.add(np.array(vectors[start : start + BLOCK]))
        faiss.write_index(made, path)
    return {
        "build_s": round(time.perf_counter() - begun, 1),
        "build_cpu_s": round(time.process_time() - cpu, 1),
        "build_peak_mib": rss_mib()["peak_mib"],
    }


Search = Callable[[F32, int, int], I64]
"""Queries, k and beam to ids ``(N, k)``."""


def open_search(folder: Path, kind: str) -> Search:
    """One index, loaded, on one thread."""
    path = str(folder / kind.replace(" ", "-"))
    if kind == "exact":
        vectors = np.load(folder / "vectors.npy")
        exact = ExactIndex(np.arange(len(vectors)), vectors)
        return lambda q, k, beam: exact.search(q, k).reference_id
    if kind.startswith("ours"):
        index = cache.graph_path(folder / "gallery.db")
        dim = load_vectors(folder).shape[1]
        made = stored.load(index, cache.read(index, cache.Origin("b", "t", dim)))
        if kind == "ours in memory":
            parts = replace(made.parts, vectors=InMemory(np.load(folder / "vectors.npy")))
            made = HnswIndex(parts, ef=made.ef)
        return lambda q, k, beam: made.search_at(q, k, beam).reference_id
    if kind.startswith("usearch"):
        loaded = importlib.import_module("usearch.index").Index.restore(path)

        def ask(queries: F32, k: int, beam: int) -> I64:
            loaded.expansion_search = beam
            return np.asarray(loaded.search(queries, k, threads=1).keys, np.int64).reshape(-1, k)

        return ask
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    read = faiss.read_index(path)

    def ask_faiss(queries: F32, k: int, beam: int) -> I64:
        read.hnsw.efSearch = beam
        return np.asarray(read.search(queries, k)[1], np.int64)

    return ask_faiss


def measure(folder: Path, kind: str) -> dict[str, Any]:
    """The smallest beam that reaches the target, and what it costs."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    before = rss_mib()["anonymous_mib"]
    begun = time.perf_counter()
    search = open_search(folder, kind)
    load_s = time.perf_counter() - begun
    beam, hit = 0, 0.0
    for beam in BEAMS if kind != "exact" else (0,):
        some = queries if kind != "exact" else queries[:50]
        hit = float(np.mean(search(some, 1, beam)[:, 0] == truth[: len(some)]))
        if hit >= TARGET:
            break
    count = len(queries) if kind != "exact" else 60
    single = timed(lambda q: search(q, 1, beam), queries[:count])
    memory = rss_mib()
    return {
        "beam": beam,
        "ann_recall_at_1": round(hit, 4),
        **single,
        "load_s": round(load_s, 2),
        "memory_mib": memory["anonymous_mib"] - before,
        "peak_mib": memory["peak_mib"],
    }


def compare(
    folder: Path,
    count: int,
    asked: int,
    facings: Path | None,
    kinds: tuple[str, ...],
    build_only: bool,
) -> dict[str, Any]:
    """Build what is not there yet, and measure all; exact search always, and first."""
    kinds = tuple(kind for kind in kinds if kind != "exact")
    prepare(folder, count, asked, facings)
    report: dict[str, Any] = {"target": TARGET, "shape": None, "results": {}}
    for kind in kinds:
        if kind == "ours in memory":
            continue  # the same files
        note = folder / f"{kind.replace(' ', '-')}.built.json"
        if not note.exists():
            note.write_text(repr(apart(build, folder, kind)))
            print(kind, note.read_text(), flush=True)
    if build_only:
        return report
    report["shape"] = shape_of(np.array(load_vectors(folder)[:130_000]))
    for kind in ("exact", *kinds):
        report["results"][kind] = apart(measure, folder, kind)
        print(kind, report["results"][kind], flush=True)
    exact, ours = report["results"]["exact"], report["results"]["ours"]
    report["exact_p95_over_ours"] = round(exact["p95_ms"] / ours["p95_ms"], 1)
    for kind in kinds[1:]:
        other = report["results"][kind]
        report[f"{kind} over ours"] = {
            name: round(other[name] / ours[name], 2) for name in ("p50_ms", "p95_ms", "memory_mib")
        }
    return report
