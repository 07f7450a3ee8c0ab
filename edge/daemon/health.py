"""/healthz, /readyz and /metrics on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edge.errors import ConfigError

_LOOPBACK = "127.0.0.1"


class HealthServer:
    """Answers while the supervisor runs; asks the callbacks at every request.

    ``/healthz``: 200 while inference makes progress, else 503. ``/readyz``: 200 when models are
    loaded and at least one camera delivers, else 503. Both answer with the same JSON of details.

    Raises:
        ConfigError: when the port is taken.
    """

    def __init__(
        self,
        port: int,
        *,
        is_alive: Callable[[], bool],
        is_ready: Callable[[], bool],
        details: Callable[[], Mapping[str, Any]],
        metrics: Callable[[], tuple[bytes, str]],
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5
            server_version = "shelf-edge"
            sys_version = ""

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    body, kind = metrics()
                    self._answer(200, body, kind)
                elif path in ("/healthz", "/readyz"):
                    good = is_alive() if path == "/healthz" else is_ready()
                    body = json.dumps({"ok": good, **details()}).encode()
                    self._answer(200 if good else 503, body, "application/json")
                else:
                    self._answer(404, b"not here: /healthz, /readyz, /metrics\n", "text/plain")

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Requests of a scraper every few seconds are no news."""

        try:
            self._server = ThreadingHTTPServer((_LOOPBACK, port), Handler)
        except OSError as error:
            raise ConfigError(f"http.port: {port}: {error.strerror or error}") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1.0)
