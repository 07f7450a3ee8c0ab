"""What a gallery of a size will need, before anyone builds it: a model, fitted to measurements.

The sizes of files and of the graph follow from their layouts; constants of memory and the growth of
times with the number of references were measured by ``tests/benchmarks/gallery.py``; how fast this
machine is, a build and searches of a few thousand references tell in a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from edge.errors import ConfigError
from edge.gallery import graph
from edge.gallery.exact import ExactIndex
from edge.gallery.hnsw import HnswIndex
from edge.gallery.index import EXACT_UP_TO
from edge.gallery.projection import AXES
from edge.gallery.scale import ON_DISK_FROM
from edge.types import F32

_MIB = 1 << 20
_PICTURE_BYTES = 14_000
"""A reference's JPEG of 256 px: 16,600 bytes over 92 photos of grocery-store, 10,000 over 33 crops of
products-24."""
_ROW_BYTES = 800
"""Everything else of a reference in ``gallery.db``: its text, checksums, journal and indices."""
_SKU_BYTES_ON_DISK, _SKU_BYTES = 900, 200
"""A SKU with names in a few languages, in the file and packed, with what a matcher keeps of it."""
_NODE_EXTRA = 130
"""hnswlib's own bytes a node beside coordinates and links: locks, labels, upper layers."""
_TABLE_BYTES = 44
"""Reference ids, nodes and digests, and the matcher's tables."""
_PROGRAM_BYTES = 150 * _MIB
_CALIBRATED = 3000
_BUILD_GROWTH = {3e3: 1.0, 3e4: 1.5, 1.2e5: 2.2, 1e6: 4.5, 3.5e6: 6.0}
"""Processor time a reference in the build, on average, relative to a graph of 3,000 references."""
_SEARCH_GROWTH = {3e3: 1.0, 1.2e5: 1.6, 1e6: 2.0, 3.5e6: 2.4}
"""Time of a search, relative to one among 3,000 references."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the calibration found: microseconds of one core."""

    node_us: float
    query_us: float
    exact_ns_a_number: float
    cores: int


@dataclass(frozen=True, slots=True)
class Plan:
    """An estimate, in MiB, seconds and milliseconds.

    ``form`` is how it will be searched: ``exact``, ``hnsw`` (vectors in memory) or ``hnsw on disk``.
    ``build_s`` is the index alone, with the pictures embedded and enrolled; ``query_ms`` a query of a
    frame on one core; ``device_gib`` is the memory of a device that has room for it.
    """

    skus: int
    views: float
    references: int
    dim: int
    form: str
    memory_mib: int
    build_memory_mib: int
    gallery_mib: int
    index_mib: int
    build_s: float
    query_ms: float
    exact_query_ms: float
    device_gib: int
    machine: Machine

    def to_json(self) -> dict[str, object]:
        """For machines: all fields, and that they are an estimate."""
        return asdict(self) | {"estimate": True}

    def to_text(self) -> str:
        """For people: a line a figure."""
        machine = self.machine
        ratio = self.exact_query_ms / self.query_ms
        return "\n".join(
            [
                f"{self.references} references of {self.dim} dimensions ({self.skus} SKUs with"
                f" {self.views:g} views each), searched by {self.form}. All figures are estimates:",
                f"memory to search   {_size(self.memory_mib)}"
                f" (a device of {self.device_gib} GiB), to build {_size(self.build_memory_mib)}",
                f"disk               {_size(self.gallery_mib)} for gallery.db with its pictures,"
                f" {_size(self.index_mib)} for the index",
                f"index build        {_time(self.build_s)} on {machine.cores} idle cores, pictures"
                " embedded already",
                f"latency            {self.query_ms:.2f} ms a query on one core"
                f" (exact search: {self.exact_query_ms:.2f} ms, {ratio:.0f} times)",
                f"calibrated here    {machine.node_us:.0f} us a reference built,"
                f" {machine.query_us:.0f} us a query, at {_CALIBRATED} references",
            ]
        )


