"""Events for the tests of what carries them."""

from __future__ import annotations

from datetime import UTC, datetime

from edge.daemon.events import Event, Kind, event_id

AT = datetime(2031, 5, 4, 9, 30, tzinfo=UTC)


def event(number: int, kind: Kind = "change", camera: str = "a") -> Event:
    """The ``number``-th event of a camera; the same arguments give the same id."""
    return Event(event_id("dev", camera, kind, number), kind, "dev", camera, AT, {"number": number})


def events(first: int, last: int, kind: Kind = "change", camera: str = "a") -> list[Event]:
    """Events ``first`` to ``last``, both included."""
    return [event(n, kind, camera) for n in range(first, last + 1)]
