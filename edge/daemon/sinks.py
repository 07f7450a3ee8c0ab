"""Makes the sinks that the configuration names, each with its thread."""

from __future__ import annotations

from pathlib import Path

from edge.camera.backoff import Backoff
from edge.config import Config
from edge.daemon.delivery import Delivery, Sink
from edge.daemon.discovery import discovery_messages
from edge.daemon.jsonl import JsonLinesSink
from edge.daemon.outbox import Outbox
from edge.daemon.secrets import read_secret
from edge.daemon.webhook import WebhookSink


def secrets_of(config: Config) -> list[str]:
    """All secrets that sinks use, so that no log shows them; ConfigError where one cannot be read."""
    sinks = config.sinks
    found = []
    if sinks.mqtt is not None:
        found.append(read_secret(sinks.mqtt.password, "sinks.mqtt.password"))
    if sinks.webhook is not None:
        found.append(read_secret(sinks.webhook.token, "sinks.webhook.token"))
    return [secret for secret in found if secret]


def start_deliveries(config: Config, outbox: Outbox) -> list[Delivery]:
    """Register the sinks in the outbox and start to deliver.

    Raises:
        ConfigError: a secret cannot be read.
        OutputError: the outbox cannot be written.
    """
    made = _sinks(config)
    outbox.register([sink.name for sink, _ in made])
    deliveries = [Delivery(sink, outbox.path, backoff) for sink, backoff in made]
    for delivery in deliveries:
        delivery.start()
    return deliveries


def _sinks(config: Config) -> list[tuple[Sink, Backoff]]:
    settings = config.sinks
    made: list[tuple[Sink, Backoff]] = []
    if settings.jsonl is not None:
        path: Path = settings.jsonl.path
        rotate = int(settings.jsonl.rotate_mb * 1_000_000)
        made.append((JsonLinesSink(path, rotate, settings.jsonl.keep), Backoff(1.0, 30.0)))
    if settings.webhook is not None:
        hook = settings.webhook
        sink = WebhookSink(
            hook.url,
            token=read_secret(hook.token, "sinks.webhook.token"),
            ca_file=str(hook.ca_file) if hook.ca_file is not None else None,
            timeout_s=hook.timeout_s,
        )
        made.append((sink, Backoff(1.0, 60.0)))
    if settings.mqtt is not None:
        from edge.daemon.mqtt import MqttSink

        mqtt = settings.mqtt
        cameras = [camera.id for camera in config.cameras]

        def greeting() -> dict[str, str]:
            if mqtt.discovery is None:
                return {}
            return discovery_messages(mqtt.discovery, mqtt.topic, config.device.id, cameras)

        made.append(
            (
                MqttSink(
                    mqtt,
                    config.device.id,
                    password=read_secret(mqtt.password, "sinks.mqtt.password"),
                    greeting=greeting,
                ),
                # paho itself waits longer and longer between connections
                Backoff(0.5, 5.0),
            )
        )
    return made
