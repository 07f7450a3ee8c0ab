"""The journal of changes: what each did, what takes it back, and what lies between two states.

A change is one transaction. Its steps are a list of JSON objects:

    {"do": "add_sku", "sku_id": …}              {"do": "remove_sku", "sku": {…}}
    {"do": "update_sku", "before": {…}}         {"do": "add_references", "first": …, "last": …}
    {"do": "remove_references", "ids": […]}     {"do": "restore_references", "ids": […]}
    {"do": "relabel", "from": …, "to": …, "ids": […]}

Each row names the change before it, so that a missing row is noticed. The journal is bounded:
the oldest changes are forgotten, with the removed references that only they needed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.meta import Meta
from edge.gallery.records import Change

KEEP_CHANGES = 1000
KEEP_WEIGHT = 50_000
"""Rows listed by all changes that are kept; a removed reference keeps its vector and picture."""

Step = dict[str, Any]
_COLUMNS = "seq, previous_seq, kind, created_at, summary, undone_by, weight, steps_checksum"


class Journal:
    """The table ``journal`` of one open gallery."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def append(
        self, meta: Meta, previous_seq: int, kind: str, at: str, summary: str, steps: list[Step]
    ) -> Change:
        """Write the open transaction's change, and forget what is beyond the bounds."""
        text = json.dumps(steps, ensure_ascii=False, separators=(",", ":"))
        weight = sum(len(step.get("ids", (1,))) for step in steps)
        values = (meta.last_seq, previous_seq, kind, at, summary, None, weight)
        self._insert((*values, rows.checksum([text])), text)
        self._forget(meta)
        return _to_change(values)

    def mark_undone(self, seq: int, undone_by: int | None) -> None:
        """Say in the row of change ``seq`` which change took it back."""
        values = list(self._row(seq))
        text = self._text(seq, values[-1])
        values[5] = undone_by
        self._connection.execute("DELETE FROM journal WHERE seq = ?", (seq,))
        self._insert(values, text)

    def changes(self, last_seq: int, since: int = -1) -> tuple[Change, ...]:
        """The changes after ``since``, oldest first; the last must be ``last_seq``."""
        found = [
            rows.verify(row, f"{self._path}: change {row[0]}")
            for row in self._connection.execute(
                f"SELECT {_COLUMNS}, checksum FROM journal WHERE seq > ? ORDER BY seq", (since,)
            )
        ]
        follows = [row[1] for row in found[1:]] + [last_seq]
        for row, next_follows in zip(found, follows, strict=False):
            if row[0] != next_follows:
                raise GalleryError(
                    f"{self._path}: damaged gallery: the journal lacks what is between changes"
                    f" {row[0]} and {next_follows}"
                )
        return tuple(_to_change(row) for row in found)

    def reaches_back_to(self, since: int, last_seq: int) -> bool:
        """Whether the journal holds every change after ``since``."""
        if since >= last_seq:
            return since == last_seq
        first = self._connection.execute(
            f"SELECT {_COLUMNS}, checksum FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", (since,)
        ).fetchone()
        return first is not None and first[1] == since

    def steps(self, seq: int) -> list[Step]:
        """What change ``seq`` did, in order."""
        *_, steps_checksum = self._row(seq)
        steps: list[Step] = json.loads(self._text(seq, steps_checksum))
        return steps

    def steps_since(self, since: int) -> Iterator[Step]:
        """What all changes after ``since`` did, in order."""
        seqs = self._connection.execute(
            "SELECT seq FROM journal WHERE seq > ? ORDER BY seq", (since,)
        ).fetchall()
        for (seq,) in seqs:
            yield from self.steps(seq)

    def clear(self) -> None:
        """Forget all changes, and the removed references that undo would need."""
        self._connection.execute("DELETE FROM journal")
        self._connection.execute("DELETE FROM removed_references")

    def _forget(self, meta: Meta) -> None:
        count, weight = self._connection.execute(
            "SELECT count(*), total(weight) FROM journal"
        ).fetchone()
        oldest = self._connection.execute(
            "SELECT seq, weight FROM journal WHERE seq < ? ORDER BY seq", (meta.last_seq,)
        )
        forgotten = None
        for seq, its_weight in oldest:
            if count <= KEEP_CHANGES and weight <= KEEP_WEIGHT:
                break
            count, weight, forgotten = count - 1, weight - its_weight, seq
        oldest.close()
        if forgotten is not None:
            self._connection.execute("DELETE FROM journal WHERE seq <= ?", (forgotten,))
            self._connection.execute(
                "DELETE FROM removed_references WHERE removed_seq <= ?", (forgotten,)
            )

    def _insert(self, values: rows.Row, steps: str) -> None:
        self._connection.execute(
            f"INSERT INTO journal ({_COLUMNS}, checksum, steps) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (*values, rows.checksum(values), steps),
        )

    def _row(self, seq: int) -> rows.Row:
        row = self._connection.execute(
            f"SELECT {_COLUMNS}, checksum FROM journal WHERE seq = ?", (seq,)
        ).fetchone()
        if row is None:
            raise GalleryError(f"{self._path}: damaged gallery: change {seq} is missing")
        return rows.verify(row, f"{self._path}: change {seq}")

    def _text(self, seq: int, steps_checksum: bytes) -> str:
        text = self._connection.execute(
            "SELECT steps FROM journal WHERE seq = ?", (seq,)
        ).fetchone()[0]
        if rows.checksum([text]) != steps_checksum:
            raise GalleryError(f"{self._path}: change {seq}: the stored checksum does not match")
        return str(text)


def _to_change(row: rows.Row) -> Change:
    seq, _, kind, created_at, summary, undone_by, weight, *_ = row
    undoable = weight > 0 and kind not in ("undo", "redo")
    return Change(seq, kind, created_at, summary, undone_by, undoable)
