from __future__ import annotations

import json
from datetime import datetime

import pytest

from edge.daemon.events import DEVICE, SCHEMA, Event, event_id, timestamp
from tests.edge.daemon.events_for_tests import AT


def test_the_schema_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


def test_every_key_is_documented() -> None:
    kinds = json.loads(SCHEMA.read_text())["$defs"]
    silent = []
    for kind in ("change", "inventory", "camera_health", "device_health"):
        for key, value in kinds[kind]["properties"].items():
            says = {"description", "$ref", "enum", "properties", "items"} & set(value)
            if not says:
                silent.append(f"{kind}.{key}")
    assert silent == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"id": "short"},
        {"kind": "gossip"},
        {"at": "yesterday"},
        {"camera": None},
        {"data": {"change": "vanished", "number": 1, "changed_at": timestamp(AT)}},
    ],
)
def test_the_schema_refuses_what_is_wrong(change: dict[str, object]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    data = {"change": "taken", "number": 1, "changed_at": timestamp(AT), "frame_age_s": 0.1}
    good = json.loads(Event("0" * 32, "change", "d", "a", AT, data).to_json())
    jsonschema.validate(good, json.loads(SCHEMA.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(good | change, json.loads(SCHEMA.read_text()))


def test_ids_are_the_same_for_the_same_and_differ_otherwise() -> None:
    assert event_id("d", "a", "change", 1) == event_id("d", "a", "change", 1)
    parts = [("d", "a", "change", 1), ("d", "a", "change", 11), ("d", "a", "change", 1, 1),
             ("e", "a", "change", 1), ("da", "", "change", 1)]  # fmt: skip
    assert len({event_id(*p) for p in parts}) == len(parts)  # type: ignore[arg-type]


def test_an_event_of_the_device_has_no_camera() -> None:
    told = json.loads(Event("0" * 32, "device_health", "d", DEVICE, AT, {}).to_json())
    assert told["camera"] is None
    assert told["at"] == "2031-05-04T09:30:00.000Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        Event("0" * 32, "change", "d", "a", datetime(2031, 5, 4), {})
