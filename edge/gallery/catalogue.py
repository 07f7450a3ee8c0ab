"""``skus.csv``: what is known about the SKUs of a folder of pictures."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery.categories import CategoryGraph, Edge, circle_text
from edge.gallery.gtin import gtin14, parse_gtin
from edge.gallery.names import canonical_locale
from edge.gallery.records import Sku

COLUMNS = ("sku_id", "gtin", "brand", "category")
NAME_PREFIX = "name_"
LEVEL_SEPARATOR = ">"
_MISTAKES_SHOWN = 5


def read_catalogue(path: Path) -> dict[str, Sku]:
    """The SKUs of a CSV file by id.

    Columns: sku_id, gtin, brand, category ("a > b > c"), name_<locale>. UTF-8, separated by
    commas, or by semicolons or tabs as spreadsheets write them; only ``sku_id`` must be there,
    empty cells are left out. Raises GalleryError that names file, line and value of each mistake;
    one of a GTIN that is there twice, or of categories that run in a circle, names both SKUs.
    """
    skus: dict[str, Sku] = {}
    gtins: dict[str, str] = {}
    categories, owners = CategoryGraph(), dict[Edge, str]()
    mistakes: list[str] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    delimiter = _delimiter(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        locales = _locales(header, path)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            try:
                sku = _to_sku(header, cells, locales)
                if sku.sku_id in skus:
                    raise ValueError(f"sku_id {sku.sku_id!r} is there twice")
                if sku.gtin is not None:
                    owner = gtins.setdefault(gtin14(sku.gtin), sku.sku_id)
                    if owner != sku.sku_id:
                        raise ValueError(f"GTIN {sku.gtin!r} is that of SKU {owner!r} too")
                circle = categories.add(sku)
                if circle is not None:
                    raise ValueError(circle_text(sku.sku_id, circle, owners[circle[1]]))
                for edge in sku.category_edges:
                    owners.setdefault(edge, sku.sku_id)
                skus[sku.sku_id] = sku
            except ValueError as error:
                mistakes.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        mistakes.append(f"line {reader.line_num}: {error}")
    if mistakes:
        more = len(mistakes) - _MISTAKES_SHOWN
        tail = f"; and {more} more" if more > 0 else ""
        raise GalleryError(f"{path}: {'; '.join(mistakes[:_MISTAKES_SHOWN])}{tail}")
    return skus


def parse_category(text: str) -> tuple[str, ...]:
    """The levels of ``"a > b > c"``, coarsest first, none of empty text.

    Raises ValueError for an empty level.
    """
    if not text.strip():
        return ()
    levels = tuple(level.strip() for level in text.split(LEVEL_SEPARATOR))
    if "" in levels:
        raise ValueError(f"category {text!r} has an empty level")
    return levels


def _delimiter(header: str) -> str:
    for delimiter in (",", ";", "\t"):
        if delimiter in header:
            return delimiter
    return ","


def _locales(header: list[str], path: Path) -> dict[str, str]:
    """Locale by column name; refuses a header that has unknown, repeated or missing columns."""
    locales: dict[str, str] = {}
    for name in header:
        if header.count(name) > 1:
            raise GalleryError(f"{path}: line 1: column {name!r} is there twice")
        if name in COLUMNS:
            continue
        if not name.startswith(NAME_PREFIX):
            known = ", ".join((*COLUMNS, f"{NAME_PREFIX}<locale>"))
            raise GalleryError(f"{path}: line 1: unknown column {name!r} (known: {known})")
        try:
            locale = canonical_locale(name.removeprefix(NAME_PREFIX))
        except ValueError as error:
            raise GalleryError(f"{path}: line 1: column {name!r}: {error}") from error
        if locale in locales.values():
            raise GalleryError(f"{path}: line 1: two columns of names in {locale}")
        locales[name] = locale
    if "sku_id" not in header:
        raise GalleryError(f"{path}: line 1: column 'sku_id' is missing")
    return locales


def _to_sku(header: list[str], cells: list[str], locales: dict[str, str]) -> Sku:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells, expected {len(header)}")
    row = {
        name: unicodedata.normalize("NFC", cell.strip())
        for name, cell in zip(header, cells, strict=True)
    }
    gtin = row.get("gtin", "")
    return Sku(
        sku_id=row["sku_id"],
        gtin=parse_gtin(gtin) if gtin else None,
        brand=row.get("brand") or None,
        names={locale: row[name] for name, locale in locales.items() if row[name]},
        category=parse_category(row.get("category", "")),
    )
