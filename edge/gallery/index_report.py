"""What is known about a gallery's kept index, for ``edge gallery verify``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery import cache
from edge.gallery.index import EXACT_UP_TO
from edge.gallery.places import index_places
from edge.gallery.store import GalleryStore


@dataclass(frozen=True, slots=True)
class IndexReport:
    """``kind`` is ``exact`` (too small for a graph), ``hnsw`` or ``none``: built at the next start.

    ``reason`` says why there is none: a cache that is damaged is built again, and is no damage to the
    gallery. Of a graph: the change it is of and how many came after, its size, the beam that was
    chosen for it, and the recall against exact search that was measured when it was built.
    """

    kind: str
    reason: str = ""
    path: str = ""
    last_seq: int = 0
    behind: int = 0
    references: int = 0
    nodes: int = 0
    dead: int = 0
    ef: int = 0
    bytes: int = 0
    recall: Mapping[str, object] | None = None

    def to_json(self) -> dict[str, object]:
        """For machines: all fields."""
        return asdict(self)

    def to_text(self) -> str:
        """For people: one line."""
        if self.kind == "exact":
            return "index: exact search, no graph needed"
        if self.kind == "none":
            return f"index: none, it is built at the next start ({self.reason})"
        recall = self.recall or {}
        return (
            f"index: {self.path}, {self.references} references, ef {self.ef}, ann_recall@1"
            f" {recall.get('at_1')} (at least {recall.get('at_1_low')}), @10 {recall.get('at_10')}"
            f" over {recall.get('queries')} references asked before the graph held them"
            f" (target {recall.get('target')}), {self.behind} changes behind"
        )


def report_index(gallery: Path, *, threshold: int = EXACT_UP_TO) -> IndexReport:
    """Check every byte of the gallery's kept index and say what it is; never raises for damage."""
    try:
        with GalleryStore.open(gallery) as store:
            count, last_seq = store.reference_count, store.last_seq
            origin = cache.Origin(store.gallery_id, store.tower, store.dim)
    except GalleryError as error:
        return IndexReport("none", str(error))
    if count <= threshold:
        return IndexReport("exact")
    reason = ""
    for place in index_places(gallery):
        try:
            header = cache.read(place, origin)
        except GalleryError as error:
            reason = reason or str(error)
            continue
        return IndexReport(
            kind="hnsw",
            path=str(place),
            last_seq=header.last_seq,
            behind=last_seq - header.last_seq,
            references=header.references,
            nodes=header.nodes,
            dead=header.dead,
            ef=header.ef,
            bytes=sum(int(str(one["bytes"])) for one in header.files.values()),
            recall=header.recall,
        )
    return IndexReport("none", reason)
