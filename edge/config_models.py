"""Looking into models of the configuration: what a field holds, and what a key means."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file: its path, its default as TOML has it (empty: it must be given), and what
    it means, with its unit."""

    path: str
    default: str
    meaning: str

    @property
    def line(self) -> str:
        """For people."""
        default = f" (default {self.default})" if self.default else ""
        return f"{self.path}{default}: {self.meaning}"


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    """All keys of a model and of those inside it, in the order of their definition."""
    told = _attributes(model)
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = model_in(field.annotation)
        if inner is not None:
            many = typing.get_origin(field.annotation) is tuple
            yield from keys_of(inner, f"{path}[]." if many else f"{path}.")
        else:
            yield Key(path, _default(field), field.description or told.get(name, ""))


def model_in(annotation: object) -> type[BaseModel] | None:
    """The model that an annotation such as ``X``, ``X | None`` or ``tuple[X, ...]`` holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (tuple, types.UnionType, typing.Union):
        for inner in typing.get_args(annotation):
            found = model_in(inner)
            if found is not None:
                return found
    return None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[]" if not value else str(list(value))
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Meanings by name from the ``Attributes:`` of a class's docstring."""
    text = (model.__doc__ or "").partition("Attributes:")[2]
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"        (\w+): (.*)$", line)
        if match is not None:
            found[last := match[1]] = match[2].strip()
        elif found and line.strip():
            found[last] += " " + line.strip()
    return found
