"""Logs of the daemon: one structured line an event, rate-limited, without secrets."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from edge.daemon.events import timestamp
from edge.daemon.settings import LogSettings

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# up to the last @ before the path: passwords may hold some themselves
_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")
_NAMED = re.compile(
    r"(?i)\b(password|passwd|pwd|token|secret|authorization|api[_-]?key)(\s*[=:]\s*(?:bearer\s+)?|\s+bearer\s+)"
    r"[^\s&,;\"']+"
)
_WINDOW_S = 60.0
_PRIORITY = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def set_up(settings: LogSettings, process: str, secrets: Iterable[str] = ()) -> None:
    """Send all logs of this process to stderr; ``process`` is written on every line.

    ``secrets`` are texts that are blotted out wherever they appear.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Structured(settings.format, process, secrets))
    handler.addFilter(RateLimit(settings.burst))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    logging.raiseExceptions = False


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without credentials in addresses, named secrets and the given ones."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _CREDENTIALS.sub(r"\1***@", text)
    return _NAMED.sub(r"\1\2***", text)


class Structured(logging.Formatter):
    """``time=… level=… process=… logger=… message="…" key=value``, or the same as JSON."""

    def __init__(self, form: str, process: str, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._json = form == "json"
        self._process = process
        self._secrets = tuple(secrets)
        # journald reads the level from the line's beginning
        self._prefix = "JOURNAL_STREAM" in os.environ

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        fields: dict[str, object] = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {k: v for k, v in record.__dict__.items() if k not in _PLAIN}
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        clean = {k: self._clean(v) for k, v in fields.items()}
        if self._json:
            line = json.dumps(clean, ensure_ascii=False)
        else:
            line = " ".join(f"{k}={_quoted(v)}" for k, v in clean.items())
        return f"<{_PRIORITY.get(record.levelname, 6)}>{line}" if self._prefix else line

    def _clean(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        return redact(str(value), self._secrets)


class RateLimit(logging.Filter):
    """Lets ``burst`` equal messages a minute pass, then one that says how many were left out.

    Messages are equal when logger, level and the text before its arguments are.
    """

    def __init__(self, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._burst = burst
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        now = self._clock()
        key = (record.name, record.levelno, str(record.msg))
        begun, count = self._seen.get(key, (now, 0))
        if now - begun >= _WINDOW_S:
            if count > self._burst:
                record.__dict__["left_out"] = count - self._burst
            begun, count = now, 0
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (begun, count + 1)
        return count < self._burst


def _quoted(value: object) -> str:
    text = str(value)
    if text and re.fullmatch(r"[^\s\"=\\]+", text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=False)
