"""An index written to its cache files and read back from them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from edge.atomic import cannot_write
from edge.errors import GalleryError
from edge.gallery import cache
from edge.gallery.graph import Graph
from edge.gallery.hnsw import HnswIndex, Parts
from edge.gallery.measured import Recall
from edge.gallery.nodes import Nodes
from edge.gallery.projection import Projection
from edge.gallery.sources import OnDisk


def save(index: Path, made: HnswIndex, origin: cache.Origin, last_seq: int, recall: Recall) -> None:
    """Write the index under the name ``index``; its vectors must be in the gallery.

    Only for the holder of ``cache.writing``. Raises OutputError.
    """
    version = cache.new_version()
    graph_file, node_file = (cache.new_file(index, version, role) for role in ("hnsw", "nodes"))
    try:
        files = {
            "hnsw": write_graph(graph_file, made.parts.graph),
            "nodes": write_nodes(node_file, made.parts.nodes, made.parts.projection),
        }
        cache.publish(index, header_of(made, origin, last_seq, recall, files))
    finally:
        cache.clean(index)


def header_of(
    made: HnswIndex,
    origin: cache.Origin,
    last_seq: int,
    recall: Recall,
    files: dict[str, dict[str, object]],
) -> cache.Header:
    """The header of an index whose files are sealed."""
    graph = made.parts.graph
    return cache.Header(
        origin=origin,
        last_seq=last_seq,
        references=len(made),
        nodes=len(graph),
        dead=len(graph) - graph.alive,
        axes=graph.dim,
        ef=recall.ef,
        recall=recall.to_json(),
        files=files,
    )


def write_graph(path: Path, graph: Graph) -> dict[str, object]:
    """Write and seal a graph; raises OutputError when it is not all on disk."""
    try:
        graph.save(path)
    except RuntimeError as error:
        raise cannot_write(path, OSError(str(error))) from error
    if not path.exists():
        raise cannot_write(path, OSError("hnswlib wrote nothing"))
    return cache.seal(path, graph.file_bytes)


def write_nodes(path: Path, nodes: Nodes, projection: Projection) -> dict[str, object]:
    """Write and seal the table of nodes and the projection."""
    try:
        with path.open("wb") as file:
            np.savez(
                file,
                mean=projection.mean,
                axes=projection.axes,
                ids=nodes.ids,
                start=nodes.start,
                digest=nodes.digest,
            )
    except OSError as error:
        raise cannot_write(path, error) from error
    return cache.seal(path)


def load(index: Path, header: cache.Header) -> HnswIndex:
    """The index of a header that ``cache.read`` found right and that has vectors of its own.

    Raises GalleryError.
    """
    graph, projection, nodes = load_parts(index, header)
    if "vectors" not in header.files:
        raise GalleryError(
            f"{index}: has no vectors of its own: it must be opened with its gallery"
        )
    vectors = OnDisk(cache.file_of(index, header, "vectors"), header.origin.dim, header.nodes)
    parts = Parts(graph, projection, nodes, vectors)
    return HnswIndex(parts, note="graph loaded from cache", recall=header.measured)


def load_parts(index: Path, header: cache.Header) -> tuple[Graph, Projection, Nodes]:
    """What an index consists of besides its vectors; as ``load``."""
    node_file = cache.file_of(index, header, "nodes")
    try:
        with np.load(node_file, allow_pickle=False) as stored:
            nodes = Nodes(stored["ids"], stored["start"], stored["digest"])
            projection = Projection(stored["mean"], stored["axes"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise GalleryError(f"{node_file}: cannot be read: {error}") from error
    if len(nodes) != header.nodes or projection.axes.shape != (header.origin.dim, header.axes):
        raise GalleryError(f"{node_file}: does not fit its header")
    path = cache.file_of(index, header, "hnsw")
    return Graph.load(path, header.axes, header.nodes, deleted=header.dead), projection, nodes
