"""Transactions of a gallery: read one committed state, or commit a change and acknowledge it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edge.errors import GalleryError, OutputError
from edge.gallery import rows
from edge.gallery.connection import sqlite_errors
from edge.gallery.edit import Edit
from edge.gallery.journal import Journal
from edge.gallery.meta import Meta, read_meta, write_meta
from edge.gallery.records import Change
from edge.gallery.sidecar import write_marks


class Ledger:
    """Transactions of a gallery whose counts, sums and journal always agree with its rows."""

    def __init__(self, path: Path, connection: sqlite3.Connection, schema_version: int) -> None:
        self.journal = Journal(path, connection)
        self._path = path
        self._connection = connection
        self._schema_version = schema_version
        self._edit: Edit | None = None
        self.acknowledged: int | None = None
        """The last change that the sidecar is known to hold."""
        self.durable = True
        """False for a file that is yet to be published: it has no sidecar and no journal."""

    def meta(self) -> Meta:
        """The verified meta row; GalleryError when it is damaged."""
        with sqlite_errors(self._path):
            return read_meta(self._connection, self._path, self._schema_version)

    def history(self) -> tuple[Change, ...]:
        """The changes that the journal still holds, oldest first; none in schema 1."""
        if self._schema_version == 1:
            return ()
        with self.reading() as meta:
            return self.journal.changes(meta.last_seq)

    def check_what_undo_needs(self) -> None:
        """Read the whole journal and all removed references; GalleryError when one is damaged."""
        for change in self.history():
            self.journal.steps(change.seq)
        if self._schema_version > 1:
            with sqlite_errors(self._path):
                removed = self._connection.execute(
                    f"SELECT {rows.REMOVED_ROW} FROM removed_references"
                )
                for *kept, jpeg in removed:
                    what = f"{self._path}: removed reference {kept[0]}"
                    rows.verify_picture(jpeg, rows.verify(kept, what)[-1], what)

    @contextmanager
    def reading(self) -> Iterator[Meta]:
        """One committed state for all reads within; nested uses share it."""
        with sqlite_errors(self._path):
            outermost = not self._connection.in_transaction
            if outermost:
                self._connection.execute("BEGIN")
            try:
                yield self.meta()
            finally:
                if outermost and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def writing(self, kind: str, summary: str) -> Iterator[Edit]:
        """One change, on disk and acknowledged when the context ends; nested uses join it.

        Nothing is written where nothing was changed. Raises OutputError when the change is
        committed but the sidecar cannot be written: it is then not acknowledged, though kept.
        """
        if self._edit is not None:
            edit = self._edit
            try:
                yield edit
            except BaseException:
                edit.failed = True  # half a step may be done: the whole change must go
                raise
            return
        with sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                meta = self.meta()
                previous_seq = meta.last_seq
                self._catch_up(meta)
                self._edit = Edit(
                    self._path, self._connection, meta, kind, now(), record=self.durable
                )
                yield self._edit
                committed = self._finish(self._edit, previous_seq, summary)
            finally:
                self._edit = None
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        if committed:
            self.acknowledge(meta, summary)

    def begin_history(self, kind: str, summary: str) -> None:
        """Forget all changes so far; the one that this makes is the first, and is not undone."""
        self.refuse_within_a_change(kind)
        with sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                meta = self.meta()
                self._catch_up(meta)
                self.journal.clear()
                previous_seq, meta.last_seq = meta.last_seq, meta.last_seq + 1
                self.journal.append(meta, previous_seq, kind, now(), summary, [])
                write_meta(self._connection, meta)
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        self.acknowledge(meta, summary)

    def refuse_within_a_change(self, what: str) -> None:
        """GalleryError when a change is open: ``what`` can only be done on its own."""
        if self._edit is not None:
            raise GalleryError(f"{self._path}: {what} cannot be a part of another change")

    def acknowledge(self, meta: Meta, change: str) -> None:
        """Write the sidecar: from here on, losing this state is an error."""
        try:
            if self.durable:
                write_marks(self._path, [meta.mark(change)])
        except OutputError as error:
            raise OutputError(
                f"{self._path}: change {meta.last_seq} is stored but not acknowledged: {error}"
            ) from error
        self.acknowledged = meta.last_seq

    def _catch_up(self, meta: Meta) -> None:
        """At most one change is ever ahead of the sidecar."""
        if self.acknowledged is not None and self.acknowledged < meta.last_seq:
            self.acknowledge(meta, "caught up")

    def _finish(self, edit: Edit, previous_seq: int, summary: str) -> bool:
        """Commit, where there is anything to commit."""
        if edit.failed:
            raise GalleryError(f"{self._path}: {edit.kind}: a part of it failed, nothing is stored")
        if not edit.changed:
            return False
        if self.durable:
            change = self.journal.append(
                edit.meta, previous_seq, edit.kind, edit.at, summary, edit.steps
            )
            for seq, undone in edit.undone.items():
                self.journal.mark_undone(seq, change.seq if undone else None)
        write_meta(self._connection, edit.meta)
        self._connection.execute("COMMIT")
        return True


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
