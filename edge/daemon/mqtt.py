"""Events to an MQTT 5 broker: acknowledged means that the broker's PUBACK came."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.daemon.delivery import Sent, SinkError
from edge.daemon.events import DEVICE, SNAPSHOTS
from edge.daemon.outbox import Stored
from edge.daemon.settings import MqttSettings

_CONNECT_S = 3.0
_RECONNECT_S = (1, 30)
_NEVER = frozenset({0x90, 0x95, 0x99})
"""PUBACK reasons that a repeat cannot change: topic invalid, packet too large, payload invalid."""
_WINDOW = 50


class MqttSink:
    """Publishes with QoS 1. Topics, below ``<topic>/<device>``:

    ``/status`` (retained; ``online``, or ``offline`` by the last will), ``/health`` (retained),
    ``/<camera>/inventory`` and ``/<camera>/health`` (retained), ``/<camera>/change``.

    ``greeting`` is what else is published, retained, at every connection: discovery, by topic.

    Raises OSError when a certificate cannot be read.
    """

    name = "mqtt"

    def __init__(
        self,
        settings: MqttSettings,
        device: str,
        *,
        password: str | None = None,
        greeting: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._root = f"{settings.topic}/{device}"
        self._client_id = f"shelf-edge-{device}"
        self._greeting = dict(greeting or {})
        self._changed = threading.Condition()
        self._answers: dict[int, int] = {}
        self._connected = False
        self._problem = "not connected yet"
        self._password = password
        self._tls = _tls(settings) if settings.tls else None
        self._client: paho.Client | None = None

    def topic_of(self, event: Stored) -> str:
        """The topic that an event is published to."""
        if event.camera == DEVICE:
            return f"{self._root}/{event.kind.removeprefix('device_')}"
        return f"{self._root}/{event.camera}/{event.kind.removeprefix('camera_')}"

    def send(self, events: Sequence[Stored]) -> Sent:
        """Publish all, wait for the acknowledgements; only the leading ones count.

        The first call connects, so that a sink of a configuration that is not taken over never does.
        """
        client = self._client = self._client or self._connect()
        with self._changed:
            self._changed.wait_for(lambda: self._connected, timeout=_CONNECT_S)
            if not self._connected:
                raise SinkError(self._problem)
            self._answers.clear()
        mids: list[int] = []
        for event in events:
            info = client.publish(
                self.topic_of(event),
                event.payload.encode("utf-8"),
                qos=1,
                retain=event.kind in SNAPSHOTS,
                properties=_properties(event),
            )
            if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_NO_CONN):
                break
            mids.append(info.mid)
            if info.rc != paho.MQTT_ERR_SUCCESS:
                break
        deadline = time.monotonic() + self._settings.ack_timeout_s
        with self._changed:
            while not self._settled(mids) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            outcome = self._outcome(mids, len(events))
        if outcome.problem is not None:
            self._begin_anew()
        return outcome

    def close(self) -> None:
        """Say ``offline`` and disconnect."""
        if self._client is None:
            return
        if self._connected:
            info = self._client.publish(f"{self._root}/status", "offline", qos=1, retain=True)
            # where the connection went at the same moment the last will says it
            with contextlib.suppress(RuntimeError, ValueError):
                info.wait_for_publish(0.5)
        self._client.disconnect()
        self._client.loop_stop()
        # a further batch connects anew
        self._client = None
        with self._changed:
            self._connected = False

    def _connect(self) -> paho.Client:
        settings = self._settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=paho.MQTTv5
        )
        if settings.username is not None:
            client.username_pw_set(settings.username, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(f"{self._root}/status", "offline", qos=1, retain=True)
        client.max_inflight_messages_set(_WINDOW)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.connect_timeout = _CONNECT_S
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.connect_async(settings.host, settings.port, keepalive=settings.keepalive_s)
        client.loop_start()
        return client

    def _begin_anew(self) -> None:
        """Drop the client with all that it still wants to send: the outbox has it, in order."""
        old = self._client
        assert old is not None
        old.on_connect = old.on_disconnect = old.on_publish = old.on_connect_fail = None
        old.disconnect()
        old.loop_stop()
        with self._changed:
            self._connected = False
        self._client = self._connect()

    def _settled(self, mids: Sequence[int]) -> bool:
        if not self._connected:
            return True
        answers = [self._answers.get(mid) for mid in mids]
        # one refusal ends the batch: what follows it must be sent again after it, in order
        return all(a is not None for a in answers) or any(_failed(a) for a in answers)

    def _outcome(self, mids: Sequence[int], asked: int) -> Sent:
        refused = 0
        for number, mid in enumerate(mids):
            answer = self._answers.get(mid)
            if answer is None:
                why = "no acknowledgement" if self._connected else self._problem
                return Sent(number, refused, why)
            if answer in _NEVER:
                refused += 1
            elif _failed(answer):
                return Sent(number, refused, f"broker refuses: {_reason(answer)}")
        return Sent(len(mids), refused, None if len(mids) == asked else self._problem)

    # ------------------------------------------------------------------- paho's thread calls these

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._lost(f"broker refuses the connection: {reason}")
            return
        client.publish(f"{self._root}/status", "online", qos=1, retain=True)
        for topic, payload in self._greeting.items():
            client.publish(topic, payload, qos=1, retain=True)
        with self._changed:
            self._connected = True
            self._changed.notify_all()

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._lost(f"{self._settings.host}:{self._settings.port}: cannot connect")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._connected:
            self._lost(f"connection lost: {reason}")

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        with self._changed:
            self._answers[mid] = int(reason.value)
            self._changed.notify_all()

    def _lost(self, why: str) -> None:
        with self._changed:
            self._connected, self._problem = False, why
            self._changed.notify_all()


def _failed(answer: int | None) -> bool:
    return answer is not None and answer >= 0x80 and answer not in _NEVER


def _reason(answer: int) -> str:
    return str(ReasonCode(PacketTypes.PUBACK, identifier=answer))


def _properties(event: Stored) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.PayloadFormatIndicator = 1
    properties.ContentType = "application/json"
    properties.UserProperty = ("event-id", event.id)
    return properties


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context
