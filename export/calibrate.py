"""`edge-export calibrate`: pictures in, operating points out, precision by precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import Bundle
from edge.errors import ConfigError
from edge.gallery.catalogue import read_catalogue
from edge.gallery.views import enrolment_views
from edge.manifest import OperatingPoint, Precision, Preprocessing
from export.answering import best_answers
from export.answers import Labelled, depth_of, draw_in_turn
from export.answers import Path as CategoryPath
from export.calibration import calibrate
from export.calibration_record import CalibrationRecord, refuse_shared_skus
from export.datasets import Dataset, Sample, merge
from export.embedding import Embed, embed_samples, normalised, onnx_embed, whole
from export.images import read_rgb
from export.leaks import file_digest, find_leaks, refuse_leaks
from export.open_set import OpenSetOptions
from export.tasks import open_dataset


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """Options of one calibration.

    ``data`` (merged) and ``queries`` are dataset words as of ``open_dataset``; without ``queries``
    each SKU's photos are divided, ``references`` of them enrolled. ``evaluation`` names data that
    will be evaluated on: nothing of it may be calibrated on. ``categories`` is a ``skus.csv``.
    """

    bundle: Path
    data: tuple[str, ...]
    out: Path
    queries: str | None = None
    evaluation: tuple[str, ...] = ()
    categories: Path | None = None
    category: str | None = None
    target: float = 0.99
    level_target: float = 0.95
    unknown_share: float = 1 / 3
    draws: int = 9
    views: int | None = None
    references: int = 5
    precisions: tuple[Precision, ...] = ()
    seed: int = 0
    threads: int = 2


def run_calibration(
    request: CalibrationRequest, report: Callable[[str], None] = lambda line: None
) -> CalibrationRecord:
    """Measure and write ``request.out``; ``report`` hears a line a step.

    Raises:
        ConfigError: for data that leaks or does not suffice, and for a target that these pictures cannot
            certify (with the number of answers it takes).
        BundleError: when the bundle cannot be loaded.
    """
    bundle = Bundle.load(request.bundle)
    options = OpenSetOptions(
        request.unknown_share, request.target, request.level_target, request.views, request.draws
    )
    gallery, queries = _pictures(request)
    _refuse_evaluation(request, (*gallery.samples, *queries.samples))
    paths = _paths(request, gallery)
    skus = sorted(set(gallery.labels) & set(queries.labels))
    if len(skus) < 4:
        raise ConfigError(f"calibration needs 4 SKUs or more, got {len(skus)}")
    rng = np.random.default_rng(request.seed)
    unknown = draw_in_turn(skus, options.unknown_share, options.draws, rng)
    settings = _settings(request, options, gallery, queries)
    points: dict[Precision, OperatingPoint] = {}
    reports: dict[Precision, dict[str, Any]] = {}
    spec = bundle.manifest.tower.preprocessing
    for precision, file in _files(bundle, request.precisions).items():
        report(f"{precision}: embedding {len(gallery.samples)} + {len(queries.samples)} pictures")
        embed = onnx_embed(file, threads=request.threads)
        enrolled = _enrolled(gallery.samples, paths, embed, spec)
        asked = labelled(embed_samples(queries.samples, embed, spec), queries.samples, paths).of(
            frozenset(skus)
        )
        tasks = [(enrolled.of(frozenset(skus) - left_out), asked) for left_out in unknown]
        found = best_answers(tasks, options.views, depth_of(enrolled))
        done = calibrate(
            found.draws, views=found.views, target=request.target,
            level_target=request.level_target, measured=_measured(settings, precision),
            ridge=found.ridge,
        )  # fmt: skip
        points[precision], reports[precision] = done.point, done.report
    record = CalibrationRecord(
        tower=bundle.manifest.tower.fingerprint,
        points=points,
        reports=reports,
        settings=settings,
        skus=tuple(skus),
        pictures=tuple(sorted({file_digest(s.path) for s in (*gallery.samples, *queries.samples)})),
    )
    record.write(request.out)
    return record


def with_categories(paths: dict[str, CategoryPath], file: Path | None) -> dict[str, CategoryPath]:
    """The category paths of a ``skus.csv`` for the SKUs it names; GalleryError when it is wrong."""
    if file is None:
        return paths
    known = read_catalogue(file)
    return {sku: known[sku].category if sku in known else path for sku, path in paths.items()}


def divide(data: Dataset, references: int, seed: int) -> tuple[Dataset, Dataset]:
    """Up to ``references`` photos a SKU to enrol (clean ones first), the others to ask.

    A photo is never on both sides. Raises ConfigError where no SKU has two photos.
    """
    rng = np.random.default_rng(seed)
    photos: dict[str, dict[str, bool]] = {}
    for sample in data.samples:
        clean = photos.setdefault(sample.label, {})
        clean[sample.photo] = clean.get(sample.photo, False) or sample.clean
    chosen = set()
    for label in sorted(photos):
        names = sorted(photos[label])
        order = sorted(
            rng.permutation(len(names)).tolist(), key=lambda i: not photos[label][names[i]]
        )
        count = min(references, len(names) - 1)
        chosen |= {(label, names[i]) for i in order[:count]}
    if not chosen:
        raise ConfigError(f"{data.name}: no SKU has two photos, one to enrol and one to ask")
    return (
        data.where(lambda s: (s.label, s.photo) in chosen, f"{data.name} enrolled"),
        data.where(lambda s: (s.label, s.photo) not in chosen, f"{data.name} asked"),
    )


def labelled(
    vectors: np.ndarray[Any, np.dtype[np.float32]],
    samples: Sequence[Sample],
    paths: dict[str, CategoryPath],
) -> Labelled:
    """The samples' vectors with their SKUs and category paths; a SKU without a path has none."""
    labels = tuple(s.label for s in samples)
    return Labelled(vectors, labels, tuple(paths.get(label, ()) for label in labels))


