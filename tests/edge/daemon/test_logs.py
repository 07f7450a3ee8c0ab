from __future__ import annotations

import json
import logging

import pytest

from edge.daemon.logs import RateLimit, Structured, redact


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "edge.x", "levelno": 30, "levelname": "WARNING", "msg": message, "args": args}
    )
    made.created = 1935912600.0
    made.__dict__.update(extra)
    return made


def test_a_line_of_keys_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    line = Structured("keyvalue", "inference").format(
        record("camera %s", "a", state="down", why='no "route"\nto host')
    )
    assert line == (
        "time=2031-05-07T09:30:00.000Z level=warning process=inference logger=edge.x"
        ' message="camera a" state=down why="no \\"route\\"\\nto host"'
    )


def test_the_same_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    line = Structured("json", "inference").format(record("camera %s", "a", age_s=1.5))
    assert json.loads(line) == {
        "time": "2031-05-07T09:30:00.000Z",
        "level": "warning",
        "process": "inference",
        "logger": "edge.x",
        "message": "camera a",
        "age_s": 1.5,
    }


def test_the_journal_gets_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert Structured("keyvalue", "x").format(record("m")).startswith("<4>time=")


@pytest.mark.parametrize(
    "text",
    [
        "cannot open rtsp://admin:s3cret@10.0.0.1/live",
        "url=http://s3cret@host/x",
        "cannot open rtsp://admin:p@s3cret@10.0.0.1/live",
        "password=s3cret",
        "Authorization: Bearer s3cret",
        '{"token": "x", "msg": "token=s3cret;"}',
        "the plain s3cret itself",
    ],
)
def test_secrets_are_blotted_out(text: str) -> None:
    assert "s3cret" not in redact(text, ["s3cret"] if "plain" in text else [])


def test_secrets_in_traces_are_blotted_out() -> None:
    try:
        raise ValueError("rtsp://admin:s3cret@10.0.0.1/live")
    except ValueError as error:
        made = record("broke")
        made.exc_info = (type(error), error, error.__traceback__)
    assert "s3cret" not in Structured("keyvalue", "x").format(made)


def test_equal_messages_are_limited_and_those_left_out_are_counted() -> None:
    now = [0.0]
    limit = RateLimit(3, clock=lambda: now[0])
    passed = [limit.filter(record("sink fails", sink=n)) for n in range(10)]
    assert passed == [True] * 3 + [False] * 7
    assert limit.filter(record("another"))
    now[0] = 61.0
    last = record("sink fails")
    assert limit.filter(last)
    assert last.__dict__["left_out"] == 7
