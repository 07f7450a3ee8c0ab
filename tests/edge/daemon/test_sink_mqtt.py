from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.camera.backoff import Backoff
from edge.daemon.delivery import Delivery, SinkError
from edge.daemon.discovery import discovery_messages
from edge.daemon.events import DEVICE
from edge.daemon.mqtt import MqttSink
from edge.daemon.outbox import Outbox, Stored
from edge.daemon.settings import MqttSettings
from tests.edge.daemon.brokers import Broker, Listener, until
from tests.edge.daemon.events_for_tests import event, events
from tests.streams import closed_port


def settings(port: int, **changes: object) -> MqttSettings:
    return MqttSettings.model_validate({"host": "127.0.0.1", "port": port, **changes})


def stored(seq: int, kind: str = "change", camera: str = "a") -> Stored:
    return Stored(seq, f"id{seq}", camera, kind, json.dumps({"data": {"number": seq}}))


def numbers(listener: Listener) -> list[int]:
    return [e["data"]["number"] for e in listener.events()]


def distinct(values: list[int]) -> list[int]:
    return list(dict.fromkeys(values))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path).start()
    yield broker
    broker.stop()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


def test_events_are_acknowledged_and_go_to_their_topics(broker: Broker, listener: Listener) -> None:
    sink = MqttSink(settings(broker.port), "dev")
    batch = [
        stored(1),
        stored(2, "inventory"),
        stored(3, "camera_health"),
        stored(4, "device_health", DEVICE),
    ]
    sent = sink.send(batch)
    assert (sent.taken, sent.refused, sent.problem) == (4, 0, None)
    until(lambda: len(listener.messages) >= 5)
    assert [topic for topic, _, _ in listener.messages] == [
        "shelf-edge/dev/status",
        "shelf-edge/dev/a/change",
        "shelf-edge/dev/a/inventory",
        "shelf-edge/dev/a/health",
        "shelf-edge/dev/health",
    ]
    properties = listener.properties[1]
    assert properties.UserProperty == [("event-id", "id1")]
    assert properties.ContentType == "application/json"
    sink.close()


def test_snapshots_are_retained_and_changes_are_not(broker: Broker) -> None:
    sink = MqttSink(settings(broker.port), "dev")
    sink.send([stored(1), stored(2, "inventory")])
    late = Listener(broker.port)
    until(lambda: len(late.messages) >= 2)
    retained = {topic for topic, _, is_retained in late.messages if is_retained}
    assert retained == {"shelf-edge/dev/status", "shelf-edge/dev/a/inventory"}
    late.close()
    sink.close()


def test_the_status_is_online_then_offline(broker: Broker, listener: Listener) -> None:
    sink = MqttSink(settings(broker.port), "dev")
    sink.send([stored(1)])
    sink.close()
    until(lambda: len([m for m in listener.messages if m[0].endswith("/status")]) == 2)
    assert [p for t, p, _ in listener.messages if t.endswith("/status")] == [b"online", b"offline"]


def test_a_sink_that_was_closed_connects_anew(broker: Broker, listener: Listener) -> None:
    sink = MqttSink(settings(broker.port), "dev")
    assert sink.send([stored(1)]).taken == 1
    sink.close()
    assert sink.send([stored(2)]).taken == 1
    sink.close()
    until(lambda: numbers(listener) == [1, 2])


def test_the_last_will_says_offline_when_the_daemon_is_killed(
    broker: Broker, listener: Listener
) -> None:
    sink = MqttSink(settings(broker.port), "dev")
    sink.send([stored(1)])
    assert sink._client is not None
    sink._client.loop_stop()
    sock = sink._client.socket()
    assert isinstance(sock, socket.socket)
    sock.shutdown(socket.SHUT_RDWR)
    until(lambda: ("shelf-edge/dev/status", b"offline") in [m[:2] for m in listener.messages])


def test_home_assistant_finds_the_cameras(broker: Broker, listener: Listener) -> None:
    messages = discovery_messages("homeassistant", "shelf-edge", "dev", ["a", "b"])
    sink = MqttSink(settings(broker.port), "dev", greeting=messages)
    sink.send([stored(1)])
    until(lambda: len([m for m in listener.messages if m[0].endswith("/config")]) == 8)
    configs = {t: json.loads(p) for t, p, _ in listener.messages if t.endswith("/config")}
    gaps = configs["homeassistant/sensor/shelf_edge_dev_a/gaps/config"]
    assert gaps["state_topic"] == "shelf-edge/dev/a/inventory"
    assert gaps["availability_topic"] == "shelf-edge/dev/status"
    assert len({c["unique_id"] for c in configs.values()}) == 8
    sink.close()


def test_a_broker_that_is_away_is_an_error_and_no_hang() -> None:
    with closed_port() as port:
        sink = MqttSink(settings(port), "dev")
        with pytest.raises(SinkError, match="cannot connect"):
            sink.send([stored(1)])
        sink.close()


