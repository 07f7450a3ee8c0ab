"""The charts and tables of the report, and the small pieces of markup they share."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from edge.shelf.facings import Product
from edge.shelf.palette import ColourBook
from edge.shelf.summary import AuditSummary

CRUMB = " \u203a "
"""Stands between the levels of a category."""
BARS = 20
"""SKUs in the chart; the table holds all."""


def shares_html(summary: AuditSummary, products: Mapping[str, Product], colours: ColourBook) -> str:
    """Bar charts of the share of shelf by brand and by SKU, unknown in grey."""
    shares = summary.shares
    if not shares.by_sku and not shares.unknown:
        return "<p>Nothing was detected.</p>"
    brands = [(brand or "no brand", share, "") for brand, share in shares.by_brand.items()]
    skus = [
        (name_of(sku, products), share, _css(colours, sku))
        for sku, share in list(shares.by_sku.items())[:BARS]
    ]
    others = list(shares.by_sku.values())[BARS:]
    rest = [(f"{len(others)} more SKUs", sum(others), "none")] if others else []
    grey = [("unknown", shares.unknown, _css(colours, None))] if shares.unknown else []
    return (
        f'<div class="charts"><div><h3>By brand</h3>{_bars(brands + grey)}</div>'
        f"<div><h3>By SKU</h3>{_bars(skus + rest + grey)}</div></div>"
    )


def _bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Bars to the scale of the longest; "none" as colour stands for a sum that has no bar."""
    longest = max((share for _, share, colour in rows if colour != "none"), default=0.0) or 1.0
    return (
        "<table class=bars>"
        + "".join(
            f'<tr><th scope=row>{escape(name)}</th><td><i style="width:{share / longest:.1%};'
            f'{f"background:{colour}" if colour else ""}"></i></td>'
            f"<td class=n>{share:.1%}</td></tr>"
            for name, share, colour in rows
        )
        + "</table>"
    )


def table_html(
    summary: AuditSummary,
    products: Mapping[str, Product],
    crops: Mapping[str, bytes],
    colours: ColourBook,
) -> str:
    """The table of facings: a row a SKU with its crop and colour, the last one unknown."""
    rows = []
    for sku in dict.fromkeys([*summary.facings, *summary.shares.by_sku]):
        product = products.get(sku, Product(sku))
        picture = image_html(crops.get(sku), "")
        rows.append(
            f'<tr data-sku="{escape(sku)}"><td class=crop style="border-left-color:'
            f'{_css(colours, sku)}">{picture}</td>'
            f"<td><b>{escape(product.name)}</b><small>{escape(sku)}</small></td>"
            f"<td>{escape(product.brand)}</td><td>{escape(CRUMB.join(product.category))}</td>"
            f"<td class=n data-facings>{summary.facings.get(sku, 0)}</td>"
            f"<td class=n>{summary.shares.by_sku.get(sku, 0.0):.1%}</td></tr>"
        )
    if summary.unknown or summary.shares.unknown:
        rows.append(
            "<tr class=unknown><td class=crop"
            f' style="border-left-color:{_css(colours, None)}">?</td>'
            f"<td><b>unknown</b></td><td></td><td></td><td class=n>{summary.unknown}</td>"
            f"<td class=n>{summary.shares.unknown:.1%}</td></tr>"
        )
    if not rows:
        return "<p>No facings.</p>"
    return (
        "<table class=facings><thead><tr><th></th><th>Product</th><th>Brand</th><th>Category</th>"
        "<th class=n>Facings</th><th class=n>Share</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def image_html(jpeg: bytes | None, alt: str) -> str:
    """A JPEG file as an image within the page; "" for None."""
    if jpeg is None:
        return ""
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}">'


def name_of(sku: str, products: Mapping[str, Product]) -> str:
    """What a SKU is called; its id where it is not described."""
    return products[sku].name if sku in products else sku


def _css(colours: ColourBook, sku: str | None) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colours.colour(sku))


def percent(part: int, whole: int) -> str:
    """A share as text; a dash of nothing."""
    return f"{part / whole:.1%}" if whole else "-"


def plural(n: int, noun: str) -> str:
    """A count with its noun."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
