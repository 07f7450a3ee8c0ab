"""Nearest references by cosine similarity: the one interface behind which all ways of search are."""

from __future__ import annotations

from typing import Protocol

from edge.types import F32, Neighbors

EXACT_UP_TO = 8000
"""References up to which search is exact.

Measured on one busy core with vectors like those of facings, 150 queries a frame, k = 21, median ms
of exact search and of HNSW at ef = 24, at 1,000, 2,000, 4,000, 8,000 and 16,000 references. 256
dimensions: 3, 6, 11, 22, 48 and 6, 6, 7, 7, 10; 512 dimensions: 4, 8, 16, 31, 64 and 8, 9, 10, 9, 12.
HNSW is faster from 3,000 on, but misses up to one nearest reference in fifty, and must be built and
kept; up to 8,000, exact search takes a thirtieth of the time that the tower needs for those 150 crops
on the same core.
"""


class Index(Protocol):
    """Nearest-neighbour search over references. Immutable; may be shared between threads."""

    @property
    def kind(self) -> str:
        """``exact``, ``hnsw`` or ``exact (hnswlib missing)``."""

    @property
    def note(self) -> str:
        """How the index came to be, for a report; empty when there is nothing to say."""

    def __len__(self) -> int:
        """The number of references."""

    def search(self, vectors: F32, k: int) -> Neighbors:
        """The k nearest references of each query ``(N, D)``, best first.

        Rows are filled up with id -1 and similarity -inf where there are fewer than k references,
        and for a query that is zero or not finite. Raises GalleryError for another dimension.
        """
