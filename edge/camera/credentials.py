"""Names and passwords of cameras: read late, kept out of every text."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edge.errors import CameraError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET_FIELD = re.compile(r"pass|pwd|secret|token|^auth|^(api_?)?key$", re.IGNORECASE)
_HIDDEN = "***"
_MAX_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where a camera is and how to log in. It has no repr: a stray log line shows nothing.

    ``bare`` is the URL without user and password; these are as typed, not percent-encoded.
    ``secrets`` are values that the environment gave for other places of the URL.
    """

    bare: str
    user: str = ""
    password: str = ""
    secrets: tuple[str, ...] = ()

    def with_login(self) -> str:
        """The URL with user and password in it; for libraries that take them in no other way."""
        if not self.user and not self.password:
            return self.bare
        parts = urlsplit(self.bare)
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        return urlunsplit(parts._replace(netloc=login + parts.netloc))

    def redact(self, text: str) -> str:
        """``text`` without the secrets, or anything that a URL has before an ``@``."""
        text = _USERINFO.sub(f"{_HIDDEN}@", text)
        secrets = {self.password, self.user, *self.secrets}
        forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))} - {""}
        if not forms:
            return text
        # in one pass, the longest first: no replacement can spoil another
        found = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        return re.sub(found, _HIDDEN, text)


def resolve(
    url: str, credentials_file: Path | None, environment: Mapping[str, str] | None = None
) -> Address:
    """Fill in ``${NAME}`` from the environment, or take ``user:password`` from a file.

    The file has one line and must be readable by nobody but its owner (mode 0600 or 0400), who is
    this process's user or root. ``${NAME}`` may also stand in the file's path, as in
    ``${CREDENTIALS_DIRECTORY}/shelf-3``: files in systemd's folder of that name are taken as they
    are, since it lets the service in by an access list, which shows as rights of a group.

    Raises:
        CameraError: a variable is not set, or the file is missing, readable by others or malformed;
            the message names the variable or file and never a value.
    """
    known = os.environ if environment is None else environment
    scheme, mark, rest = url.partition("://")
    authority = re.match(r"[^/?#]*", rest)
    before, at, _ = (authority[0] if authority else "").rpartition("@")
    user = password = ""
    if mark and at:
        raw_user, _, raw_password = before.partition(":")
        user = unquote(raw_user) if "$" not in raw_user else _fill(raw_user, known)
        password = unquote(raw_password) if "$" not in raw_password else _fill(raw_password, known)
        rest = rest[len(before) + 1 :]
    bare = _fill(f"{scheme}{mark}{rest}", known)
    secrets = tuple(known[name] for name in _VARIABLE.findall(rest))
    if credentials_file is not None:
        path = Path(_fill(str(credentials_file), known))
        guarded = path.is_relative_to(known.get("CREDENTIALS_DIRECTORY") or path / "none")
        user, password = _read_login(path, guarded=guarded and ".." not in path.parts)
    return Address(bare, user, password, secrets)


def has_literal_login(url: str) -> bool:
    """Whether a user or password stands in the URL itself rather than as ``${NAME}``."""
    match = _USERINFO.search(url)
    if match is not None and _VARIABLE.sub("", match[0].rstrip("@")).strip(":"):
        return True
    return literal_secret(url) is not None


def literal_secret(url: str) -> str | None:
    """Name of the first field of the URL's query that holds a password as it is, or None."""
    for field in url.partition("?")[2].split("&"):
        name, _, value = field.partition("=")
        if _SECRET_FIELD.search(name) and _VARIABLE.sub("", value):
            return name
    return None


def shown_url(url: str) -> str:
    """A URL for people and logs: without what stands before an ``@``, and without its query."""
    return _USERINFO.sub("", url).partition("?")[0]


def _fill(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if not known.get(match[1]):
            raise CameraError(f"the environment variable {match[1]} is not set")
        return known[match[1]]

    return _VARIABLE.sub(value, text)


def _read_login(path: Path, *, guarded: bool) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & (0o007 if guarded else 0o077):
                raise CameraError(
                    f"{path}: the credentials can be read by other users, set its mode to 0600"
                )
            if status.st_uid not in (0, os.geteuid()):
                raise CameraError(f"{path}: the credentials belong to another user")
            text = file.read(_MAX_FILE_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CameraError(f"{path}: the credentials are not text in UTF-8") from error
    except OSError as error:
        raise CameraError(f"{path}: the credentials cannot be read: {error.strerror}") from error
    user, colon, password = text.strip("\r\n").partition(":")
    if not colon or "\n" in text.strip("\r\n"):
        raise CameraError(f"{path}: the credentials are not one line 'user:password'")
    return user, password
