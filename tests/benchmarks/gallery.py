"""Times, memory and recall of the gallery's indexes at a million references and more.

    python tests/benchmarks/gallery.py scale OUT.json --folder DIR [--references 3500000]
    python tests/benchmarks/gallery.py compare OUT.json --folder DIR --references 1000000
    python tests/benchmarks/gallery.py compare OUT.json --folder DIR --facings FILE.npz
    python tests/benchmarks/gallery.py shape [--facings FILE.npz] [--references 130000]

``scale`` builds an index in DIR (going on where a killed one was), loads it in a process of its own and
asks it queries that are not enrolled; the truth is exact search by float32 over all 512 coordinates.
``compare`` puts exact search, this project's index, usearch and faiss side by side at the same recall,
on synthetic vectors and, with a file of ``facings.py``, on real ones. ``shape`` compares the two kinds.
Needs usearch and faiss-cpu for ``compare``; every stage is a process of its own, so that its peak memory
is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edge.gallery import cache, scale, stored
from edge.types import F32, I64
from tests.benchmarks.vectors import BLOCK, FacingLike, shape_of

ORIGIN = cache.Origin("benchmark", "synthetic", 512)
MADE = FacingLike()
QUERY_BLOCK = 1_000_000  # far behind all references


def rss_mib() -> dict[str, int]:
    """Resident memory now, and without pages of files."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    rows = dict(line.split(":", 1) for line in text.splitlines())
    return {
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "rss_mib": int(rows["VmRSS"].split()[0]) // 1024,
        "anonymous_mib": int(rows["RssAnon"].split()[0]) // 1024,
    }


def apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """``work(*arguments)`` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def references(count: int) -> Callable[[int], Iterator[tuple[I64, F32]]]:
    """A source of ``count`` references with ids from 0."""

    def source(after: int) -> Iterator[tuple[I64, F32]]:
        first = (after + 1) // BLOCK
        left = count - first * BLOCK
        for number, vectors in enumerate(MADE.blocks(left, first_block=first), first):
            ids = np.arange(number * BLOCK, number * BLOCK + len(vectors))
            yield ids[ids > after], vectors[ids > after]

    return source


def build(folder: Path, count: int) -> dict[str, Any]:
    begun, cpu = time.perf_counter(), time.process_time()
    stages: dict[str, float] = {}
    before = {"at": begun, "said": 0.0, "stage": ""}

    def progress(stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        stages[stage] = stages.get(stage, 0.0) + now - before["at"]
        before["at"] = now
        if now - before["said"] > 20 or stage != before["stage"]:
            before.update(said=now, stage=stage)
            print(f"{stage} {done}/{total} {now - begun:.0f} s {rss_mib()}", flush=True)

    header = scale.build_on_disk(
        folder / "gallery.db.hnsw",
        ORIGIN,
        references(count),
        references=count,
        last_seq=count,
        progress=progress,
    )
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "stages_s": {k: round(v, 1) for k, v in stages.items()},
        "ef": header.ef,
        "recall_at_build": dict(header.recall),
        "file_mib": {k: int(str(v["bytes"])) >> 20 for k, v in header.files.items()},
        **rss_mib(),
    }


def truth_of(queries: F32, count: int) -> tuple[I64, F32]:
    """The nearest of ``count`` references by float32 over all coordinates."""
    best = np.full(len(queries), -np.inf, np.float32)
    ids = np.full(len(queries), -1, np.int64)
    first = 0
    for block in MADE.blocks(count):
        cosine = queries @ block.T
        at = cosine.argmax(axis=1)
        value = cosine[np.arange(len(queries)), at]
        better = value > best
        ids[better], best[better] = first + at[better], value[better]
        first += len(block)
    return ids, best


def timed(search: Callable[[F32], Any], queries: F32) -> dict[str, float]:
    """Latency of single queries in ms."""
    times = []
    for query in queries:
        begun = time.perf_counter()
        search(query[None])
        times.append((time.perf_counter() - begun) * 1000)
    return {"p50_ms": round(float(np.percentile(times, 50)), 4),
            "p95_ms": round(float(np.percentile(times, 95)), 4)}  # fmt: skip


def ask(folder: Path, count: int, asked: int) -> dict[str, Any]:
    begun = time.perf_counter()
    index = folder / "gallery.db.hnsw"
    header = cache.read(index, ORIGIN)
    verified = time.perf_counter()
    made = stored.load(index, header)
    loaded = time.perf_counter()
    queries = MADE.take(asked, first_block=QUERY_BLOCK)
    found = made.search(queries, 10)
    memory = rss_mib()
    single = timed(lambda q: made.search(q, 1), queries)
    batch = time.perf_counter()
    made.search(queries, 10)
    batch_ms = (time.perf_counter() - batch) * 1000 / asked
    truth, similarity = truth_of(queries, count)
    return {
        "verify_s": round(verified - begun, 1),
        "load_s": round(loaded - verified, 1),
        "ef": made.ef,
        **single,
        "batch_ms_a_query": round(batch_ms, 4),
        "ann_recall_at_1": float((found.reference_id[:, 0] == truth).mean()),
        "worst_similarity_lost": round(float((similarity - found.similarity[:, 0]).max()), 5),
        "queries": asked,
        **memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("scale", "compare", "shape"))
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--facings", type=Path)
    parser.add_argument("--references", type=int, default=3_500_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--kinds", help="of gallery_others.KINDS, separated by commas")
    parser.add_argument("--build-only", action="store_true")
    options = parser.parse_args()
    report: dict[str, Any] = {"references": options.references, "cores": os.cpu_count()}
    if options.what == "shape":
        report["synthetic"] = shape_of(MADE.take(options.references))
        if options.facings:
            report["real"] = shape_of(np.load(options.facings)["vectors"])
    elif options.what == "scale":
        options.folder.mkdir(parents=True, exist_ok=True)
        if not cache.header_path(options.folder / "gallery.db.hnsw").exists():
            report["build"] = apart(build, options.folder, options.references)
        report["search"] = apart(ask, options.folder, options.references, options.queries)
    else:
        from tests.benchmarks.gallery_others import KINDS, compare

        kinds = tuple(options.kinds.split(",")) if options.kinds else KINDS
        report |= compare(
            options.folder,
            options.references,
            options.queries,
            options.facings,
            kinds,
            options.build_only,
        )
    text = json.dumps(report, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
