from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.camera.backoff import Backoff
from edge.daemon.delivery import Delivery, Sent, SinkError
from edge.daemon.jsonl import JsonLinesSink
from edge.daemon.outbox import Outbox, Stored
from edge.daemon.webhook import WebhookSink
from tests.edge.daemon.brokers import until
from tests.edge.daemon.disks import fill, small_disk
from tests.edge.daemon.events_for_tests import events
from tests.streams import closed_port


def stored(first: int, last: int) -> list[Stored]:
    return [
        Stored(n, f"id{n}", "a", "change", json.dumps({"number": n}))
        for n in range(first, last + 1)
    ]


def lines(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


# ------------------------------------------------------------------------------------ JSON lines


def test_lines_are_appended(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "new" / "e.jsonl", 10_000, 2)
    assert sink.send(stored(1, 2)).taken == 2
    sink.close()
    sink.send(stored(3, 3))
    assert lines(tmp_path / "new" / "e.jsonl") == [1, 2, 3]


def test_files_are_rotated_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    sink = JsonLinesSink(path, 10, 2)
    for n in range(1, 6):
        sink.send(stored(n, n))
    found = {p.name: lines(p) for p in tmp_path.iterdir()}
    assert found == {"e.jsonl": [5], "e.jsonl.1": [4], "e.jsonl.2": [3]}


@pytest.mark.parametrize("taken_away", ["deleted", "moved"])
def test_a_file_that_somebody_took_away_is_begun_again(tmp_path: Path, taken_away: str) -> None:
    path = tmp_path / "e.jsonl"
    sink = JsonLinesSink(path, 10_000, 2)
    sink.send(stored(1, 1))
    if taken_away == "moved":
        path.rename(tmp_path / "old.jsonl")
    else:
        path.unlink()
    sink.send(stored(2, 2))
    assert lines(path) == [2], "an acknowledged event lies where it is looked for"


class Unthinkable:
    """A sink with a mistake in it, which shows once."""

    name = "x"

    def __init__(self) -> None:
        self.got: list[int] = []
        self.failed = False

    def send(self, batch: Sequence[Stored]) -> Sent:
        if not self.failed:
            self.failed = True
            raise KeyError("nobody thought of this")
        self.got += [json.loads(event.payload)["data"]["number"] for event in batch]
        return Sent(len(batch))

    def close(self) -> None:
        raise RuntimeError("not even this")


def test_a_mistake_in_a_sink_does_not_end_delivery(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Outbox(tmp_path / "o.db") as outbox:
        outbox.register(["x"])
        outbox.commit({}, events(1, 3))
        sink = Unthinkable()
        delivery = Delivery(sink, outbox.path, Backoff(0.05, 0.1))
        delivery.start()
        until(lambda: outbox.depth()[0] == 0)
        delivery.stop()
    assert sink.got == [1, 2, 3]
    assert delivery.status.failures == 1
    assert "nobody thought of this" in caplog.text


def test_without_old_files_the_file_begins_again(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "e.jsonl", 10, 0)
    for n in (1, 2):
        sink.send(stored(n, n))
    assert [p.name for p in tmp_path.iterdir()] == ["e.jsonl"]
    assert lines(tmp_path / "e.jsonl") == [2]


def test_half_a_line_of_a_crash_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"number": 1}\n{"numb')
    JsonLinesSink(path, 10_000, 1).send(stored(2, 2))
    assert lines(path) == [1, 2]


def test_a_full_disk_leaves_whole_lines_and_is_no_loss(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        sink = JsonLinesSink(disk / "e.jsonl", 10_000_000, 1)
        sink.send(stored(1, 3))
        filler = fill(disk)
        with pytest.raises(SinkError, match="No space left on device"):
            sink.send(stored(4, 2000))
        assert lines(disk / "e.jsonl") == [1, 2, 3]
        filler.unlink()
        assert sink.send(stored(4, 5)).taken == 2
        assert lines(disk / "e.jsonl") == [1, 2, 3, 4, 5]
        sink.close()


# --------------------------------------------------------------------------------------- webhook


class Endpoint:
    """An HTTP server that answers as told and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[int, str, str]] = []
        self.answers: list[int] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = json.loads(body).get("number") or json.loads(body)["data"]["number"]
                status = outer.answers.pop(0) if outer.answers else 204
                if status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                login = self.headers.get("Authorization", "")
                outer.got.append((number, self.headers["Idempotency-Key"], login))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?x=1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


def test_events_are_posted_one_by_one(endpoint: Endpoint) -> None:
    sink = WebhookSink(endpoint.url, token="t0ken", timeout_s=5)
    assert sink.send(stored(1, 3)).taken == 3
    assert endpoint.got == [(n, f"id{n}", "Bearer t0ken") for n in (1, 2, 3)]


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
def test_what_may_pass_is_tried_again_from_there(endpoint: Endpoint, status: int) -> None:
    sink = WebhookSink(endpoint.url, timeout_s=5)
    endpoint.answers = [200, status]
    sent = sink.send(stored(1, 3))
    assert (sent.taken, sent.refused) == (1, 0)
    assert sent.problem == f"127.0.0.1: HTTP status {status}"


def test_what_will_never_be_accepted_is_counted_and_left(endpoint: Endpoint) -> None:
    endpoint.answers = [200, 422, 200]
    sent = WebhookSink(endpoint.url, timeout_s=5).send(stored(1, 3))
    assert (sent.taken, sent.refused, sent.problem) == (3, 1, None)


def test_an_idle_connection_that_the_server_closed_is_opened_again(endpoint: Endpoint) -> None:
    sink = WebhookSink(endpoint.url, timeout_s=5)
    sink.send(stored(1, 1))
    endpoint.answers = [0, 200]
    assert sink.send(stored(2, 2)).taken == 1


def test_nobody_listens() -> None:
    with closed_port() as port, pytest.raises(SinkError, match="Connection refused"):
        WebhookSink(f"http://127.0.0.1:{port}/", timeout_s=2).send(stored(1, 1))


def test_delivery_goes_on_after_failures_and_counts_refusals(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.answers = [500, 200, 503, 200, 400, 0, 0, 200]
    with Outbox(tmp_path / "o.db") as outbox:
        outbox.register(["webhook"])
        outbox.commit({}, events(1, 6))
        sink = WebhookSink(endpoint.url, timeout_s=5)
        delivery = Delivery(sink, outbox.path, Backoff(0.05, 0.1))
        delivery.start()
        until(lambda: outbox.depth()[0] == 0)
        delivery.stop()
        assert outbox.counters() == {"refused:webhook": 1}
    assert list(dict.fromkeys(number for number, _, _ in endpoint.got)) == [1, 2, 3, 4, 5, 6]
    assert delivery.status.failures >= 2
