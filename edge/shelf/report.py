"""``report.html``: one file with everything in it, to be read, mailed and printed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import cv2
import numpy as np

from edge.shelf.annotate import encode_jpeg
from edge.shelf.crops import MAX_UNKNOWN, UnknownCrop
from edge.shelf.facings import Product, SourceFacings
from edge.shelf.page import PAGE
from edge.shelf.palette import ColourBook
from edge.shelf.summary import AuditSummary
from edge.shelf.tables import CRUMB, image_html, name_of, percent, plural, shares_html, table_html
from edge.types import U8, FrameResult

LARGE_PICTURES, LARGE_PX = 12, 1800
SMALL_PX = 1100
MAX_PICTURES = 60
"""The first 12 pictures are embedded 1800 px wide, the next at 1100 px, those after 60 are not."""


@dataclass(frozen=True, slots=True, eq=False)
class ReportPicture:
    """A drawn picture: ``file`` relative to the report, ``jpeg`` None where it is not embedded."""

    title: str
    source: str
    taken: str
    file: str
    jpeg: bytes | None
    known: int
    unknown: int
    size: str
    scale: str

    @classmethod
    def of(cls, result: FrameResult, title: str, file: str, jpeg: bytes | None) -> ReportPicture:
        """The picture of a frame."""
        counts = Counter(sku is None for sku in result.matches.sku_id)
        return cls(
            title,
            result.source,
            result.captured_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            file,
            jpeg,
            counts[False],
            counts[True],
            f"{result.size_wh[0]} \u00d7 {result.size_wh[1]}",
            result.scale,
        )


def report_jpeg(picture: U8, position: int) -> bytes | None:
    """A drawn picture (RGB) as the report embeds it at this position, or None after the last."""
    if position >= MAX_PICTURES:
        return None
    widest = LARGE_PX if position < LARGE_PICTURES else SMALL_PX
    shrink = widest / picture.shape[1]
    if shrink < 1:
        size = (widest, max(1, round(picture.shape[0] * shrink)))
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        picture = np.asarray(resized, dtype=np.uint8)
    return encode_jpeg(picture, 80)


def render_report(
    summary: AuditSummary,
    products: Mapping[str, Product],
    pictures: Sequence[ReportPicture],
    crops: Mapping[str, bytes],
    unknown: Sequence[UnknownCrop],
    colours: ColourBook,
) -> str:
    """The whole page. All numbers come from ``summary``, which is also embedded as JSON.

    Names and paths are escaped; the page asks for nothing from outside.
    """
    data = json.dumps(summary.to_json(), ensure_ascii=False).replace("<", "\\u003c")
    return Template(PAGE).substitute(
        created=escape(summary.created_at.strftime("%Y-%m-%d %H:%M UTC")),
        inputs=plural(len(summary.sources), "input"),
        tiles=_tiles(summary),
        shares=shares_html(summary, products, colours),
        table=table_html(summary, products, crops, colours),
        sources=_sources(summary.sources),
        pictures=_pictures(pictures),
        unknown=_unknown(summary, unknown, products),
        failures=_failures(summary),
        provenance=_provenance(summary),
        data=data,
    )


def _tiles(summary: AuditSummary) -> str:
    total = summary.known + summary.unknown
    tiles = [
        ("facings", str(total), "all detections" if total else "nothing was found"),
        ("known", str(summary.known), percent(summary.known, total)),
        ("unknown", str(summary.unknown), percent(summary.unknown, total)),
        ("skus", str(len(summary.facings)), "different products"),
        ("frames", str(summary.frames), f"from {plural(len(summary.sources), 'input')}"),
        ("failures", str(len(summary.failures)), "inputs not audited, or not to their end"),
    ]
    names = {"skus": "SKUs", "frames": "pictures"}
    return "".join(
        f'<div class="tile{" bad" if key == "failures" and summary.failures else ""}">'
        f'<b data-total="{key}">{value}</b><span>{names.get(key, key)}</span>'
        f"<small>{escape(note)}</small></div>"
        for key, value, note in tiles
    )


def _sources(sources: Sequence[SourceFacings]) -> str:
    if len(sources) < 2 and all(source.frames < 2 for source in sources):
        return ""
    rows = "".join(
        f"<tr><td>{escape(s.source)}</td><td class=n>{s.frames}</td>"
        f"<td class=n>{len(s.facings)}</td><td class=n>{sum(s.facings.values())}</td>"
        f"<td class=n>{s.unknown}</td></tr>"
        for s in sources
    )
    return (
        "<section><h2>Inputs</h2><p class=note>Pictures are added up; a clip counts once, with the"
        " median per SKU over its frames.</p><table><thead><tr><th>Input</th>"
        "<th class=n>Frames</th><th class=n>SKUs</th><th class=n>Known facings</th>"
        "<th class=n>Unknown</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )


def _pictures(pictures: Sequence[ReportPicture]) -> str:
    if not pictures:
        return ""
    parts = []
    for picture in pictures:
        link = f'<a href="{escape(picture.file)}">{escape(picture.file)}</a>'
        caption = (
            f"<b>{escape(picture.title)}</b> {picture.known + picture.unknown} facings,"
            f" {picture.unknown} unknown · {picture.size} px, scale {escape(picture.scale)}"
            f" · {escape(picture.taken)} · full size: {link}"
        )
        drawn = image_html(picture.jpeg, f"{picture.title} with what was found")
        body = f'<a href="{escape(picture.file)}">{drawn}</a>' if drawn else ""
        parts.append(f"<figure>{body}<figcaption>{caption}</figcaption></figure>")
    left_out = sum(picture.jpeg is None for picture in pictures)
    note = (
        f"<p class=note>The first {MAX_PICTURES} pictures are shown here; {left_out} more are in"
        " the folder <code>annotated</code>.</p>"
        if left_out
        else ""
    )
    return f"<section><h2>Pictures</h2>{note}{''.join(parts)}</section>"


def _unknown(
    summary: AuditSummary, crops: Sequence[UnknownCrop], products: Mapping[str, Product]
) -> str:
    if not crops:
        return ""
    cells = []
    for crop in crops:
        where = crop.source.replace("\\", "/").rsplit("/", 1)[-1]
        where += f" · frame {crop.index}" if crop.index else ""
        lines = [f"<span>{escape(CRUMB.join(crop.category))}</span>"] if crop.category else []
        if crop.nearest is not None:
            near = (
                f"nearest: {name_of(crop.nearest.sku_id, products)} {crop.nearest.similarity:.2f}"
            )
            lines.append(f"<span>{escape(near)}</span>")
        lines.append(f"<small>{escape(where)}</small>")
        cells.append(f"<li>{image_html(crop.jpeg, 'unknown product')}{''.join(lines)}</li>")
    note = f"{len(crops)} crops"
    if len(crops) == MAX_UNKNOWN:
        note = f"The {MAX_UNKNOWN} crops that are most surely products"
    return (
        f"<section><h2>Unknown products</h2><p class=note>{note}. Enrolled as references,"
        f" they are known from then on, without training.</p><ul class=crops>{''.join(cells)}</ul>"
        "</section>"
    )


def _failures(summary: AuditSummary) -> str:
    if not summary.failures:
        return ""
    rows = "".join(f"<li>{escape(failure.error)}</li>" for failure in summary.failures)
    return f"<section class=failures><h2>Failures</h2><ul>{rows}</ul></section>"


def _provenance(summary: AuditSummary) -> str:
    rows = [("Bundle", summary.bundle), ("Provider", summary.provider)]
    rows += [(f"Gallery {key}", str(value)) for key, value in summary.gallery.items()]
    rows += [(f"Time: {stage}", f"{ms:.1f} ms a frame") for stage, ms in summary.timings_ms.items()]
    return "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in rows)
