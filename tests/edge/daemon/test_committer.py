from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from edge.daemon.committer import RETRY_S, Committer
from edge.daemon.events import Event
from edge.daemon.outbox import Outbox
from edge.errors import OutputError
from tests.edge.daemon.events_for_tests import event, events


class FullDisk(Outbox):
    """An outbox whose disk can be filled."""

    full = True

    def commit(self, states: Mapping[str, bytes], events: Iterable[Event]) -> int:
        if self.full:
            raise OutputError("database or disk is full")
        return super().commit(states, events)


@pytest.fixture
def box(tmp_path: Path) -> FullDisk:
    box = FullDisk(tmp_path / "outbox.db")
    box.register(["mqtt"])
    return box


def test_events_and_their_state_wait_in_memory_and_arrive_together(box: FullDisk) -> None:
    now = [0.0]
    committer = Committer(box, clock=lambda: now[0])
    committer.add(events(1, 2), {"a": b"old"})
    assert not committer.flush()
    assert (committer.depth, committer.problem) == (2, "database or disk is full")
    committer.add([event(3)], {"a": b"new"})
    box.full = False
    assert (committer.state("a"), committer.state("b")) == (b"new", None)
    assert not committer.flush(), "tried again too soon"
    now[0] += RETRY_S
    assert committer.flush()
    assert [s.id for s in box.waiting("mqtt", 9)] == [e.id for e in events(1, 3)]
    assert box.state("a") == b"new"
    assert (committer.depth, committer.problem, committer.committed) == (0, "", 3)


def test_memory_is_bounded_and_losses_are_counted(box: FullDisk) -> None:
    committer = Committer(box, most=3)
    committer.add([event(1), event(2, "inventory"), event(3), event(4), event(5)])
    assert committer.dropped == 2
    box.full = False
    assert committer.flush(at_once=True)
    assert [s.id for s in box.waiting("mqtt", 9)] == [event(n).id for n in (3, 4, 5)]


def test_nothing_waits_nothing_is_written(box: FullDisk) -> None:
    assert Committer(box).flush()
