"""``edge run --check``: what can be said about a configuration without starting anything."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import MANIFEST
from edge.camera.credentials import resolve
from edge.config import Config, load_config
from edge.daemon.sinks import secrets_of
from edge.errors import CameraError, ConfigError, EdgeError
from edge.site import read_site


def check_config(path: Path) -> list[str]:
    """Lines that say what the configuration sets up.

    Raises:
        ConfigError: it is wrong, or names a secret, bundle or gallery that is not there: all of it.
    """
    config = load_config(path)
    problems = _problems(config)
    if problems:
        raise ConfigError("\n".join([f"{path}: {len(problems)} problem(s)", *problems]))
    sinks = [name for name in ("mqtt", "jsonl", "webhook") if getattr(config.sinks, name)]
    return [
        f"{path}: valid",
        f"device {config.device.id}, state in {config.device.state_dir}",
        *(f"camera {c.id}: {c.kind}, {c.fps:g} frames a second" for c in config.cameras),
        f"sinks: {', '.join(sinks)}",
    ]


def _problems(config: Config) -> list[str]:
    problems = []
    try:
        secrets_of(config)
    except ConfigError as error:
        problems.append(str(error))
    bundle, gallery = config.models.bundle, config.models.gallery
    if config.models.site is not None:
        try:
            read_site(config.models.site)
        except EdgeError as error:
            problems.append(f"models.site: {error}")
    if bundle is not None and not (bundle / MANIFEST).is_file():
        problems.append(f"models.bundle: {bundle} is no bundle")
    if gallery is not None and not gallery.is_file():
        problems.append(f"models.gallery: {gallery} does not exist")
    for number, camera in enumerate(config.cameras):
        try:
            resolve(camera.url, camera.credentials_file)
        except CameraError as error:
            problems.append(f"cameras[{number}]: {error}")
        if camera.kind == "file" and not Path(camera.url.removeprefix("file://")).is_file():
            problems.append(f"cameras[{number}].url: {camera.url} does not exist")
    return problems
