"""One open change of a gallery: what is done to it, and the steps by which it can be taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.errors import GalleryError
from edge.gallery.journal import Step
from edge.gallery.meta import Meta
from edge.gallery.records import NewReference, Sku
from edge.gallery.reference_rows import ReferenceRows
from edge.gallery.sku_rows import SkuRows


class Edit:
    """Changes within one open transaction; ``steps`` is what was done, in order.

    All errors are GalleryError that names the file and the id; then nothing may be committed.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        meta: Meta,
        kind: str,
        at: str,
        *,
        record: bool,
    ) -> None:
        """``record``: keep the steps, so that the change can be undone."""
        self.meta = meta
        self.kind = kind
        self.at = at
        self.steps: list[Step] = []
        self.undone: dict[int, bool] = {}
        """By number: earlier changes that this one takes back (True) or lets stand again (False)."""
        self.changed = False
        self.failed = False
        self._record = record
        self._path = path
        self._skus = SkuRows(path, connection, meta)
        self._references = ReferenceRows(path, connection, meta)

    def add_skus(self, skus: Sequence[Sku]) -> None:
        """Enrol products."""
        for sku in skus:
            self._skus.add(sku)
            self._note({"do": "add_sku", "sku_id": sku.sku_id})

    def update_sku(self, sku: Sku) -> None:
        """Replace what is known about a product; nothing where nothing differs."""
        if self._skus.get(sku.sku_id) != sku:
            before = self._skus.replace(sku)
            self._note({"do": "update_sku", "before": _to_json(before)})

    def remove_skus(self, sku_ids: Sequence[str]) -> None:
        """Remove products with all their references."""
        for sku_id in sku_ids:
            self.remove_references(self._references.of_sku(sku_id))
            self._note({"do": "remove_sku", "sku": _to_json(self._skus.remove(sku_id))})

    def add_references(self, references: Sequence[NewReference]) -> tuple[int, ...]:
        """Enrol pictures; their ids."""
        if not references:
            return ()
        ids = self._references.add(references, self.at)
        self._note({"do": "add_references", "first": ids[0], "last": ids[-1]})
        return tuple(ids)

    def remove_references(self, ids: Sequence[int]) -> None:
        """Remove pictures."""
        if ids:
            self._references.remove(ids)
            self._note({"do": "remove_references", "ids": list(ids)})

    def relabel(self, ids: Sequence[int], sku_id: str) -> None:
        """Give pictures to another product."""
        self._skus.get(sku_id)
        for before, moved in self._references.relabel(ids, sku_id).items():
            self._note({"do": "relabel", "from": before, "to": sku_id, "ids": moved})

    def merge(self, from_sku: str, into_sku: str) -> None:
        """Give all pictures of one product to another, and remove the one."""
        self.relabel(self._references.of_sku(from_sku), into_sku)
        self.remove_skus([from_sku])

    def revert(self, steps: Sequence[Step]) -> None:
        """Take steps back, the last first; the gallery must be in the state that they left."""
        for step in reversed(steps):
            match step["do"]:
                case "add_sku":
                    self.remove_skus([step["sku_id"]])
                case "remove_sku":
                    self.add_skus([_to_sku(step["sku"])])
                case "update_sku":
                    self.update_sku(_to_sku(step["before"]))
                case "add_references":
                    self.remove_references(range(step["first"], step["last"] + 1))
                case "remove_references":
                    self._references.restore(step["ids"])
                    self._note({"do": "restore_references", "ids": step["ids"]})
                case "restore_references":
                    self.remove_references(step["ids"])
                case "relabel":
                    self.relabel(step["ids"], step["from"])
                case unknown:
                    raise GalleryError(f"{self._path}: the journal has a step {unknown!r}")

    def _note(self, step: Step) -> None:
        self.changed = True
        if self._record:
            self.steps.append(step)


def _to_json(sku: Sku) -> dict[str, object]:
    return {
        "sku_id": sku.sku_id,
        "gtin": sku.gtin,
        "brand": sku.brand,
        "names": dict(sku.names),
        "category": list(sku.category),
    }


def _to_sku(value: dict[str, Any]) -> Sku:
    return Sku(
        value["sku_id"], value["gtin"], value["brand"], value["names"], tuple(value["category"])
    )
