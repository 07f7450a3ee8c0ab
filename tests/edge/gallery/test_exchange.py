from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError, GalleryError, OutputError
from edge.gallery.exchange import export_gallery, import_gallery
from edge.gallery.exchange_format import HEAD, PART
from edge.gallery.gtin import check_digit
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery
from tests.edge.command import Edge

TOWER, OTHER = "aa" * 16, "bb" * 16
DIM = 5

text = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
awkward = st.sampled_from(["a > b", "[x", '["a"]', "=1+1", 'say "hi"', "a,b;c", "été", "x>"])
words = st.one_of(text, awkward)
levels = st.lists(words, max_size=5, unique=True).map(tuple)
names = st.dictionaries(st.sampled_from(["de", "en", "pt-BR", "zh-Hant"]), words, max_size=4)


@st.composite
def galleries(draw: st.DrawFn) -> tuple[list[Sku], list[NewReference]]:
    ids = draw(st.lists(words, min_size=1, max_size=4, unique=True))
    skus = []
    for number, sku_id in enumerate(ids):
        body = f"{number:011d}"
        gtin = draw(st.sampled_from([None, "0" + body + check_digit("0" + body)]))
        brand = draw(st.one_of(st.none(), words))
        # levels of their own for each SKU, so that no two paths form a circle
        category = tuple(f"{level}#{number}" for level in draw(levels))
        skus.append(Sku(sku_id, gtin, brand, draw(names), category))
    references = []
    for _ in range(draw(st.integers(0, 6))):
        vector = np.array(draw(st.lists(st.integers(-9, 9), min_size=DIM, max_size=DIM)))
        vector = vector.astype(np.float32) + np.float32(0.5)
        references.append(
            NewReference(
                sku_id=draw(st.sampled_from(ids)),
                vector=(vector / np.linalg.norm(vector)).astype(np.float32),
                jpeg=b"\xff\xd8" + draw(st.binary(max_size=20)),
                source=draw(st.one_of(words, st.just("a\r\nb\t\0c"))),
                source_sha256=draw(st.sampled_from(["", "ab" * 32])),
                quality=draw(st.floats(0, 1e6)),
                created_at=draw(st.sampled_from([None, "2025-01-02T03:04:05+00:00"])),
            )
        )
    return skus, references


def make(path: Path, skus: list[Sku], references: list[NewReference], tower: str = TOWER) -> Path:
    with GalleryStore.create(path, tower=tower, dim=DIM, precision="int8") as store:
        store.add_skus(skus)
        if references:
            store.add_references(references)
    return path


def content(path: Path) -> tuple[object, ...]:
    """All of a gallery but its id, numbers and history."""
    with GalleryStore.open(path) as store:
        references = [
            (r.sku_id, r.vector.tobytes(), r.jpeg, r.source, r.source_sha256, r.quality)
            for r in store.references()
        ]
        times = [r.created_at for r in store.references()]
        return store.tower, store.dim, store.precision, store.skus(), references, times


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(galleries(), st.booleans())
def test_nothing_is_lost_on_the_way_out_and_in(
    tmp_path: Path, gallery: tuple[list[Sku], list[NewReference]], zipped: bool
) -> None:
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    (tmp_path / "case").mkdir()
    path = make(tmp_path / "case" / "g.db", *gallery)
    out = tmp_path / "case" / ("e.zip" if zipped else "e")
    report = export_gallery(path, out)
    assert (report.skus, report.references) == (len(gallery[0]), len(gallery[1]))
    back = tmp_path / "case" / "back.db"
    import_gallery(out, back, tower=TOWER)
    assert content(back) == content(path)
    assert verify_gallery(back).ok


def three(path: Path, tower: str = TOWER) -> Path:
    """Two SKUs, three references."""
    eye = np.eye(DIM, dtype=np.float32)
    references = [
        NewReference(sku, eye[i], b"\xff\xd8" + bytes([i]) * 50, f"{i}.jpg", "", 1.0)
        for i, sku in enumerate("aab")
    ]
    return make(path, [Sku("a", names={"en": "A"}), Sku("b")], references, tower)


