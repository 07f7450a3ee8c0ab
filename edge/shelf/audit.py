"""A shelf audit: frames in, facings, records, drawn pictures and a report out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from edge.atomic import LineWriter, cannot_write, make_folder, write_bytes, write_text
from edge.camera.source import SourceFailure
from edge.errors import EdgeError, OutputError
from edge.shelf.annotate import annotate, encode_jpeg
from edge.shelf.crops import CropKeeper
from edge.shelf.facings import FacingsCounter, Product
from edge.shelf.palette import ColourBook
from edge.shelf.records import to_line
from edge.shelf.report import ReportPicture, render_report, report_jpeg
from edge.shelf.summary import AuditSummary, Failure, facings_csv
from edge.shelf.unknowns import FILE, UnknownKeeper
from edge.types import Frame, FrameResult

Infer = Callable[[Frame], FrameResult]


def run_audit(
    frames: Iterable[Frame | SourceFailure],
    infer: Infer,
    out: Path,
    *,
    products: Mapping[str, Product],
    bundle_id: str,
    gallery: Mapping[str, object],
    provider: str,
    annotate_every: int = 1,
    annotated_per_source: int = 100,
    progress: Callable[[int, str], None] | None = None,
) -> AuditSummary:
    """Run ``infer`` over all frames and write the audit's files into ``out``.

    ``results.jsonl`` grows as ``results.jsonl.partial`` and is renamed at the end; pictures come as
    they are drawn; ``unknown.zip`` (crops without a SKU), ``facings.csv``, ``report.html`` and,
    last, ``summary.json`` follow. A failed input, or an EdgeError from ``infer``, is recorded and
    the others go on.

    Args:
        frames: what :func:`edge.camera.source.iter_frames` gives.
        infer: from a frame to its result; ``result.source`` tells the inputs apart.
        out: folder, made where missing; files of an earlier audit there are replaced.
        products: what is known of each SKU.
        bundle_id: for the summary.
        gallery: for the summary, e.g. file, version and number of SKUs.
        provider: for the summary where no frame came through.
        annotate_every: draw each n-th frame of a clip.
        annotated_per_source: at most so many drawn pictures a clip.
        progress: called after each frame with the number done and its source.

    Raises:
        OutputError: a file cannot be written; names it. What was complete stays, and nothing
            incomplete has a final name.
    """
    make_folder(out / "annotated")
    stale = _earlier_pictures(out)
    work = _Work(out, products, annotate_every, annotated_per_source)
    with LineWriter(out / "results.jsonl") as records:
        for done, item in enumerate(frames, 1):
            if isinstance(item, SourceFailure):
                work.fail(item.source, item.error)
                source = item.source
            else:
                source = item.camera_id
                try:
                    result = infer(item)
                except OutputError:
                    raise
                except EdgeError as error:
                    work.fail(source, error)
                except MemoryError:
                    work.fail(source, EdgeError(f"{source}: not enough memory for this picture"))
                else:
                    records.write(to_line(result))
                    work.add(item, result)
            if progress is not None:
                progress(done, source)
        records.commit()
    summary = work.summary(bundle_id, gallery, provider)
    work.unknowns.write(out / FILE)
    write_text(out / "facings.csv", facings_csv(summary, products))
    report = render_report(
        summary, products, work.pictures, work.crops.best(), work.crops.unknown(), work.colours
    )
    write_text(out / "report.html", report)
    text = json.dumps(summary.to_json(), ensure_ascii=False, indent=2, allow_nan=False)
    write_text(out / "summary.json", text + "\n")
    _remove(out, stale - {name for names in summary.annotated.values() for name in names})
    return summary


class _Work:
    """What adds up while the frames pass by."""

    def __init__(
        self, out: Path, products: Mapping[str, Product], every: int, per_source: int
    ) -> None:
        self.crops = CropKeeper()
        self.unknowns = UnknownKeeper()
        self.colours = ColourBook()
        self.pictures: list[ReportPicture] = []
        self._out = out
        self._products = products
        self._every = max(1, every)
        self._per_source = per_source
        self._counter = FacingsCounter()
        self._frames: dict[str, int] = {}
        self._annotated: dict[str, list[str]] = {}
        self._names: set[str] = set()
        self._failures: dict[Failure, None] = {}
        self._timings: dict[str, float] = {}
        self._provider = ""

    def fail(self, source: str, error: EdgeError) -> None:
        """Record a failure, once for each source and reason."""
        self._failures[Failure(source, str(error))] = None

    def add(self, frame: Frame, result: FrameResult) -> None:
        """Count a frame and draw it."""
        self._counter.add(result)
        self._provider = result.provider
        for stage, ms in result.timings_ms.items():
            self._timings[stage] = self._timings.get(stage, 0.0) + ms
        self.crops.add(frame.image, result)
        self.unknowns.add(frame.image, result)
        before = self._frames.get(result.source, 0)
        self._frames[result.source] = before + 1
        drawn = self._annotated.setdefault(result.source, [])
        if before % self._every or len(drawn) >= self._per_source:
            return
        base = re.split(r"[/\\]", result.source)[-1] or result.source
        title = base if result.index == 0 else f"{base} · frame {result.index}"
        picture = annotate(frame.image, result, self._products, self.colours, title=title)
        name = self._picture_name(base, result.index)
        write_bytes(self._out / name, encode_jpeg(picture))
        drawn.append(name)
        jpeg = report_jpeg(picture, len(self.pictures))
        self.pictures.append(ReportPicture.of(result, title, name, jpeg))

    def summary(self, bundle_id: str, gallery: Mapping[str, object], provider: str) -> AuditSummary:
        """The numbers so far."""
        frames = sum(self._frames.values())
        return AuditSummary(
            frames=frames,
            facings=self._counter.facings(),
            unknown=self._counter.unknown(),
            shares=self._counter.shares(self._products),
            timings_ms={stage: ms / frames for stage, ms in self._timings.items()},
            provider=self._provider or provider,
            bundle=bundle_id,
            gallery=gallery,
            sources=self._counter.per_source(),
            annotated=self._annotated,
            failures=list(self._failures),
        )

    def _picture_name(self, base: str, index: int) -> str:
        """A file name that no other picture of this audit has, also where case does not count."""
        stem = re.sub(r"[^\w.-]+", "_", base.rsplit(".", 1)[0]).strip("._")[:80] or "picture"
        stem += f"_f{index:06d}" if index else ""
        name, n = stem, 1
        while name.casefold() in self._names:
            n += 1
            name = f"{stem}-{n}"
        self._names.add(name.casefold())
        return f"annotated/{name}.jpg"


def _earlier_pictures(out: Path) -> set[str]:
    """Drawn pictures that an earlier audit in this folder says it made."""
    try:
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        names = {str(name) for source in summary["sources"] for name in source["annotated"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if re.fullmatch(r"annotated/[\w.-]+\.jpg", name)}


def _remove(out: Path, names: set[str]) -> None:
    for name in names:
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(out / name, error) from error
