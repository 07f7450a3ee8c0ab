"""Which category lies under which, over all SKUs: a level that lies above itself is an error.

Levels are known by their names. A name may stand under several parents, but the edges from parent
to child must never lead back: no answer could back off along such a circle.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable

from edge.gallery.records import Sku

Edge = tuple[str, str]


class CategoryGraph:
    """The edges from parent to child of all categories, free of circles."""

    def __init__(self, edges: Iterable[Edge] = ()) -> None:
        self._children: dict[str, set[str]] = {}
        for parent, child in edges:
            self._children.setdefault(parent, set()).add(child)

    def add(self, sku: Sku) -> tuple[Edge, ...] | None:
        """Add a SKU's edges; where one closes a circle, the chain that leads back, and no change.

        The chain's first edge is the new one: ``(("a", "b"), ("b", "c"), ("c", "a"))``.
        """
        added: list[Edge] = []
        for parent, child in sku.category_edges:
            below = self._children.setdefault(parent, set())
            if child in below:
                continue
            back = self._chain(child, parent)
            if back is not None:
                for edge in added:
                    self._children[edge[0]].discard(edge[1])
                return ((parent, child), *itertools.pairwise(back))
            below.add(child)
            added.append((parent, child))
        return None

    def _chain(self, start: str, end: str) -> list[str] | None:
        """Names from ``start`` down to ``end``; None where no way leads there."""
        came_from: dict[str, str] = {}
        waiting = deque([start])
        while waiting:
            name = waiting.popleft()
            if name == end:
                chain = [name]
                while chain[-1] != start:
                    chain.append(came_from[chain[-1]])
                return chain[::-1]
            for child in sorted(self._children.get(name, ())):
                if child != start and child not in came_from:
                    came_from[child] = name
                    waiting.append(child)
        return None


def circle_text(sku_id: str, circle: tuple[Edge, ...], other_sku_id: str) -> str:
    """A circle in words, both sides named."""
    (parent, child), *back = circle
    names = " > ".join(repr(name) for name in (back[0][0], *(edge[1] for edge in back)))
    return (
        f"category circle: SKU {sku_id!r} has {parent!r} > {child!r}, SKU {other_sku_id!r} has"
        f" {names}" + (" with others" if len(back) > 1 else "")
    )