def test_more_than_a_part_is_exchanged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((PART + 3, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    many = [NewReference("a", v, b"\xff\xd8", f"{i}", "", 0.0) for i, v in enumerate(vectors)]
    path = make(tmp_path / "g.db", [Sku("a")], many)
    export_gallery(path, tmp_path / "e.zip")
    steps: list[tuple[int, int]] = []
    import_gallery(tmp_path / "e.zip", tmp_path / "b.db", progress=lambda *at: steps.append(at))
    assert steps == [(PART, PART + 3), (PART + 3, PART + 3)]
    assert content(tmp_path / "b.db") == content(path)


def test_any_changed_byte_or_missing_file_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    export_gallery(three(tmp_path / "g.db"), tmp_path / "e")
    target = three(tmp_path / "kept.db")
    before = content(target)
    files = sorted(p for p in (tmp_path / "e").rglob("*") if p.is_file())
    assert len(files) == 3 + 1 + 3
    rng = np.random.default_rng(1)
    for file in files:
        whole = file.read_bytes()
        places = rng.integers(0, len(whole), 3)
        changed = [
            whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :]
            for at in places.tolist()
        ]
        for data in [*changed, whole[: len(whole) // 2], b"", None]:
            if data is None:
                file.unlink()
            else:
                file.write_bytes(data)
            with pytest.raises(EdgeError, match=re.escape(str(tmp_path / "e"))) as caught:
                import_gallery(tmp_path / "e", target)
            assert "\n" not in str(caught.value)
            assert content(target) == before
        file.write_bytes(whole)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_zip_is_written_whole_or_not_at_all_and_damage_is_named(tmp_path: Path) -> None:
    export_gallery(three(tmp_path / "g.db"), tmp_path / "e.zip")
    whole = (tmp_path / "e.zip").read_bytes()
    for end in range(0, len(whole), len(whole) // 10):
        (tmp_path / "cut.zip").write_bytes(whole[:end])
        with pytest.raises(GalleryError, match=r"cut\.zip"):
            import_gallery(tmp_path / "cut.zip", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


def test_what_broke_off_cannot_be_imported(tmp_path: Path) -> None:
    export_gallery(three(tmp_path / "g.db"), tmp_path / "e")
    (tmp_path / "e" / HEAD).unlink()
    with pytest.raises(GalleryError, match=HEAD):
        import_gallery(tmp_path / "e", tmp_path / "new.db")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not an empty folder"):
        export_gallery(three(tmp_path / "g.db"), tmp_path / "e")


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    export_gallery(three(tmp_path / "g.db"), tmp_path / "e")
    head = json.loads((tmp_path / "e" / HEAD).read_text())
    (tmp_path / "e" / HEAD).write_text(json.dumps({**head, "format": 2}))
    with pytest.raises(GalleryError, match="format 2 is not known"):
        import_gallery(tmp_path / "e", tmp_path / "new.db")


def test_the_commands_exchange_and_refuse_another_tower_naming_both(
    tmp_path: Path, tiny_gallery: Path, tiny_bundle: Path, edge: Edge
) -> None:
    out = tmp_path / "e.zip"
    assert edge("gallery", "export", tiny_gallery, "--out", out, "--json").json["skus"] == 4
    with zipfile.ZipFile(out) as archive:
        assert "The red one" in archive.read("skus.csv").decode()
    back = tmp_path / "back.db"
    assert edge("gallery", "import", out, "--out", back, "--bundle", tiny_bundle).status == 0
    assert content(back) == content(tiny_gallery)
    other = three(tmp_path / "other.db", OTHER)
    done = edge("gallery", "import", out, "--out", other)
    assert done.status == 1
    assert OTHER in done.error
    assert str(content(tiny_gallery)[0]) in done.error
    export_gallery(other, tmp_path / "o")
    done = edge("gallery", "import", tmp_path / "o", "--out", back, "--bundle", tiny_bundle)
    assert OTHER in done.error
    assert "the bundle has" in done.error