def test_a_broker_that_refuses_the_login_is_named_without_the_password(tmp_path: Path) -> None:
    broker = Broker(tmp_path, "allow_anonymous false").start()
    sink = MqttSink(settings(broker.port, username="u"), "dev", password="geheim")
    with pytest.raises(SinkError, match="refuses the connection: Not authorized") as caught:
        sink.send([stored(1)])
    assert "geheim" not in str(caught.value)
    sink.close()
    broker.stop()


def test_a_broker_that_refuses_events_keeps_them_waiting_until_it_does_not(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write shelf-edge/dev/status\n")
    broker = Broker(tmp_path, "allow_anonymous true", f"acl_file {acl}").start()
    with Outbox(tmp_path / "o.db") as outbox:
        outbox.register(["mqtt"])
        outbox.commit({}, events(1, 5))
        delivery = Delivery(MqttSink(settings(broker.port), "dev"), outbox.path, Backoff(0.2, 0.5))
        delivery.start()
        until(lambda: "refuses: Not authorized" in delivery.status.problem)
        assert outbox.depth()[0] == 5
        acl.write_text("topic readwrite #\n")
        broker.stop()
        broker.start()
        until(lambda: outbox.depth()[0] == 0)
        delivery.stop()
        assert outbox.counters() == {}
    broker.stop()


def test_it_speaks_tls_and_checks_the_brokers_certificate(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    broker = Broker(tmp_path, f"certfile {cert}", f"keyfile {key}", "allow_anonymous true").start()
    good = MqttSink(settings(broker.port, host="localhost", tls=True, ca_file=cert), "dev")
    assert good.send([stored(1)]).taken == 1
    good.close()
    unknown = MqttSink(settings(broker.port, host="localhost", tls=True), "dev")
    with pytest.raises(SinkError, match="cannot connect"):
        unknown.send([stored(1)])
    unknown.close()
    wrong_name = MqttSink(settings(broker.port, tls=True, ca_file=cert), "dev")
    with pytest.raises(SinkError, match="cannot connect"):
        wrong_name.send([stored(1)])
    wrong_name.close()
    broker.stop()


def test_a_certificate_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        MqttSink(settings(1, tls=True, ca_file=tmp_path / "none"), "dev")


def deliver_through_an_absence(folder: Path, count: int) -> list[int]:
    """Events that were made while the broker was away, as they came."""
    broker = Broker(folder).start()
    listener = Listener(broker.port)
    with Outbox(folder / "o.db") as outbox:
        outbox.register(["mqtt"])
        delivery = Delivery(MqttSink(settings(broker.port), "dev"), outbox.path, Backoff(0.2, 1.0))
        delivery.start()
        outbox.commit({}, [event(1)])
        delivery.wake()
        until(lambda: outbox.depth()[0] == 0)
        broker.stop(kill=True)
        for start in range(2, count + 1, 100):
            outbox.commit({}, events(start, min(start + 99, count)))
        delivery.wake()
        until(lambda: not delivery.status.ok)
        broker.start()
        assert listener.subscribed.wait(20)
        until(lambda: outbox.depth()[0] == 0, 120)
        assert outbox.counters() == {}
        delivery.stop()
    until(lambda: len(set(numbers(listener))) >= count, 30)
    listener.close()
    broker.stop()
    return numbers(listener)


def test_nothing_is_lost_while_the_broker_is_away(tmp_path: Path) -> None:
    got = deliver_through_an_absence(tmp_path, 1_000)
    assert distinct(got) == list(range(1, 1_001))


@pytest.mark.soak
def test_nothing_of_10000_is_lost_while_the_broker_is_away(tmp_path: Path) -> None:
    got = deliver_through_an_absence(tmp_path, 10_000)
    assert distinct(got) == list(range(1, 10_001))


def test_order_holds_when_the_broker_dies_in_the_middle(tmp_path: Path) -> None:
    """First arrivals are in order, whatever is repeated after them."""
    broker = Broker(tmp_path).start()
    listener = Listener(broker.port)
    with Outbox(tmp_path / "o.db") as outbox:
        outbox.register(["mqtt"])
        delivery = Delivery(MqttSink(settings(broker.port), "dev"), outbox.path, Backoff(0.2, 0.5))
        delivery.start()
        returns: list[threading.Timer] = []
        for n in range(1, 301):
            outbox.commit({}, [event(n)])
            delivery.wake()
            if n in (100, 200):
                for earlier in returns:
                    earlier.join()
                broker.stop(kill=True)
                returns.append(threading.Timer(0.3, broker.start))
                returns[-1].start()
        until(lambda: outbox.depth()[0] == 0, 60)
        delivery.stop()
    until(lambda: listener.subscribed.is_set())
    got = distinct(numbers(listener))
    # what was acknowledged while the listener was still away itself it cannot have seen
    assert got == sorted(got)
    listener.close()
    for last in returns:
        last.join()
    broker.stop()


def test_a_broker_that_answers_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = MqttSink(settings(silent.getsockname()[1]), "dev")
        with pytest.raises(SinkError):
            sink.send([stored(1)])
        sink.close()
