"""The commands that change a gallery: what they print, what they refuse, and that all can be undone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge.cli_gallery import app
from edge.gallery.store import GalleryStore
from tests.conftest import ROOT
from tests.factories import FINGERPRINT, write_picture

RUN = CliRunner()


@pytest.fixture
def gallery(tiny_gallery: Path, tmp_path: Path) -> Path:
    """A copy of the tiny gallery: SKUs red, green, … with one reference each."""
    for path in tiny_gallery.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / tiny_gallery.name


def call(*arguments: object, fails: int = 0) -> dict[str, Any]:
    """The JSON of a command that ends with status ``fails``."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == fails, result.output
    assert result.stdout.count("\n") == 1
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value


def invoke(*arguments: object) -> Result:
    return RUN.invoke(app, [str(argument) for argument in arguments])


def error_of(*arguments: object, status: int = 1) -> str:
    """The one line of a command that fails, from the real process."""
    done = subprocess.run(
        [sys.executable, "-c", "from edge.cli import main; main()", "gallery"]
        + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def counts(gallery: Path) -> dict[str, int]:
    return {row["sku_id"]: row["references"] for row in call("list", gallery)["skus"]}


def textured(path: Path, seed: int) -> Path:
    """A sharp picture that looks like no other."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return write_picture(path, np.kron(blocks, np.ones((10, 10, 1), np.uint8)))


def test_pictures_are_added_for_a_new_product_and_taken_back(
    gallery: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    before = counts(gallery)
    pictures = [textured(tmp_path / f"{n}.png", n) for n in (1, 2)]
    added = call(
        *("add", gallery, *pictures, "--sku", "tea", "--bundle", tiny_bundle, "--force"),
        *("--gtin", "4006381333931", "--brand", "Alm", "--category", "Food > Tea"),
        *("--name", "Green tea", "--name", "de=Grüner Tee"),
    )
    assert added["new_sku"]
    assert added["complete"]
    assert len(added["reference_ids"]) >= 2
    listed = {row["sku_id"]: row for row in call("list", gallery, "--locale", "de-AT")["skus"]}
    tea = listed["tea"]
    assert (tea["name"], tea["gtin"], tea["brand"]) == ("Grüner Tee", "4006381333931", "Alm")
    assert tea["category"] == ["Food", "Tea"]
    assert tea["references"] == len(added["reference_ids"])
    references = call("list", gallery, "--sku", "tea")["references"]
    assert [one["id"] for one in references] == added["reference_ids"]
    assert {one["source"] for one in references} == {str(p) for p in pictures}
    again = call("add", gallery, pictures[0], "--sku", "tea", "--bundle", tiny_bundle)
    assert (again["known"], again["reference_ids"]) == ([str(pictures[0])], [])
    undone = call("undo", gallery)
    assert undone["change"]["kind"] == "undo"
    assert counts(gallery) == before
    assert call("redo", gallery)["change"]["kind"] == "redo"
    assert "tea" in counts(gallery)


def test_what_is_known_about_a_product_is_changed_without_pictures(gallery: Path) -> None:
    sku = min(counts(gallery))
    before = {row["sku_id"]: row for row in call("list", gallery)["skus"]}[sku]
    assert before["name"] != "Farba"
    call("add", gallery, "--sku", sku, "--name", "pl=Farba", "--gtin", "96385074")
    after = {row["sku_id"]: row for row in call("list", gallery, "--locale", "pl-PL")["skus"]}[sku]
    assert after == before | {"name": "Farba", "gtin": "96385074"}
    other = max(counts(gallery))
    text = error_of("add", gallery, "--sku", other, "--gtin", "000096385074")
    assert f"SKU {other!r}: GTIN 000096385074 is that of SKU {sku!r}" in text


def test_a_picture_that_is_not_fit_is_refused_with_the_reason(
    gallery: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    good = textured(tmp_path / "good.png", 5)
    tiny = write_picture(tmp_path / "tiny.png", np.zeros((8, 8, 3), np.uint8))
    done = call(
        *("add", gallery, good, tiny, tmp_path / "gone.png", "--sku", "tea"),
        *("--bundle", tiny_bundle),
        fails=1,
    )
    assert not done["complete"]
    assert "tiny: 8x8 pixels" in done["refused"][0]
    assert "gone.png" in done["failures"][0]
    assert counts(gallery)["tea"] == len(done["reference_ids"]) > 0
    other = call("add", gallery, good, "--sku", "coffee", "--bundle", tiny_bundle, fails=1)
    assert "contradictory" in other["refused"][0]
    assert "'tea'" in other["refused"][0]
    assert "coffee" not in counts(gallery)


def test_references_and_products_are_removed_moved_and_merged(gallery: Path) -> None:
    skus = sorted(counts(gallery))
    first = call("list", gallery, "--sku", skus[0])["references"][0]["id"]
    moved = call("relabel", gallery, first, "--sku", skus[1])
    assert moved["change"]["summary"] == f"reference {first} to SKU {skus[1]!r}"
    assert (counts(gallery)[skus[0]], counts(gallery)[skus[1]]) == (0, 2)
    call("merge", gallery, skus[1], skus[2])
    assert counts(gallery)[skus[2]] == 3
    call("remove", gallery, first)
    assert counts(gallery)[skus[2]] == 2
    call("remove", gallery, "--sku", skus[2], "--sku", skus[3])
    assert set(counts(gallery)) == {skus[0], *skus[4:]}
    history = call("history", gallery)["changes"]
    kinds = [change["kind"] for change in history[:4]]
    assert kinds == ["remove_skus", "remove_references", "merge", "relabel"]
    assert call("history", gallery, "--last", 1)["changes"] == history[:1]
    for _ in range(4):
        call("undo", gallery)
    assert set(counts(gallery).values()) == {1}
    assert call("compact", gallery)["freed_bytes"] >= 0
    assert call("verify", gallery)["ok"]


def test_people_get_lines(gallery: Path) -> None:
    skus = sorted(counts(gallery))
    assert f"merge: SKU '{skus[0]}' into '{skus[1]}'" in invoke("merge", gallery, *skus[:2]).stdout
    assert skus[1] in invoke("list", gallery).stdout
    assert ".png" in invoke("list", gallery, "--sku", skus[1]).stdout
    invoke("undo", gallery)
    assert "(undone by" in invoke("history", gallery).stdout
    assert "bytes freed" in invoke("compact", gallery).stdout
    assert "nothing to repair" in invoke("repair", gallery).stdout


def test_a_gallery_copied_alone_is_repaired_by_the_command_that_the_error_names(
    gallery: Path, tmp_path: Path
) -> None:
    alone = Path(shutil.copy(gallery, tmp_path / "alone.db"))
    text = error_of("list", alone)
    command = text.strip().split("with: edge gallery ")[1].split()
    assert invoke(*command).exit_code == 0
    assert counts(alone) == counts(gallery)


def test_wrong_calls_and_failures_are_one_line(gallery: Path, tiny_bundle: Path) -> None:
    assert "no reference 999" in error_of("remove", gallery, 999)
    assert "no SKU 'x'" in error_of("merge", gallery, "x", "red")
    assert "no SKU 'x'" in error_of("list", gallery, "--sku", "x")
    assert "name either ids of references, or SKUs" in error_of("remove", gallery, status=2)
    assert "no such gallery" in error_of("undo", gallery.with_name("none.db"))
    assert "'german' is not a locale" in error_of("list", gallery, "--locale", "german", status=2)
    wrong = ("add", gallery, "x.png", "--sku", "tea", "--bundle", tiny_bundle)
    text = error_of(*wrong, "--gtin", "4006381333932", status=2)
    assert "'4006381333932' has check digit 2, expected 1" in text


def test_a_gallery_of_another_tower_is_refused_with_both_named(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    GalleryStore.create(other, tower="feedfeedfeedfeed", dim=8, precision="fp32").close()
    picture = textured(tmp_path / "p.png", 1)
    text = error_of("add", other, picture, "--sku", "tea", "--bundle", tiny_bundle)
    assert FINGERPRINT in text
    assert "feedfeedfeedfeed" in text
