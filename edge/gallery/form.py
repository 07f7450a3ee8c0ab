"""The CSV of clusters that a person fills in: written empty, read back with every mistake named."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery.catalogue import NAME_PREFIX, parse_category
from edge.gallery.gtin import gtin14, parse_gtin
from edge.gallery.names import canonical_locale
from edge.gallery.records import Sku

GIVEN = ("cluster", "count", "nearest_sku", "nearest_name", "similarity")
"""What the program says of a cluster; only ``cluster`` is read back."""
ASKED = ("sku_id", "gtin", "brand", "category")
LEAVE_OUT = "leave_out"
"""Numbers of pictures, as on the contact sheet, that are not to be enrolled."""


@dataclass(frozen=True, slots=True)
class FormRow:
    """A cluster as it is offered: its number, crops, and the nearest SKU where there is one."""

    cluster: int
    count: int
    nearest_sku: str = ""
    nearest_name: str = ""
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """A row that was filled in: what to enrol the cluster's pictures for."""

    line: int
    cluster: int
    sku: Sku
    leave_out: frozenset[int]


def form_text(rows: Sequence[FormRow], locale: str) -> str:
    """The CSV to fill in, a line a cluster, with a column of names in ``locale``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*GIVEN, *ASKED, NAME_PREFIX + canonical_locale(locale), LEAVE_OUT])
    for row in rows:
        similarity = "" if row.similarity is None else f"{row.similarity:.2f}"
        given = [row.cluster, row.count, row.nearest_sku, row.nearest_name, similarity]
        writer.writerow([*given, *[""] * (len(ASKED) + 2)])
    return text.getvalue()


def read_form(
    path: Path, shown: Mapping[int, int], enrolled: Mapping[str, Sku]
) -> tuple[list[Filled], list[int]]:
    """The rows that were filled in, and the clusters whose rows were left empty.

    Separated by commas, semicolons or tabs, as spreadsheets write it. Rows of one ``sku_id`` are one
    product; an empty cell says nothing about it.

    Args:
        path: the CSV.
        shown: number of pictures on the contact sheet, by cluster.
        enrolled: the SKUs that are in the gallery.

    Raises:
        GalleryError: all mistakes at once, each with its line and column.
    """
    mistakes: list[str] = []
    filled: list[Filled] = []
    empty: list[int] = []
    seen: set[int] = set()
    for line, cells in _lines(path):
        row = _Row(line, cells, mistakes)
        cluster = row.cluster(shown, seen)
        if not any(text for column, text in cells.items() if column not in GIVEN):
            empty += [] if cluster is None else [cluster]
            continue
        sku = row.sku()
        leave_out = row.leave_out(0 if cluster is None else shown[cluster])
        if cluster is not None and sku is not None and leave_out is not None:
            filled.append(Filled(line, cluster, sku, leave_out))
    filled = _agreed(filled, enrolled, mistakes)
    if mistakes:
        raise GalleryError(f"{path}: nothing is enrolled: {'; '.join(mistakes)}")
    return filled, empty


class _Row:
    """One line; what is wrong with it goes to ``mistakes``."""

    def __init__(self, line: int, cells: Mapping[str, str], mistakes: list[str]) -> None:
        self._line = line
        self._cells = cells
        self._mistakes = mistakes

    def cluster(self, shown: Mapping[int, int], seen: set[int]) -> int | None:
        text = self._cells["cluster"]
        if not text.isascii() or not text.isdigit() or int(text) not in shown:
            self._wrong("cluster", f"there is no cluster {text!r} on the contact sheet")
            return None
        if int(text) in seen:
            self._wrong("cluster", f"cluster {text} is there twice")
            return None
        seen.add(int(text))
        return int(text)

    def sku(self) -> Sku | None:
        """What all the cells say, or None where one is wrong."""
        before = len(self._mistakes)
        sku_id = self._cells.get("sku_id", "")
        if not sku_id:
            self._wrong("sku_id", "is empty, though the line is filled in")
        else:
            self._try("sku_id", lambda: Sku(sku_id))
        gtin = self._cells.get("gtin", "")
        brand = self._cells.get("brand", "")
        category = self._cells.get("category", "")
        names = {
            column.removeprefix(NAME_PREFIX): text
            for column, text in self._cells.items()
            if column.startswith(NAME_PREFIX) and text
        }
        if gtin:
            self._try("gtin", lambda: parse_gtin(gtin))
        if brand:
            self._try("brand", lambda: Sku("x", brand=brand))
        self._try("category", lambda: Sku("x", category=parse_category(category)))
        for locale, name in names.items():
            self._try(NAME_PREFIX + locale, lambda: Sku("x", names={locale: name}))  # noqa: B023
        if len(self._mistakes) > before:
            return None
        return Sku(
            sku_id,
            parse_gtin(gtin) if gtin else None,
            brand or None,
            names,
            parse_category(category),
        )

    def leave_out(self, shown: int) -> frozenset[int] | None:
        """The numbers of pictures to leave out."""
        numbers = set()
        for part in self._cells.get(LEAVE_OUT, "").replace(",", " ").replace(";", " ").split():
            if not part.isascii() or not part.isdigit() or not 1 <= int(part) <= shown:
                self._wrong(LEAVE_OUT, f"{part!r} is no picture's number (1 to {shown})")
                return None
            numbers.add(int(part))
        return frozenset(numbers)

    def _try(self, column: str, check: Callable[[], object]) -> None:
        try:
            check()
        except ValueError as error:
            self._wrong(column, str(error))

    def _wrong(self, column: str, why: str) -> None:
        self._mistakes.append(f"line {self._line}, column {column}: {why}")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row that is not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    first = text.partition("\n")[0]
    delimiter = next((d for d in ",;\t" if d in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = _header([name.strip() for name in next(reader, [])], path)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise GalleryError(
                    f"{path}: line {reader.line_num}: {len(cells)} cells, expected {len(header)}"
                )
            values = [unicodedata.normalize("NFC", cell.strip()) for cell in cells]
            yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise GalleryError(f"{path}: line {reader.line_num}: {error}") from error


def _header(names: list[str], path: Path) -> list[str]:
    known = (*GIVEN, *ASKED, LEAVE_OUT)
    columns = []
    for name in names:
        if name.startswith(NAME_PREFIX):
            try:
                name = NAME_PREFIX + canonical_locale(name.removeprefix(NAME_PREFIX))
            except ValueError as error:
                raise GalleryError(f"{path}: line 1, column {name}: {error}") from error
        elif name not in known:
            expected = ", ".join((*known, f"{NAME_PREFIX}<locale>"))
            raise GalleryError(f"{path}: line 1: unknown column {name!r} (known: {expected})")
        if name in columns:
            raise GalleryError(f"{path}: line 1: column {name!r} is there twice")
        columns.append(name)
    for name in ("cluster", "sku_id"):
        if name not in columns:
            raise GalleryError(f"{path}: line 1: column {name!r} is missing")
    return columns


def _agreed(
    filled: Sequence[Filled], enrolled: Mapping[str, Sku], mistakes: list[str]
) -> list[Filled]:
    """The rows with what all of them, and the gallery, say about their SKUs."""
    known = dict(enrolled)
    gtins = {gtin14(sku.gtin): sku.sku_id for sku in enrolled.values() if sku.gtin}
    for row in filled:
        sku = row.sku
        if sku.gtin:
            owner = gtins.setdefault(gtin14(sku.gtin), sku.sku_id)
            if owner != sku.sku_id:
                mistakes.append(
                    f"line {row.line}, column gtin: GTIN {sku.gtin!r} is that of SKU {owner!r} too"
                )
        before = known.get(sku.sku_id, Sku(sku.sku_id))
        for column, old, new in _cells_of(before, sku):
            if old and new and old != new:
                where = "in the gallery" if sku.sku_id in enrolled else "in a line above"
                mistakes.append(
                    f"line {row.line}, column {column}: SKU {sku.sku_id!r} has {old!r} {where},"
                    f" {new!r} here"
                )
        known[sku.sku_id] = Sku(
            sku.sku_id,
            before.gtin or sku.gtin,
            before.brand or sku.brand,
            {**sku.names, **before.names},
            before.category or sku.category,
        )
    return [Filled(row.line, row.cluster, known[row.sku.sku_id], row.leave_out) for row in filled]


def _cells_of(old: Sku, new: Sku) -> Iterator[tuple[str, object, object]]:
    yield "gtin", old.gtin and gtin14(old.gtin), new.gtin and gtin14(new.gtin)
    yield "brand", old.brand, new.brand
    yield "category", " > ".join(old.category), " > ".join(new.category)
    for locale, name in new.names.items():
        yield NAME_PREFIX + locale, old.names.get(locale), name
