from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.errors import BundleError, ConfigError, GalleryError
from edge.gallery.store import GalleryStore
from edge.site import read_site, switch_site
from tests.conftest import ROOT
from tests.factories import FINGERPRINT, edit_manifest, tower_spec, write_bundle

OTHER = "bb" * 16
KILLS = 6
SWITCHER = """
import sys
from pathlib import Path
from edge.site import switch_site
site, *pairs = map(Path, sys.argv[1:])
print("ready", flush=True)
while True:
    for at in (0, 2):
        switch_site(site, pairs[at], pairs[at + 1])
"""


def make_gallery(path: Path, tower: str) -> Path:
    GalleryStore.create(path, tower=tower, dim=12, precision="fp32").close()
    return path


@pytest.fixture(scope="module")
def pairs(
    tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """Two bundles of different towers, each with a gallery."""
    home = tmp_path_factory.mktemp("site")
    other = write_bundle(home / "other", tower=tower_spec(fingerprint=OTHER)).path
    return (
        (tiny_bundle, make_gallery(home / "a.db", FINGERPRINT)),
        (other, make_gallery(home / "b.db", OTHER)),
    )


def test_a_pair_is_named_together(
    pairs: tuple[tuple[Path, Path], tuple[Path, Path]], tmp_path: Path
) -> None:
    path = tmp_path / "site.json"
    for (bundle, gallery), tower in zip(pairs, (FINGERPRINT, OTHER), strict=True):
        written = switch_site(path, bundle, gallery)
        found = read_site(path)
        assert found == written
        assert (found.bundle, found.gallery) == (bundle.resolve(), gallery.resolve())
        assert found.tower == tower


def test_a_site_can_be_moved_with_what_lies_beside_it(own_bundle: Path, tmp_path: Path) -> None:
    make_gallery(tmp_path / "g.db", FINGERPRINT)
    switch_site(tmp_path / "site.json", own_bundle, tmp_path / "g.db")
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved"))
    try:
        assert read_site(moved / "site.json").gallery == (moved / "g.db").resolve()
    finally:
        moved.rename(tmp_path)


def test_half_a_switch_is_refused_and_changes_nothing(
    pairs: tuple[tuple[Path, Path], tuple[Path, Path]], tmp_path: Path
) -> None:
    path = tmp_path / "site.json"
    switch_site(path, *pairs[0])
    before = path.read_bytes()
    with pytest.raises(GalleryError, match=f"{OTHER}.*{FINGERPRINT}|{FINGERPRINT}.*{OTHER}"):
        switch_site(path, pairs[0][0], pairs[1][1])
    assert path.read_bytes() == before


def test_what_was_changed_behind_its_back_is_named(own_bundle: Path, tmp_path: Path) -> None:
    path, gallery = tmp_path / "site.json", make_gallery(tmp_path / "g.db", FINGERPRINT)
    site = switch_site(path, own_bundle, gallery)
    for name in ("g.db", "g.db.seq"):
        (tmp_path / name).unlink()
    make_gallery(gallery, FINGERPRINT)
    with pytest.raises(GalleryError, match=site.gallery_id):
        read_site(path)
    edit_manifest(own_bundle, lambda manifest: manifest.update(version="9"))
    with pytest.raises(BundleError, match=r"names bundle tiny-1\+.* is tiny-9\+"):
        read_site(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": 2}', '{"format": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "site.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"site\.json"):
        read_site(path)
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_site(path)


def test_a_killed_switch_leaves_the_old_pair_or_the_new_one(
    pairs: tuple[tuple[Path, Path], tuple[Path, Path]], tmp_path: Path
) -> None:
    path = tmp_path / "site.json"
    switch_site(path, *pairs[0])
    expected = {tuple(part.resolve() for part in pair) for pair in pairs}
    words = [str(path), *(str(part) for pair in pairs for part in pair)]
    chance = random.Random(3)
    seen = set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", SWITCHER, *words],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.05))
        for _ in range(5):  # also while it goes on
            site = read_site(path)
            assert (site.bundle, site.gallery) in expected
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        site = read_site(path)
        assert (site.bundle, site.gallery) in expected
        seen.add(site.tower)
        assert json.loads(path.read_text())["format"] == 1
    assert seen
