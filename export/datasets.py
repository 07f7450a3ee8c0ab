"""Readers: folders and lists of product pictures → `Dataset`, checked once and for all.

A label is a SKU. Images that belong together (crops of one photo) share a `photo`, so that a
protocol can keep them on one side. `levels` is the category path above the SKU, coarse first.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import ConfigError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
FRONT_STEM = "front"


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of one SKU. `family` names near-identical variants that belong together."""

    path: Path
    label: str
    photo: str
    levels: tuple[str, ...] = ()
    family: str = ""
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named list of samples; `source` and `licence` go into reports and model cards."""

    name: str
    samples: tuple[Sample, ...]
    source: str = ""
    licence: str = "unknown"
    labels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.samples:
            raise ConfigError(f"{self.name}: no images found ({self.source})")
        object.__setattr__(self, "labels", tuple(sorted({s.label for s in self.samples})))

    def counts(self) -> Counter[str]:
        """Images per SKU."""
        return Counter(s.label for s in self.samples)

    def only(self, labels: Iterable[str], name: str | None = None) -> Dataset:
        """The samples of these SKUs; unknown labels raise ConfigError."""
        wanted = set(labels)
        missing = wanted - set(self.labels)
        if missing:
            raise ConfigError(f"{self.name}: no such SKU: {', '.join(sorted(missing))}")
        return self.where(lambda s: s.label in wanted, name)

    def without(self, labels: Iterable[str], name: str | None = None) -> Dataset:
        """The samples of all other SKUs; unknown labels raise ConfigError."""
        dropped = set(labels)
        missing = dropped - set(self.labels)
        if missing:
            raise ConfigError(f"{self.name}: no such SKU: {', '.join(sorted(missing))}")
        return self.where(lambda s: s.label not in dropped, name)

    def where(self, keep: Callable[[Sample], bool], name: str | None = None) -> Dataset:
        """The samples for which `keep` holds; none at all raises ConfigError."""
        kept = tuple(s for s in self.samples if keep(s))
        return Dataset(name or self.name, kept, self.source, self.licence)


def merge(name: str, parts: Sequence[Dataset]) -> Dataset:
    """The union of several datasets."""
    samples = tuple(s for part in parts for s in part.samples)
    licences = sorted({part.licence for part in parts})
    return Dataset(name, samples, "; ".join(part.source for part in parts), "; ".join(licences))


def read_folder(root: Path, name: str | None = None) -> Dataset:
    """`root/<sku>/*.jpg`, with an optional `root/skus.csv` (sku_id, family, level1, level2, …).

    A file whose stem is `front` is the SKU's clean picture. Labels that differ only in case or
    surrounding blanks raise ConfigError.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    _check_spelling(root, [p.name for p in folders])
    about = _read_skus_csv(root / "skus.csv")
    samples = []
    for folder in folders:
        family, levels = about.get(folder.name, ("", ()))
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                clean = path.stem == FRONT_STEM
                photo = f"{folder.name}/{path.relative_to(folder)}"
                samples.append(Sample(path, folder.name, photo, levels, family, clean))
    return Dataset(name or root.name, tuple(samples), str(root))


def read_csv(file: Path, name: str | None = None) -> Dataset:
    """A CSV with a header: path and a label column (`sku_id`, `label` or `product_id`).

    Optional columns: `photo_id`, `family`, `level1`, `level2`, …. Paths are relative to the file.
    """
    rows = _rows(file)
    columns = set(rows[0]) if rows else set()
    label_column = next((c for c in ("sku_id", "label", "product_id") if c in columns), None)
    if "path" not in columns or label_column is None:
        raise ConfigError(f"{file}: needs the columns path and sku_id, has {sorted(columns)}")
    samples = []
    for number, row in enumerate(rows, start=2):
        label = row[label_column].strip()
        if not label or not row["path"].strip():
            raise ConfigError(f"{file}, line {number}: empty path or label")
        path = file.parent / row["path"].strip()
        photo = row.get("photo_id", "").strip() or str(path)
        samples.append(Sample(path, label, photo, _levels(row), row.get("family", "").strip()))
    _check_spelling(file, [s.label for s in samples])
    return Dataset(name or file.parent.name, tuple(samples), str(file))


def read_grocery_store(root: Path, split: str) -> Dataset:
    """GroceryStoreDataset (MIT): `split` is train, val, test or iconic (one clean picture a SKU).

    The levels are (Fruit | Packages | Vegetables, coarse class).
    """
    classes = {int(row["Class ID (int)"]): row for row in _rows(root / "classes.csv")}
    samples = []
    if split == "iconic":
        for row in classes.values():
            path = root / row["Iconic Image Path (str)"].lstrip("/")
            levels = (path.relative_to(root).parts[1], row["Coarse Class Name (str)"])
            label = row["Class Name (str)"]
            samples.append(Sample(path, label, str(path), levels, levels[1], True))
    else:
        listing = root / f"{split}.txt"
        for number, line in enumerate(_lines(listing), start=1):
            parts = [p.strip() for p in line.split(",")]
            if len(parts) != 3 or not parts[1].isdigit() or int(parts[1]) not in classes:
                raise ConfigError(f"{listing}, line {number}: expected path, class, coarse class")
            row = classes[int(parts[1])]
            levels = (Path(parts[0]).parts[1], row["Coarse Class Name (str)"])
            path, label = root / parts[0], row["Class Name (str)"]
            samples.append(Sample(path, label, str(path), levels, levels[1]))
    return Dataset(f"grocery-store {split}", tuple(samples), str(root), "MIT")


def read_rp2k(root: Path, split: str) -> Dataset:
    """RP2K's own layout: `root/<train|test>/<SKU name>/*.jpg`, or a super-category between."""
    folder = root / split
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder (RP2K has train and test)")
    samples = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            *levels, label = path.parent.relative_to(folder).parts
            samples.append(Sample(path, label, str(path), tuple(levels)))
    _check_spelling(folder, [s.label for s in samples])
    licence = "RP2K: research use"
    return Dataset(f"rp2k {split}", tuple(samples), str(folder), licence)


def one_per_photo(dataset: Dataset, seed: int) -> Dataset:
    """At most one sample of each (SKU, photo), picked at random with `seed`."""
    import numpy as np

    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in dataset.samples:
        groups.setdefault((sample.label, sample.photo), []).append(sample)
    rng = np.random.default_rng(seed)
    kept = tuple(groups[key][int(rng.integers(len(groups[key])))] for key in sorted(groups))
    return Dataset(dataset.name, kept, dataset.source, dataset.licence)


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    return [line for line in text.splitlines() if line.strip()]


def _rows(file: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader(_lines(file)))
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ConfigError(f"{file}, line {number}: wrong number of columns")
    return rows


def _levels(row: dict[str, str]) -> tuple[str, ...]:
    values = [row.get(f"level{n}", "").strip() for n in range(1, 9)]
    return tuple(v for v in values if v)


def _read_skus_csv(file: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    if not file.is_file():
        return {}
    return {row["sku_id"]: (row.get("family", ""), _levels(row)) for row in _rows(file)}


def _check_spelling(where: Path, labels: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for label in labels:
        key = " ".join(label.casefold().split())
        other = seen.setdefault(key, label)
        if other != label:
            raise ConfigError(f"{where}: one SKU in two spellings: {other!r} and {label!r}")
