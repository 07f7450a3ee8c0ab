"""Home Assistant's MQTT discovery: the cameras appear as devices by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from edge.daemon.device import version

_SENSORS = (
    ("facings", "Facings", "{{ value_json.data.known }}", "mdi:store"),
    ("unknown", "Unknown facings", "{{ value_json.data.unknown }}", "mdi:help-box"),
    ("gaps", "Gaps", "{{ value_json.data.gaps }}", "mdi:package-variant-remove"),
)


def discovery_messages(
    prefix: str, topic: str, device: str, cameras: Sequence[str]
) -> dict[str, str]:
    """Retained messages by topic: three sensors and a connectivity a camera.

    ``prefix`` is Home Assistant's, ``topic`` ours.
    """
    root = f"{topic}/{device}"
    messages = {}
    for camera in cameras:
        node = re.sub(r"[^A-Za-z0-9_-]", "_", f"shelf_edge_{device}_{camera}")
        about: dict[str, object] = {
            "availability_topic": f"{root}/status",
            "device": {
                "identifiers": [node],
                "name": f"{device} {camera}",
                "manufacturer": "shelf-edge",
                "sw_version": version(),
            },
        }
        for key, name, template, icon in _SENSORS:
            messages[f"{prefix}/sensor/{node}/{key}/config"] = _json(
                about
                | {
                    "name": name,
                    "unique_id": f"{node}_{key}",
                    "state_topic": f"{root}/{camera}/inventory",
                    "value_template": template,
                    "state_class": "measurement",
                    "icon": icon,
                }
            )
        messages[f"{prefix}/binary_sensor/{node}/live/config"] = _json(
            about
            | {
                "name": "Camera",
                "unique_id": f"{node}_live",
                "device_class": "connectivity",
                "state_topic": f"{root}/{camera}/health",
                "value_template": "{{ 'ON' if value_json.data.state == 'live' else 'OFF' }}",
            }
        )
    return messages


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
