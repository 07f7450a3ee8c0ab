from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from export.datasets import (
    Dataset,
    Sample,
    one_per_photo,
    read_csv,
    read_folder,
    read_grocery_store,
    read_rp2k,
)


def test_a_folder_per_sku_gives_labels_families_levels_and_the_clean_picture(
    tmp_path: Path, write_skus
) -> None:
    write_skus(tmp_path, 2, 2)
    (tmp_path / "skus.csv").write_text(
        "sku_id,family,level1,level2\nsku-00,cola,Drinks,Soda\nsku-01,cola,Drinks,Soda\n"
    )
    dataset = read_folder(tmp_path)
    assert dataset.labels == ("sku-00", "sku-01")
    assert dataset.counts() == {"sku-00": 3, "sku-01": 3}
    assert {s.family for s in dataset.samples} == {"cola"}
    assert dataset.samples[0].levels == ("Drinks", "Soda")
    assert [s.path.name for s in dataset.samples if s.clean] == ["front.png", "front.png"]


def test_two_spellings_of_one_sku_are_refused_with_both_named(tmp_path: Path) -> None:
    for name in ("Cola Zero", "cola  zero"):
        (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match=r"'Cola Zero' and 'cola  zero'"):
        read_folder(tmp_path)


@pytest.mark.parametrize("reader", [read_folder, lambda p: read_rp2k(p, "train")])
def test_a_missing_folder_is_named(tmp_path: Path, reader) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        reader(tmp_path / "nowhere")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(ConfigError, match="no images found"):
        read_rp2k(tmp_path, "train")


def test_csv_photos_are_kept_and_mistakes_give_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "crops.csv"
    file.write_text("path,product_id,photo_id\na.jpg,7,p1\nb.jpg,7,p1\n")
    assert [s.photo for s in read_csv(file).samples] == ["p1", "p1"]
    file.write_text("path,product_id\na.jpg,\n")
    with pytest.raises(ConfigError, match=r"crops\.csv, line 2"):
        read_csv(file)
    file.write_text("file,product_id\na.jpg,1\n")
    with pytest.raises(ConfigError, match="needs the columns path and sku_id"):
        read_csv(file)


def test_rp2k_takes_the_folder_above_the_picture_as_sku(tmp_path: Path) -> None:
    for path in ("train/tea/green/1.jpg", "train/cola/2.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    samples = {s.label: s.levels for s in read_rp2k(tmp_path, "train").samples}
    assert samples == {"green": ("tea",), "cola": ()}


def test_rp2k_refuses_one_sku_in_two_spellings(tmp_path: Path) -> None:
    for path in ("train/tea/Green Tea/1.jpg", "train/drinks/green tea/2.jpg"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"x")
    with pytest.raises(ConfigError, match="one SKU in two spellings"):
        read_rp2k(tmp_path, "train")


def test_grocery_store_as_it_is_published_and_its_mistakes(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
        "Iconic Image Path (str),Product Description Path (str)\n"
        "Golden-Delicious,0,Apple,0,/iconic-images-and-descriptions/Fruit/Apple/Golden-Delicious/"
        "Golden-Delicious_Iconic.jpg,/x.txt\n"
    )
    (tmp_path / "train.txt").write_text("train/Fruit/Apple/Golden-Delicious/1.jpg, 0, 0\n")
    (sample,) = read_grocery_store(tmp_path, "train").samples
    assert (sample.label, sample.levels) == ("Golden-Delicious", ("Fruit", "Apple"))
    assert read_grocery_store(tmp_path, "iconic").samples[0].clean
    (tmp_path / "train.txt").write_text("train/Fruit/Apple/Golden-Delicious/1.jpg, 5, 0\n")
    with pytest.raises(ConfigError, match=r"train\.txt, line 1: expected path, class"):
        read_grocery_store(tmp_path, "train")
    (tmp_path / "train.txt").write_text("")
    with pytest.raises(ConfigError, match="no images found"):
        read_grocery_store(tmp_path, "train")


def test_left_out_skus_are_gone_and_unknown_ones_are_an_error() -> None:
    samples = tuple(Sample(Path(f"{i}.jpg"), label, str(i)) for i, label in enumerate("aab"))
    dataset = Dataset("set", samples)
    assert dataset.without(["a"]).labels == ("b",)
    with pytest.raises(ConfigError, match="no such SKU: c"):
        dataset.without(["a", "c"])
    with pytest.raises(ConfigError, match="no images"):
        dataset.without(["a", "b"])


def test_one_per_photo_keeps_one_crop_of_a_photo_and_repeats_with_its_seed() -> None:
    samples = tuple(Sample(Path(f"{i}.jpg"), "a", f"photo{i // 3}") for i in range(9))
    picked = [one_per_photo(Dataset("set", samples), seed).samples for seed in (0, 0, 1, 2, 3)]
    assert [s.photo for s in picked[0]] == ["photo0", "photo1", "photo2"]
    assert picked[0] == picked[1]
    assert len(set(picked)) > 1


def test_grocery_store_levels_and_clean_pictures(shelf_data: Path) -> None:
    root = shelf_data / "grocery-store"
    test = read_grocery_store(root, "test")
    assert (len(test.samples), len(test.labels)) == (2485, 81)
    packaged = {s.label for s in test.samples if s.levels[0] == "Packages"}
    assert len(packaged) == 31
    clean = read_grocery_store(root, "iconic")
    assert all(s.clean and s.path.is_file() for s in clean.samples)
    assert set(clean.labels) == set(test.labels)
