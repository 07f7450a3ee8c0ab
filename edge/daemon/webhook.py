"""Events to an HTTP endpoint, one POST an event."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from edge.daemon.delivery import Sent, SinkError
from edge.daemon.outbox import Stored

_RETRY = frozenset({401, 403, 404, 405, 407, 408, 421, 423, 425, 429})
"""4xx answers that speak of the moment or of our settings, not of the event."""


class WebhookSink:
    """Posts events to ``url`` as ``application/json``, with the event's id as ``Idempotency-Key``.

    2xx acknowledges. 400, 413, 422 and the like say that this event will never be accepted: it is
    counted as refused. Everything else is tried again. Redirects are not followed.
    """

    name = "webhook"

    def __init__(
        self, url: str, *, token: str | None = None, ca_file: str | None = None, timeout_s: float
    ) -> None:
        parts = urlsplit(url)
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._token = token
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=ca_file) if self._https else None
        self._connection: http.client.HTTPConnection | None = None

    def send(self, events: Sequence[Stored]) -> Sent:
        """Post one after the other until one is not taken."""
        refused = 0
        for number, event in enumerate(events):
            try:
                status = self._post(event)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                problem = f"{self._host}: {_line(error)}"
                if number:
                    return Sent(number, refused, problem)
                raise SinkError(problem) from error
            if 200 <= status < 300:
                continue
            if 400 <= status < 500 and status not in _RETRY:
                refused += 1
                continue
            return Sent(number, refused, f"{self._host}: HTTP status {status}")
        return Sent(len(events), refused)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, event: Stored) -> int:
        headers = {"Content-Type": "application/json", "Idempotency-Key": event.id}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        body = event.payload.encode("utf-8")
        fresh = self._connection is None
        try:
            return self._request(body, headers)
        except (OSError, http.client.HTTPException):
            self.close()
            if fresh:
                raise
            # a server may close an idle connection at any moment: that is no failure yet
            return self._request(body, headers)

    def _request(self, body: bytes, headers: dict[str, str]) -> int:
        if self._connection is None:
            self._connection = (
                http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout_s, context=self._tls
                )
                if self._tls is not None
                else http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
            )
        self._connection.request("POST", self._target, body, headers)
        response = self._connection.getresponse()
        response.read(65536)
        if response.will_close:
            self.close()
        return response.status


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
