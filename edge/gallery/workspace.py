"""What a long build has done so far, so that a killed one goes on where it was.

A folder beside the index: the vectors as they will be searched, which reference is which node, and the
graph as it was last saved. ``state.json`` lists what is complete, with checksums; what is not listed
there is cut off at the next start.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge import atomic
from edge.errors import GalleryError
from edge.gallery import cache
from edge.gallery.files import sync_file
from edge.gallery.graph import Graph
from edge.gallery.nodes import U64, vector_digests
from edge.gallery.queries import check_references
from edge.gallery.stored import write_graph
from edge.types import F32, I64

_FORMAT = 1


class Workspace:
    """The files of one build; for one process at a time. Errors of the disk are OutputError."""

    def __init__(self, folder: Path, origin: cache.Origin, last_seq: int) -> None:
        """Goes on with what lies in ``folder`` where that is of the same gallery and undamaged.

        ``last_seq`` is the gallery's state now; an older one that a build began with is kept, for
        the changes since are found from it.
        """
        self.folder = folder
        atomic.make_folder(folder)
        self._head = {"format": _FORMAT, "origin": asdict(origin)}
        self._dim = origin.dim
        self.last_seq = last_seq
        self._chunks: list[dict[str, Any]] = []
        self._graph: dict[str, object] | None = None
        self._known: U64 = np.zeros(0, np.uint64)
        self._number: I64 = np.zeros(0, np.int64)
        self.resumed = self._resume()
        if not self.resumed:
            for path in folder.iterdir():
                path.unlink()
            self._chunks, self._graph, self.last_seq = [], None, last_seq
        self._learn_known()

    @property
    def vectors(self) -> Path:
        """The vectors of the nodes, ``(N, D) float16``."""
        return self.folder / "vectors"

    @property
    def nodes(self) -> int:
        """Distinct vectors so far."""
        return sum(int(chunk["nodes"]) for chunk in self._chunks)

    @property
    def references(self) -> int:
        """References so far."""
        return sum(int(chunk["references"]) for chunk in self._chunks)

    @property
    def last_id(self) -> int:
        """The reference after which to go on; -1 at the start."""
        return int(self._chunks[-1]["last_id"]) if self._chunks else -1

    def append(self, ids: I64, vectors: F32) -> None:
        """Keep references with ids above ``last_id``, ascending; on disk when this returns.

        Raises GalleryError for a vector that is NaN, zero or of another length.
        """
        if not len(ids):
            return
        check_references(ids, vectors)
        digest = vector_digests(vectors)
        at = np.searchsorted(self._known, digest)
        old = np.zeros(len(ids), bool)
        inside = at < len(self._known)
        old[inside] = self._known[at[inside]] == digest[inside]
        _, first, inverse = np.unique(digest[~old], return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        node = np.empty(len(ids), np.int64)
        node[old] = self._number[at[old]]
        node[~old] = self.nodes + rank[inverse]
        rows = np.flatnonzero(~old)[first[order]]
        parts = {
            "vectors": vectors[rows].astype("<f2").tobytes(),
            "ids": ids.astype("<i8").tobytes(),
            "node": node.astype("<i8").tobytes(),
            "digest": digest[rows].astype("<u8").tobytes(),
        }
        try:
            for name, data in parts.items():
                with (self.folder / name).open("ab") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise atomic.cannot_write(self.folder, error) from error
        self._chunks.append(
            {
                "references": len(ids),
                "nodes": len(rows),
                "last_id": int(ids[-1]),
                "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()},
            }
        )
        self._write_state()
        self._learn(digest[rows], np.arange(self.nodes - len(rows), self.nodes))

    def table(self) -> tuple[I64, I64, U64]:
        """Reference ids ``(R,)``, the node of each ``(R,)``, the digest of each node ``(N,)``."""
        return (
            np.fromfile(self.folder / "ids", "<i8"),
            np.fromfile(self.folder / "node", "<i8"),
            np.fromfile(self.folder / "digest", "<u8"),
        )

    def save_graph(self, graph: Graph) -> None:
        """Keep the graph of the first ``len(graph)`` nodes in place of an earlier one."""
        before = self._graph
        path = self.folder / f"graph-{len(graph)}"
        self._graph = write_graph(path, graph) | {"nodes": len(graph)}
        self._write_state()
        if before is not None and before["name"] != path.name:
            (self.folder / str(before["name"])).unlink(missing_ok=True)

    def load_graph(self, axes: int, capacity: int) -> Graph:
        """The saved graph, with room up to ``capacity`` nodes; an empty one where there is none."""
        if self._graph is not None:
            path, nodes = self.folder / str(self._graph["name"]), int(str(self._graph["nodes"]))
            if path.exists() and cache.sha256(path) == self._graph["sha256"]:
                return Graph.load(path, axes, nodes, room=max(0, capacity - nodes))
        return Graph.empty(axes, capacity)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _resume(self) -> bool:
        try:
            state = json.loads((self.folder / "state.json").read_bytes())
            sealed = state.pop("checksum")
            text = json.dumps(state, sort_keys=True)
            if sealed != hashlib.sha256(text.encode()).hexdigest():
                return False
            if any(state[name] != value for name, value in self._head.items()):
                return False
            self._chunks, self._graph = state["chunks"], state["graph"]
            self.last_seq = state["last_seq"]
            return all(self._cut(name, size, per) for name, size, per in self._layout())
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return False

    def _layout(self) -> list[tuple[str, int, str]]:
        return [
            ("vectors", 2 * self._dim, "nodes"),
            ("ids", 8, "references"),
            ("node", 8, "references"),
            ("digest", 8, "nodes"),
        ]

    def _cut(self, name: str, size: int, per: str) -> bool:
        """Check a file against the checksums of its chunks and cut off what is not listed."""
        with (self.folder / name).open("r+b") as file:
            for chunk in self._chunks:
                data = file.read(chunk[per] * size)
                if hashlib.sha256(data).hexdigest() != chunk["sha256"][name]:
                    return False
            file.truncate(file.tell())
        return True

    def _learn_known(self) -> None:
        if self._chunks:
            digest = np.fromfile(self.folder / "digest", "<u8")
            self._learn(digest, np.arange(len(digest)))

    def _learn(self, digest: U64, number: I64) -> None:
        known = np.concatenate([self._known, digest])
        order = np.argsort(known, kind="stable")
        self._known, self._number = known[order], np.concatenate([self._number, number])[order]

    def _write_state(self) -> None:
        state: dict[str, Any] = {
            **self._head,
            "last_seq": self.last_seq,
            "chunks": self._chunks,
            "graph": self._graph,
        }
        digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
        path = self.folder / "state.json"
        atomic.write_text(path, json.dumps(state | {"checksum": digest}))


def take_vectors(workspace: Workspace, target: Path) -> dict[str, object]:
    """Move the vectors of a finished build to where they will be searched, and seal them."""
    try:
        workspace.vectors.replace(target)
        sync_file(target)
    except OSError as error:
        raise atomic.cannot_write(target, error) from error
    if target.stat().st_size == 0:
        raise GalleryError(f"{target}: no vectors to index")
    return cache.seal(target)