def _pictures(request: CalibrationRequest) -> tuple[Dataset, Dataset]:
    parts = [open_dataset(text) for text in request.data]
    data = parts[0] if len(parts) == 1 else merge(" + ".join(p.name for p in parts), parts)
    queries = open_dataset(request.queries) if request.queries is not None else None
    if request.category is not None:
        data = data.where(lambda s: s.levels[:1] == (request.category,))
        if queries is not None:
            queries = queries.where(lambda s: s.levels[:1] == (request.category,))
    if queries is None:
        return divide(data, request.references, request.seed)
    refuse_leaks(find_leaks(data.samples, queries.samples))
    return data, queries


def _refuse_evaluation(request: CalibrationRequest, ours: Sequence[Sample]) -> None:
    labels = sorted({s.label for s in ours})
    for text in request.evaluation:
        kept = open_dataset(text)
        refuse_shared_skus(labels, kept.samples, kept.name)
        refuse_leaks(find_leaks(ours, kept.samples))


def _paths(request: CalibrationRequest, gallery: Dataset) -> dict[str, CategoryPath]:
    return with_categories({s.label: s.levels for s in gallery.samples}, request.categories)


def _files(bundle: Bundle, wanted: Sequence[Precision]) -> dict[Precision, Path]:
    files = {v.precision: bundle.path / v.file for v in bundle.manifest.tower.variants}
    missing = [precision for precision in wanted if precision not in files]
    if missing:
        raise ConfigError(f"{bundle.path}: the tower has no {missing[0]} file")
    return {p: file for p, file in files.items() if not wanted or p in wanted}


def _enrolled(
    samples: Sequence[Sample], paths: dict[str, CategoryPath], embed: Embed, spec: Preprocessing
) -> Labelled:
    """Clean pictures give the views that `edge gallery build` enrols, others are taken as they are."""
    plain = [s for s in samples if not s.clean]
    vectors = [embed_samples(plain, embed, spec)] if plain else []
    labels = [s.label for s in plain]
    for sample in samples:
        if sample.clean:
            views = enrolment_views(read_rgb(sample.path))
            vectors.append(normalised(embed(np.concatenate([whole(v, spec) for v in views]))))
            labels += [sample.label] * len(views)
    return Labelled(np.concatenate(vectors), tuple(labels), tuple(paths[x] for x in labels))


def _settings(
    request: CalibrationRequest, options: OpenSetOptions, gallery: Dataset, queries: Dataset
) -> dict[str, Any]:
    """What was measured on what; data by name, for paths mean nothing on another machine."""
    return {
        "gallery": gallery.name,
        "queries": queries.name,
        "target": request.target,
        "level_target": request.level_target,
        "unknown_share": round(options.unknown_share, 4),
        "draws": options.draws,
        "seed": request.seed,
    }


def _measured(settings: dict[str, Any], precision: Precision) -> str:
    words = ", ".join(f"{key} {value}" for key, value in settings.items())
    return f"edge-export calibrate, {precision}: {words}"
