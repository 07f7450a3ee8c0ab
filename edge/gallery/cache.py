"""The HNSW graph on disk: a cache beside the gallery that is used only when it is proved right.

hnswlib accepts no byte before or after its own, so the header is a JSON file of its own,
``gallery.db.hnsw.json``, that holds the SHA-256 of ``gallery.db.hnsw`` and everything the graph was
made from. Whatever differs, the graph is built again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.gallery.files import publish, sync_file, temporary_beside

FORMAT = 1
_LAYOUT = (
    f"{sys.byteorder}-{sys.maxsize.bit_length() + 1}"  # hnswlib writes the machine's own words
)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a graph was made from; ``digest`` covers every id and vector."""

    tower: str
    dim: int
    count: int
    last_seq: int
    digest: str
    metric: str
    m: int
    ef_construction: int


def graph_path(gallery: Path) -> Path:
    """Where the graph of the gallery file lies."""
    return gallery.with_name(gallery.name + ".hnsw")


def flaw(graph: Path, key: CacheKey) -> str | None:
    """Why the graph must not be loaded, in words; None when header and every byte are right."""
    header = _header_path(graph)
    if not graph.exists() or not header.exists():
        return "there is none yet"
    try:
        stored = json.loads(header.read_bytes())
        if not isinstance(stored, dict):
            return f"{header.name} is damaged"
        expected = _header(key)
        for name, value in expected.items():
            if stored.get(name) != value:
                return f"{name} is {stored.get(name)!r}, expected {value!r}"
        if graph.stat().st_size != stored.get("bytes"):
            return f"{graph.name} has {graph.stat().st_size} bytes, expected {stored.get('bytes')}"
        if sha256(graph) != stored.get("sha256"):
            return f"{graph.name} does not match its checksum"
    except (OSError, ValueError) as error:
        return f"{graph.name} cannot be read: {error}"
    return None


def save(graph: Path, key: CacheKey, write: Callable[[Path], None], size: int) -> None:
    """Write the graph with ``write`` and its header, both atomically.

    ``size`` is the number of bytes the graph must have: hnswlib does not say when a disk is full.
    Raises OSError; then the old cache, if any, is no longer used or still whole.
    """
    with temporary_beside(graph) as body:
        write(body)
        written = body.stat().st_size if body.exists() else 0
        if written != size:
            raise OSError(f"{written} of {size} bytes written")
        sync_file(body)
        header = _header(key) | {"bytes": size, "sha256": sha256(body)}
        with temporary_beside(_header_path(graph)) as head:
            head.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
            sync_file(head)
            # between the two renames the header does not match, and the graph is built again
            publish(body, graph)
            publish(head, _header_path(graph))


def discard(graph: Path) -> None:
    """Remove a graph and its header, where there are any."""
    for path in (graph, _header_path(graph)):
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header_path(graph: Path) -> Path:
    return graph.with_name(graph.name + ".json")


def _header(key: CacheKey) -> dict[str, object]:
    return {"format": FORMAT, "layout": _LAYOUT, **asdict(key)}
