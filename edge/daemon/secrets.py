"""Reading secrets: from the environment, or from a file that others cannot read."""

from __future__ import annotations

import os
import stat

from edge.daemon.settings import Secret
from edge.errors import ConfigError


def read_secret(secret: Secret | None, key: str) -> str | None:
    """The secret's text without a line break at its end; None without ``secret``.

    Args:
        key: key path, for the error.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read, is empty or is open to all.
    """
    if secret is None:
        return None
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if not value:
            raise ConfigError(f"{key}.env: the environment has no {secret.env}")
        return value
    path = secret.file
    assert path is not None
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o007:
            raise ConfigError(f"{key}.file: {path} is open to everybody: chmod o= it")
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{key}.file: {path}: {error.strerror or error}") from error
    if not text:
        raise ConfigError(f"{key}.file: {path} is empty")
    return text
