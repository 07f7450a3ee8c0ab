"""Google's product taxonomy with ids, in the languages it is published in."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from edge.errors import ConfigError
from edge.gallery.names import canonical_locale

Categories = dict[int, tuple[str, ...]]


def read_taxonomies(folder: Path) -> dict[str, Categories]:
    """``folder/taxonomy-with-ids.<locale>.txt`` by locale; each category path by its id.

    The same id is the same category in every language. Raises ConfigError for a folder without such
    files, and for a line that is not ``id - a > b``.
    """
    files = sorted(folder.glob("taxonomy-with-ids.*.txt"))
    if not files:
        raise ConfigError(f"{folder}: no taxonomy-with-ids.<locale>.txt")
    return {canonical_locale(file.name.split(".")[1]): read_taxonomy(file) for file in files}


def read_taxonomy(file: Path) -> Categories:
    """Category paths by id, coarsest level first."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    out: Categories = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        key, separator, path = line.partition(" - ")
        if not separator or not key.strip().isdigit():
            raise ConfigError(f"{file}, line {number}: expected 'id - a > b', got {line!r}")
        out[int(key)] = tuple(part.strip() for part in path.split(" > "))
    return out


def read_class_ids(file: Path) -> dict[str, int]:
    """A CSV with the columns ``class`` and ``taxonomy_id``."""
    out: dict[str, int] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), start=2):
            name, key = row.get("class", ""), row.get("taxonomy_id", "")
            if not name or not (key or "").isdigit():
                raise ConfigError(f"{file}, line {number}: expected class and taxonomy_id")
            if name in out:
                raise ConfigError(f"{file}, line {number}: class {name!r} is there twice")
            out[name] = int(key)
    return out


def paths_of(
    classes: Mapping[str, int], taxonomy: Mapping[int, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The category path of each class; ConfigError names an id that the taxonomy lacks."""
    for name, key in classes.items():
        if key not in taxonomy:
            raise ConfigError(f"class {name!r}: taxonomy has no id {key}")
    return {name: taxonomy[key] for name, key in classes.items()}


def skus_csv(
    classes: Mapping[str, int], taxonomies: Mapping[str, Categories], *, path_locale: str = "en-US"
) -> str:
    """A ``skus.csv`` for ``edge gallery build``: each class with its category path and names.

    The path is that of ``path_locale``; the name in each language is that of the category, followed by
    the class. Raises ConfigError for an id that a language lacks.
    """
    paths = paths_of(classes, taxonomies[path_locale])
    names = {locale: paths_of(classes, taxonomy) for locale, taxonomy in taxonomies.items()}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["sku_id", "category", *(f"name_{locale}" for locale in names)])
    for name, path in paths.items():
        own = [f"{of_class[name][-1]}: {name}" for of_class in names.values()]
        writer.writerow([name, " > ".join(path), *own])
    return stream.getvalue()
