"""Makes the sinks that the configuration names, each with its thread."""

from __future__ import annotations

from collections.abc import Sequence

from edge.camera.backoff import Backoff
from edge.config import Config
from edge.daemon.delivery import Delivery, Sink
from edge.daemon.discovery import discovery_messages
from edge.daemon.jsonl import JsonLinesSink
from edge.daemon.outbox import Outbox
from edge.daemon.secrets import read_secret
from edge.daemon.webhook import WebhookSink
from edge.errors import ConfigError


def secrets_of(config: Config) -> list[str]:
    """All secrets that sinks use, so that no log shows them; ConfigError where one cannot be read."""
    sinks = config.sinks
    found = []
    if sinks.mqtt is not None:
        found.append(read_secret(sinks.mqtt.password, "sinks.mqtt.password"))
    if sinks.webhook is not None:
        found.append(read_secret(sinks.webhook.token, "sinks.webhook.token"))
    return [secret for secret in found if secret]


def prepare_sinks(config: Config, outbox: Outbox) -> list[tuple[Sink, Backoff]]:
    """The sinks of the configuration, known to the outbox.

    Raises:
        ConfigError: as ``make_sinks``.
        OutputError: the outbox cannot be written; nothing has changed.
    """
    made = make_sinks(config)
    outbox.register([sink.name for sink, _ in made])
    return made


def start_deliveries(made: Sequence[tuple[Sink, Backoff]], outbox: Outbox) -> list[Delivery]:
    """Start to deliver to sinks that are registered."""
    deliveries = [Delivery(sink, outbox.path, backoff) for sink, backoff in made]
    for delivery in deliveries:
        delivery.start()
    return deliveries


def make_sinks(config: Config) -> list[tuple[Sink, Backoff]]:
    """The sinks that the configuration names, with how they wait after failures.

    Raises:
        ConfigError: a secret or certificate cannot be read.
    """
    made: list[tuple[Sink, Backoff]] = []
    try:
        for make in (_jsonl, _webhook, _mqtt):
            pair = make(config)
            if pair is not None:
                made.append(pair)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise ConfigError(f"sinks: {what}{error.strerror or error}") from error
    return made


def _jsonl(config: Config) -> tuple[Sink, Backoff] | None:
    settings = config.sinks.jsonl
    if settings is None:
        return None
    rotate = int(settings.rotate_mb * 1_000_000)
    return JsonLinesSink(settings.path, rotate, settings.keep), Backoff(1.0, 30.0)


def _webhook(config: Config) -> tuple[Sink, Backoff] | None:
    settings = config.sinks.webhook
    if settings is None:
        return None
    sink = WebhookSink(
        settings.url,
        token=read_secret(settings.token, "sinks.webhook.token"),
        ca_file=str(settings.ca_file) if settings.ca_file is not None else None,
        timeout_s=settings.timeout_s,
    )
    return sink, Backoff(1.0, 60.0)


def _mqtt(config: Config) -> tuple[Sink, Backoff] | None:
    settings = config.sinks.mqtt
    if settings is None:
        return None
    from edge.daemon.mqtt import MqttSink

    prefix, topic, device = settings.discovery, settings.topic, config.device.id
    cameras = [camera.id for camera in config.cameras]
    found = discovery_messages(prefix, topic, device, cameras) if prefix is not None else {}
    password = read_secret(settings.password, "sinks.mqtt.password")
    # paho itself waits longer and longer between connections
    return MqttSink(settings, device, password=password, greeting=found), Backoff(0.5, 5.0)
