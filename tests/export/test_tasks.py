from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from export.tasks import make_task, open_dataset


def test_a_folder_is_split_into_fronts_and_photos(tmp_path: Path, write_skus) -> None:
    task = make_task("one-shot", str(write_skus(tmp_path / "skus", 3, 2)))
    assert (len(task.gallery.samples), len(task.queries.samples)) == (3, 6)
    assert all(s.clean for s in task.gallery.samples)


def test_one_crop_a_photo_and_some_skus_as_queries(tmp_path: Path) -> None:
    lines = [f"{sku}{n}.jpg,{sku},p{n // 2}" for sku in "ab" for n in range(6)]
    file = tmp_path / "crops.csv"
    file.write_text("path,sku_id,photo_id\n" + "\n".join(lines) + "\n")
    task = make_task("leave-one-out", str(file), per_photo=True, query_skus=["b"])
    assert len(task.gallery.samples) == 6
    assert {s.label for s in task.queries.samples} == {"b"}
    assert set(task.queries.samples) <= set(task.gallery.samples)


def test_real_splits_by_name(shelf_data: Path) -> None:
    root = shelf_data / "grocery-store"
    both = open_dataset(f"grocery-store:{root}:train+val")
    assert len(both.samples) == 2640 + 296
    task = make_task(
        "one-shot",
        f"grocery-store:{root}:iconic",
        f"grocery-store:{root}:test",
        category="Packages",
    )
    assert (len(task.gallery.samples), len(task.queries.samples)) == (31, 781)


@pytest.mark.parametrize(
    ("text", "message"),
    [("rp2k:/data/rp2k", "needs a split"), ("folder:/no/such", "no such folder"),
     ("missing.csv", r"missing\.csv")],
)  # fmt: skip
def test_words_that_name_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_dataset(text)
