from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import GalleryError
from edge.gallery.form import FormRow, form_text, read_form
from edge.gallery.records import Sku

SHOWN = {1: 3, 2: 1, 3: 2}
HEADER = (
    "cluster,count,nearest_sku,nearest_name,similarity,sku_id,gtin,brand,category,name_en,leave_out"
)


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def form(tmp_path: Path) -> Path:
    return tmp_path / "clusters.csv"


def mistakes(form: Path, enrolled: dict[str, Sku] | None = None) -> str:
    with pytest.raises(GalleryError) as caught:
        read_form(form, SHOWN, enrolled or {})
    text = str(caught.value)
    assert text.startswith(f"{form}: ")
    assert "\n" not in text
    return text


def test_an_empty_form_enrols_nothing(form: Path) -> None:
    rows = [FormRow(1, 9, "old", "Old, one", 0.456), FormRow(2, 4), FormRow(3, 1)]
    form.write_text(form_text(rows, "pt_br"))
    assert form.read_text().splitlines()[:2] == [
        HEADER.replace("name_en", "name_pt-BR"),
        '1,9,old,"Old, one",0.46,,,,,,',
    ]
    assert read_form(form, SHOWN, {}) == ([], [1, 2, 3])


def test_filled_rows_say_what_they_say(form: Path) -> None:
    write(
        form, "1,9,,,,milk,4006381333931,Alm,Food > Milk,Milk,2", "2,4,,,,,,,,,", "3,1,,,,jam,,,,,"
    )
    filled, empty = read_form(form, SHOWN, {})
    assert empty == [2]
    assert [(row.line, row.cluster, row.leave_out) for row in filled] == [
        (2, 1, frozenset({2})),
        (4, 3, frozenset()),
    ]
    assert filled[0].sku == Sku("milk", "4006381333931", "Alm", {"en": "Milk"}, ("Food", "Milk"))
    assert filled[1].sku == Sku("jam")


def test_spreadsheets_write_semicolons_a_mark_and_fewer_columns(form: Path) -> None:
    form.write_bytes("\ufeffcluster;sku_id;name_de;leave_out\r\n1;milk;Milch;1, 3\r\n".encode())
    (row,), _ = read_form(form, SHOWN, {})
    assert (row.sku.names, row.leave_out) == ({"de": "Milch"}, frozenset({1, 3}))


def test_rows_of_one_sku_are_one_product(form: Path) -> None:
    write(form, "1,9,,,,milk,,Alm,,,", "3,1,,,,milk,,,Food,Milk,")
    first, second = read_form(form, SHOWN, {})[0]
    assert second.sku == Sku("milk", None, "Alm", {"en": "Milk"}, ("Food",))
    assert first.sku.brand == "Alm"


def test_what_the_gallery_knows_stays_and_is_added_to(form: Path) -> None:
    known = {"milk": Sku("milk", None, "Alm", {"de": "Milch"}, ("Food",))}
    write(form, "1,9,,,,milk,4006381333931,,,Milk,")
    (row,), _ = read_form(form, SHOWN, known)
    assert row.sku == Sku("milk", "4006381333931", "Alm", {"de": "Milch", "en": "Milk"}, ("Food",))


def test_every_mistake_is_named_with_line_and_column(form: Path) -> None:
    known = {"jam": Sku("jam", "96385074", "Alm")}
    write(
        form,
        "1,9,,,,milk,12345,Alm,Food >,Milk,0",
        "1,9,,,,milk,,,,,",
        "7,9,,,,milk,,,,,",
        "x,9,,,,milk,,,,,",
        "2,4,,,,,,,,Milk,",
        "3,1,,,,jam,,Other,,,x",
    )
    text = mistakes(form, known)
    for part in (
        "line 2, column gtin: GTIN '12345' must have",
        "line 2, column category: category 'Food >' has an empty level",
        "line 2, column leave_out: '0' is no picture's number (1 to 3)",
        "line 3, column cluster: cluster 1 is there twice",
        "line 4, column cluster: there is no cluster '7'",
        "line 5, column cluster: there is no cluster 'x'",
        "line 6, column sku_id: is empty",
        "line 7, column leave_out: 'x' is no picture's number (1 to 2)",
    ):
        assert part in text, part


def test_contradictions_between_rows_and_with_the_gallery_are_named(form: Path) -> None:
    known = {"jam": Sku("jam", "96385074", "Alm", {"en": "Jam"}, ("Food",))}
    write(
        form,
        "1,9,,,,milk,96385074,Alm,,,",
        "2,4,,,,milk,,Berg,,,",
        "3,1,,,,jam,,,Drinks,Jelly,",
    )
    text = mistakes(form, known)
    assert "line 2, column gtin: GTIN '96385074' is that of SKU 'jam' too" in text
    assert "line 3, column brand: SKU 'milk' has 'Alm' in a line above, 'Berg' here" in text
    assert "line 4, column category: SKU 'jam' has 'Food' in the gallery, 'Drinks' here" in text
    assert "line 4, column name_en: SKU 'jam' has 'Jam' in the gallery, 'Jelly' here" in text


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("cluster,sku_id,colour", "unknown column 'colour'"),
        ("cluster,sku_id,sku_id", "column 'sku_id' is there twice"),
        ("cluster,gtin", "column 'sku_id' is missing"),
        ("sku_id", "column 'cluster' is missing"),
        ("cluster,sku_id,name_Klingon", "column name_Klingon"),
    ],
)
def test_a_wrong_header_is_named(form: Path, header: str, why: str) -> None:
    assert f"line 1{', ' if why.startswith('column name') else ': '}{why}" in mistakes(
        write(form, header=header)
    )


def test_what_is_no_table_is_named(form: Path) -> None:
    assert "cells, expected 11" in mistakes(write(form, "1,2,3"))
    form.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8 text" in mistakes(form)
    form.unlink()
    assert "cannot be read" in mistakes(form)
