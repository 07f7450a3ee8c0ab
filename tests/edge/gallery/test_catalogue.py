from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import GalleryError
from edge.gallery.catalogue import parse_category, read_catalogue
from edge.gallery.records import Sku


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "skus.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_all_columns_are_read(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "sku_id,gtin,brand,category,name_de,name_en-us\r\n"
        'milk-1,4006381333931,Alm,food > dairy>milk,"Milch, 1 l",Milk\r\n'
        "soap,,,,Seife,\r\n\r\n",
    )
    names = {"de": "Milch, 1 l", "en-US": "Milk"}
    assert read_catalogue(path) == {
        "milk-1": Sku("milk-1", "4006381333931", "Alm", names, ("food", "dairy", "milk")),
        "soap": Sku("soap", names={"de": "Seife"}),
    }


@pytest.mark.parametrize("separator", [";", "\t"])
def test_files_of_spreadsheets_are_read(tmp_path: Path, separator: str) -> None:
    text = "\ufeffsku_id,brand,name_de\na,Ö,Käse\n".replace(",", separator)
    assert read_catalogue(_write(tmp_path, text)) == {"a": Sku("a", None, "Ö", {"de": "Käse"})}


def test_a_combined_letter_and_its_parts_are_the_same_id(tmp_path: Path) -> None:
    assert list(read_catalogue(_write(tmp_path, "sku_id\nKa\u0308se\n"))) == ["K\u00e4se"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: column 'sku_id' is missing"),
        ("gtin,brand\n", "line 1: column 'sku_id' is missing"),
        ("sku_id,price\na,1\n", "line 1: unknown column 'price'"),
        ("sku_id,brand,brand\n", "line 1: column 'brand' is there twice"),
        ("sku_id,name_german\n", "line 1: column 'name_german': 'german' is not a locale"),
        ("sku_id,name_de-at,name_de_AT\n", "line 1: two columns of names in de-AT"),
        ("sku_id\na\n\na\n", "line 4: sku_id 'a' is there twice"),
        ("sku_id,brand\n,Alm\n", "line 2: sku_id must be printable text"),
        ("sku_id,gtin\na,\nb,4006381333932\n", "line 3: GTIN '4006381333932' has check digit 2"),
        ("sku_id,gtin\na,4.00638E+12\n", r"line 2: GTIN '4\.00638E\+12' must have"),
        (
            "sku_id,gtin\na,036000291452\nb,0036000291452\n",
            "line 3: GTIN '0036000291452' is that of SKU 'a' too",
        ),
        ("sku_id,category\na,food > > milk\n", "line 2: category 'food > > milk' has an empty"),
        ("sku_id,brand\na\n", "line 2: 1 cells, expected 2"),
        ("sku_id,brand\na,b,c\n", "line 2: 3 cells, expected 2"),
        ('sku_id,brand\na,"b\n', "unexpected end of data"),
        (b"sku_id,brand\na,K\xe4se\n", "cannot be read as UTF-8 text"),
    ],
)
def test_mistakes_name_file_line_and_value(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(GalleryError, match=rf"skus\.csv: .*{message}") as caught:
        read_catalogue(_write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_all_mistakes_come_at_once_and_a_flood_is_counted(tmp_path: Path) -> None:
    lines = "".join(f"s{i},12\n" for i in range(9))
    with pytest.raises(GalleryError, match=r"line 2: .*line 3: .*line 6: .*; and 4 more$"):
        read_catalogue(_write(tmp_path, f"sku_id,gtin\n{lines}"))


def test_a_cell_may_hold_a_line_break_of_its_own(tmp_path: Path) -> None:
    text = 'sku_id,brand\na,"two\nlines"\nb,Alm\n'
    with pytest.raises(GalleryError, match=r"line 3: brand must be printable text"):
        read_catalogue(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "levels"), [("", ()), ("  ", ()), ("a", ("a",)), ("a > b c >d", ("a", "b c", "d"))]
)
def test_categories_are_split_into_levels(text: str, levels: tuple[str, ...]) -> None:
    assert parse_category(text) == levels
