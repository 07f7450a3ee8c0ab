"""Opening hours: when a camera is to look at its shelf."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?"
    r" +(?P<from>\d{2}:\d{2}) *- *(?P<to>\d{2}:\d{2})"
)
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Opening:
    """Weekdays (0 = Monday) and minutes since local midnight; ``end`` ≤ ``start`` is the next day."""

    days: frozenset[int]
    start: int
    end: int


def parse_opening(text: str) -> Opening:
    """Read ``"mon-sat 08:00-20:00"`` or ``"sun 22:00-06:00"`` (until the next morning).

    Raises:
        ValueError: what is wrong with the text, in words for its writer.
    """
    match = _FORM.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is not of the form 'mon-sat 08:00-20:00'")
    names = [match["first"], match["last"] or match["first"]]
    for name in names:
        if name not in DAYS:
            raise ValueError(f"{text!r}: {name!r} is not a day ({', '.join(DAYS)})")
    first, last = (DAYS.index(name) for name in names)
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    return Opening(days, _minutes(match["from"], text), _minutes(match["to"], text))


def is_open(openings: tuple[Opening, ...], at: datetime, zone: tzinfo) -> bool:
    """Whether ``at`` (any time zone) lies within the hours as clocks in ``zone`` show them.

    No openings at all means always open.
    """
    if not openings:
        return True
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    today = local.weekday()
    yesterday = (local - timedelta(days=1)).weekday()
    for opening in openings:
        end = opening.end if opening.end > opening.start else opening.end + _DAY_MINUTES
        if today in opening.days and opening.start <= minute < end:
            return True
        if yesterday in opening.days and minute + _DAY_MINUTES < end:
            return True
    return False


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name; ValueError where the system knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is not a time zone that this system knows (such as 'Europe/Berlin')"
        ) from error


def _minutes(text: str, whole: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > _DAY_MINUTES:
        raise ValueError(f"{whole!r}: {text} is not a time of day")
    return hours * 60 + minutes
