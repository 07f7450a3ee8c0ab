"""SKUs as CSV and back without a loss; ``edge.gallery.catalogue`` reads it too.

A category whose levels hold ``>`` is written as a JSON list, which that does not read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from edge.errors import GalleryError
from edge.gallery.catalogue import COLUMNS, LEVEL_SEPARATOR, NAME_PREFIX
from edge.gallery.records import Sku


def to_text(skus: Sequence[Sku]) -> bytes:
    """The CSV as UTF-8: COLUMNS, and a column of names a locale; absent values are empty."""
    locales = sorted({locale for sku in skus for locale in sku.names})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(NAME_PREFIX + locale for locale in locales)])
    for sku in skus:
        names = [sku.names.get(locale, "") for locale in locales]
        writer.writerow(
            [sku.sku_id, sku.gtin or "", sku.brand or "", _category(sku.category), *names]
        )
    return text.getvalue().encode()


def from_text(text: str, where: str) -> list[Sku]:
    """The SKUs of such a CSV; GalleryError that names ``where`` and the line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    skus = []
    try:
        header = next(reader, [])
        if tuple(header[: len(COLUMNS)]) != COLUMNS:
            raise ValueError(f"the columns must begin with {', '.join(COLUMNS)}")
        locales = [name.removeprefix(NAME_PREFIX) for name in header[len(COLUMNS) :]]
        for cells in reader:
            sku_id, gtin, brand, category, *names = cells
            known = {locale: name for locale, name in zip(locales, names, strict=True) if name}
            skus.append(Sku(sku_id, gtin or None, brand or None, known, _levels(category)))
    except (ValueError, csv.Error) as error:
        raise GalleryError(f"{where}: line {reader.line_num}: {error}") from error
    return skus


def _category(levels: tuple[str, ...]) -> str:
    if any(LEVEL_SEPARATOR in level for level in levels) or (levels and levels[0][0] == "["):
        return json.dumps(list(levels), ensure_ascii=False)
    return f" {LEVEL_SEPARATOR} ".join(levels)


def _levels(text: str) -> tuple[str, ...]:
    if text.startswith("["):
        return tuple(str(level) for level in json.loads(text))
    return tuple(text.split(f" {LEVEL_SEPARATOR} ")) if text else ()
