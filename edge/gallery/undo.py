"""Which change undo takes back, and which one redo does again.

Undone changes stand in the journal as such, so that undo can go on before them; the gallery is
always in the state that the change to be taken back has left.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.gallery.records import Change


def to_undo(history: Sequence[Change]) -> Change | None:
    """The last change that still stands; ``history`` is oldest first."""
    for change in reversed(history):
        if change.undoable and change.undone_by is None:
            return change
    return None


def to_redo(history: Sequence[Change]) -> tuple[Change, Change] | None:
    """The last undo that still stands, and what it took back.

    None where there is none, where another change came after it, or where the journal no longer
    holds what it took back.
    """
    for change in reversed(history):
        if change.kind == "redo" or (change.kind == "undo" and change.undone_by is not None):
            continue
        if change.kind != "undo":
            return None
        taken_back = [before for before in history if before.undone_by == change.seq]
        return (change, taken_back[0]) if taken_back else None
    return None