def plan(skus: int, views: float, dim: int, *, machine: Machine | None = None) -> Plan:
    """What ``skus`` products of ``views`` references each, of ``dim`` dimensions, will need.

    Without ``machine``, this one is calibrated, which takes about a second. Raises ConfigError when a
    number is out of range.
    """
    if not (1 <= skus <= 100_000_000 and 0 < views <= 10_000 and 2 <= dim <= 8192):
        raise ConfigError(
            f"skus must be 1 to 100,000,000, views above 0 to 10,000, dim 2 to 8192,"
            f" got {skus}, {views:g}, {dim}"
        )
    references = max(1, round(skus * views))
    machine = machine or calibrate(dim)
    exact_ms = references * dim * machine.exact_ns_a_number / 1e6
    node_bytes = 4 * min(dim, AXES) + 4 * (2 * graph.M + 1) + _NODE_EXTRA
    memory = _PROGRAM_BYTES + skus * _SKU_BYTES + references * _TABLE_BYTES
    on_disk = references > ON_DISK_FROM
    if references <= EXACT_UP_TO:
        form, query_ms, build_s, index = "exact", exact_ms, 0.0, 0
        memory += references * 4 * dim
        build_memory = memory
    else:
        form = "hnsw on disk" if on_disk else "hnsw"
        query_ms = machine.query_us * _growth(_SEARCH_GROWTH, references) / 1e3
        node_us = machine.node_us * _growth(_BUILD_GROWTH, references)
        build_s = references * node_us / 1e6 / machine.cores
        # files hold no locks; vectors go to one where they are searched on disk
        index = references * (node_bytes - 80 + 24 + (2 * dim if on_disk else 0))
        memory += references * (node_bytes + (0 if on_disk else 4 * dim))
        build_memory = memory + (500 * _MIB if on_disk else references * 4 * dim)
    gallery = references * (4 * dim + _PICTURE_BYTES + _ROW_BYTES) + skus * _SKU_BYTES_ON_DISK
    return Plan(
        skus=skus,
        views=views,
        references=references,
        dim=dim,
        form=form,
        memory_mib=memory // _MIB,
        build_memory_mib=build_memory // _MIB,
        gallery_mib=gallery // _MIB,
        index_mib=index // _MIB,
        build_s=round(build_s, 1),
        query_ms=round(query_ms, 3),
        exact_query_ms=round(exact_ms, 3),
        device_gib=_device(memory),
        machine=machine,
    )


def calibrate(dim: int) -> Machine:
    """How fast this machine builds and searches, measured with made-up vectors of ``dim``."""
    vectors, queries = _made_up(_CALIBRATED + 200, dim)[:_CALIBRATED], _made_up(200, dim)
    ids = np.arange(len(vectors))
    exact = ExactIndex(ids, vectors)
    exact_s = _fastest(lambda: exact.search(queries, 5)) / len(queries)
    node_us, query_us = 100.0, 60.0  # where hnswlib is missing: as measured on another machine
    if graph.available():
        index = HnswIndex.build(ids, vectors)
        points = index.parts.projection(vectors)
        # the processor time of all threads together: what one core would take
        node_us = _fastest(lambda: _empty(points).add(points, ids), 2) / len(ids) * 1e6
        query_us = _fastest(lambda: index.search(queries, 5)) / len(queries) * 1e6
    cores = len(os.sched_getaffinity(0))
    per_number = exact_s * 1e9 / (len(ids) * dim)
    return Machine(round(node_us, 1), round(query_us, 1), round(per_number, 4), cores)


def _empty(points: F32) -> graph.Graph:
    return graph.Graph.empty(points.shape[1], len(points))


def _made_up(count: int, dim: int) -> F32:
    """Vectors of nine degrees of freedom, as those of facings are."""
    rng = np.random.default_rng(0)
    wave, phase = rng.standard_normal((9, dim)) * 0.5, rng.random(dim) * 2 * np.pi
    made = np.cos(rng.standard_normal((count, 9)) @ wave + phase)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def _fastest(work: Callable[[], object], rounds: int = 3) -> float:
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def _growth(table: Mapping[float, float], references: int) -> float:
    return float(np.interp(np.log(references), np.log(list(table)), list(table.values())))


def _device(memory: int) -> int:
    """The smallest usual size of memory of which this takes no more than five eighths."""
    sizes = (1, 2, 4, 8, 16, 24, 32, 64, 128, 256, 512, 1024)
    return next((size for size in sizes if memory <= size * 1024 * _MIB * 5 // 8), sizes[-1])


def _size(mib: int) -> str:
    return f"{mib} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
