"""The durable outbox: slot state and the events that it caused, in one transaction on disk.

Several processes may hold it open: inference commits, the supervisor delivers and deletes. Events
are numbered in the order in which they were committed; every sink has a cursor, the number up to
which it has acknowledged; an event is deleted once all sinks are past it.

When it is full the oldest snapshots go first (a newer one says the same, only later), then the
oldest of all other events; each loss is counted for every sink that had not had it yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.closing import Closing
from edge.daemon.events import Event
from edge.daemon.outbox_schema import cannot_write, connect


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait: a number of events, and the bytes of their payloads."""

    events: int = 100_000
    payload_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it waits: ``seq`` orders all of them, ``payload`` is its JSON text."""

    seq: int
    id: str
    camera: str
    kind: str
    payload: str


class Outbox(Closing):
    """One connection; for one thread at a time. Raises OutputError for what SQLite refuses.

    ``mend`` sets a damaged file aside; for the first process that opens it.
    """

    def __init__(self, path: Path, limits: Limits | None = None, *, mend: bool = False) -> None:
        self.path = path
        self.limits = limits or Limits()
        self._db = connect(path, mend=mend)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    # ------------------------------------------------------------------------------- producing

    def commit(self, states: Mapping[str, bytes], events: Iterable[Event]) -> int:
        """Store states by name and append events; all of it or, after OutputError, nothing.

        An event whose id is waiting already is left out. Returns how many events were dropped
        because the outbox is full.
        """
        with self._write() as db:
            db.executemany("REPLACE INTO state VALUES (?, ?)", states.items())
            db.executemany(
                "INSERT OR IGNORE INTO events(id, camera, kind, snapshot, payload)"
                " VALUES (?, ?, ?, ?, ?)",
                ((e.id, e.camera, e.kind, int(e.is_snapshot), e.to_json()) for e in events),
            )
            return self._make_room(db)

    def state(self, name: str) -> bytes | None:
        """The state stored last under ``name``."""
        row = self._read("SELECT state FROM state WHERE name = ?", (name,))
        return bytes(row[0][0]) if row else None

    def forget_states(self, keep: Sequence[str]) -> None:
        """Delete the states of all other names."""
        with self._write() as db:
            marks = ",".join("?" * len(keep))
            db.execute(f"DELETE FROM state WHERE name NOT IN ({marks})", tuple(keep))

    # ------------------------------------------------------------------------------ delivering

    def register(self, sinks: Sequence[str]) -> None:
        """Say which sinks there are: others lose their cursor, new ones begin with what waits."""
        with self._write() as db:
            marks = ",".join("?" * len(sinks))
            db.execute(f"DELETE FROM sinks WHERE name NOT IN ({marks})", tuple(sinks))
            db.executemany("INSERT OR IGNORE INTO sinks VALUES (?, 0)", ((s,) for s in sinks))
            self._delete_delivered(db)

    def waiting(self, sink: str, limit: int) -> list[Stored]:
        """The oldest events that ``sink`` has not acknowledged, in order."""
        rows = self._read(
            "SELECT seq, id, camera, kind, payload FROM events"
            " WHERE seq > (SELECT acked FROM sinks WHERE name = ?) ORDER BY seq LIMIT ?",
            (sink, limit),
        )
        return [Stored(*row) for row in rows]

    def acknowledge(self, sink: str, seq: int, refused: int = 0) -> None:
        """``sink`` has everything up to ``seq``; ``refused`` of it it will never take."""
        with self._write() as db:
            db.execute("UPDATE sinks SET acked = max(acked, ?) WHERE name = ?", (seq, sink))
            if refused:
                self._count(db, f"refused:{sink}", refused)
            self._delete_delivered(db)

    # --------------------------------------------------------------------------------- looking

    def depth(self) -> tuple[int, int]:
        """How many events wait, and the bytes of their payloads."""
        row = self._read("SELECT rows, bytes FROM totals", ())[0]
        return int(row[0]), int(row[1])

    def backlog(self) -> dict[str, int]:
        """How many events wait for each sink."""
        rows = self._read(
            "SELECT name, (SELECT count(*) FROM events WHERE seq > acked) FROM sinks", ()
        )
        return {str(name): int(count) for name, count in rows}

    def counters(self) -> dict[str, int]:
        """Losses since the file was made: ``dropped:<sink>:snapshot|event``, ``refused:<sink>``."""
        rows = self._read("SELECT name, value FROM counters ORDER BY name", ())
        return {str(name): int(value) for name, value in rows}

    # --------------------------------------------------------------------------------- private

    def _make_room(self, db: sqlite3.Connection) -> int:
        dropped = 0
        while True:
            rows, size = db.execute("SELECT rows, bytes FROM totals").fetchone()
            if rows <= self.limits.events and size <= self.limits.payload_bytes:
                return dropped
            oldest = db.execute(
                "SELECT seq, snapshot FROM events ORDER BY snapshot DESC, seq LIMIT 1"
            ).fetchone()
            if oldest is None:
                return dropped
            kind = "snapshot" if oldest[1] else "event"
            late = db.execute("SELECT name FROM sinks WHERE acked < ?", (oldest[0],)).fetchall()
            for (name,) in late:
                self._count(db, f"dropped:{name}:{kind}", 1)
            db.execute("DELETE FROM events WHERE seq = ?", (oldest[0],))
            dropped += 1

    def _count(self, db: sqlite3.Connection, name: str, more: int) -> None:
        db.execute(
            "INSERT INTO counters VALUES (?, ?)"
            " ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
            (name, more),
        )

    def _delete_delivered(self, db: sqlite3.Connection) -> None:
        # without any sink the subquery is NULL and nothing is deleted
        db.execute("DELETE FROM events WHERE seq <= (SELECT min(acked) FROM sinks)")

    def _read(self, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise cannot_write(self.path, error) from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite itself rolls back when the disk is full
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise cannot_write(self.path, error) from error
