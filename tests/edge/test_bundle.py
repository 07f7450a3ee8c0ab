from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import bundle as bundle_module
from edge.bundle import MANIFEST, Bundle, default_path
from edge.errors import BundleError
from tests.factories import edit_manifest, reseal

Change = Callable[[Path], object]


def line_of(folder: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    text = str(caught.value)
    assert text.isprintable(), text
    assert str(folder) in text
    return text


def test_a_bundle_is_loaded_and_named(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    assert bundle.manifest.name == "tiny"
    assert bundle.bundle_id.startswith("tiny-1+")
    assert Bundle.load(str(tiny_bundle)).bundle_id == bundle.bundle_id


def test_another_manifest_is_another_bundle(own_bundle: Path) -> None:
    before = Bundle.load(own_bundle).bundle_id
    edit_manifest(own_bundle, lambda m: m["decision"]["fp32"].update(similarity=0.5))
    assert Bundle.load(own_bundle).bundle_id != before


def test_a_missing_file_is_named(own_bundle: Path) -> None:
    (own_bundle / "tower.onnx").unlink()
    assert "tower.onnx: missing, though the manifest names it" in line_of(own_bundle)


def test_an_altered_file_is_named(own_bundle: Path) -> None:
    path = own_bundle / "canary" / "scene.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert "canary/scene.png: altered: SHA-256 is " in line_of(own_bundle)


def write_empty(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("")


EXTRAS: dict[str, tuple[str, Change]] = {
    "file": ("run.py", lambda p: p.write_text("import os")),
    "hidden file": (".hidden", lambda p: p.write_text("")),
    "in a new folder": ("more/x.bin", write_empty),
    "named like the manifest": (f"canary/{MANIFEST}", lambda p: p.write_text("{}")),
    "link to a folder": ("link", lambda p: p.symlink_to("/tmp")),
    "link to nowhere": ("nowhere", lambda p: p.symlink_to("/does/not/exist")),
    "pipe": ("pipe", os.mkfifo),
}


@pytest.mark.parametrize("kind", EXTRAS)
def test_an_extra_file_is_named(own_bundle: Path, kind: str) -> None:
    name, add = EXTRAS[kind]
    add(own_bundle / name)
    assert f"{own_bundle / name}: not named in the manifest" in line_of(own_bundle)


@pytest.mark.parametrize("version", [2, 0, "1", None, [1]])
def test_an_unknown_format_is_named(own_bundle: Path, version: object) -> None:
    edit_manifest(own_bundle, lambda m: m.update(format=version))
    assert f"format {version!r} is not known (this version reads 1)" in line_of(own_bundle)


def test_a_format_is_looked_at_before_all_else(own_bundle: Path) -> None:
    """A later format may look quite different: its version is what matters, not its other keys."""
    (own_bundle / MANIFEST).write_text(json.dumps({"format": 7, "models": []}))
    line = line_of(own_bundle)
    assert "format 7 is not known" in line
    assert "detector" not in line


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/hostname", "canary/../../x"])
def test_a_path_that_leaves_the_folder_is_named(own_bundle: Path, name: str) -> None:
    edit_manifest(own_bundle, lambda m: m["files"].update({name: "0" * 64}))
    line = line_of(own_bundle)
    assert name in line
    assert "leaves the bundle's folder" in line


@pytest.mark.parametrize("through", ["file", "folder"])
def test_a_link_that_leaves_the_folder_is_refused_with_the_right_checksum(
    own_bundle: Path, tmp_path: Path, through: str
) -> None:
    inside = own_bundle / ("tower.onnx" if through == "file" else "canary")
    outside = tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    line = line_of(own_bundle)
    assert ("leads out of the bundle's folder" if through == "file" else "not named") in line


def test_a_pipe_in_place_of_a_model_does_not_hang(own_bundle: Path) -> None:
    (own_bundle / "tower.onnx").unlink()
    os.mkfifo(own_bundle / "tower.onnx")
    assert "tower.onnx: not a regular file" in line_of(own_bundle)


def test_links_that_lead_in_a_circle_are_named(own_bundle: Path) -> None:
    (own_bundle / "tower.onnx").unlink()
    (own_bundle / "tower.onnx").symlink_to("tower.onnx")
    assert "tower.onnx: cannot be read: " in line_of(own_bundle)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must hold one JSON object"),
        (b"null", "must hold one JSON object"),
        (b"{}", "format None is not known"),
    ],
)
def test_what_is_no_manifest_is_said(own_bundle: Path, text: bytes, reason: str) -> None:
    (own_bundle / MANIFEST).write_bytes(text)
    assert f"{MANIFEST}: {reason}" in line_of(own_bundle)


def test_all_mistakes_come_at_once_under_their_keys(own_bundle: Path) -> None:
    def spoil(manifest: dict[str, Any]) -> None:
        manifest["detector"]["input_wh"] = "wide"
        manifest["tower"]["dim"] = 1.5
        manifest["canary"]["min_spread"] = 7
        del manifest["licence"]
        manifest["surprise\n"] = 1

    edit_manifest(own_bundle, spoil)
    line = line_of(own_bundle)
    for key in ("detector.input_wh", "tower.dim", "canary.min_spread", "licence", "surprise"):
        assert key in line


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    assert f"{MANIFEST}: missing" in line_of(tmp_path)
    with pytest.raises(BundleError, match="no such bundle folder"):
        Bundle.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="no such bundle folder"):
        Bundle.load(tmp_path / "file")
    (tmp_path / MANIFEST).mkdir()
    assert "cannot be read: Is a directory" in line_of(tmp_path)


def test_a_name_too_long_for_the_disk_is_one_line(own_bundle: Path) -> None:
    edit_manifest(own_bundle, lambda m: m["files"].update({"x" * 300: "0" * 64}))
    assert "cannot be read: File name too long" in line_of(own_bundle)


def test_a_resealed_bundle_loads_again(own_bundle: Path) -> None:
    (own_bundle / "NOTICE").write_text("more")
    reseal(own_bundle)
    assert "NOTICE" in Bundle.load(own_bundle).manifest.files


# --------------------------------------------------------------------------- the default bundle


@pytest.mark.parametrize(
    ("place", "wheel"), [("edge/_models/default", True), ("models/default", False)]
)
def test_the_default_is_found_in_a_wheel_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, wheel: bool
) -> None:
    (tmp_path / "edge").mkdir()
    monkeypatch.setattr(bundle_module, "__file__", str(tmp_path / "edge" / "bundle.py"))
    with pytest.raises(BundleError, match=r"no default bundle beside .*--bundle"):
        default_path()
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    assert default_path() == folder
    if not wheel:
        inner = tmp_path / "edge" / "_models" / "default"
        inner.mkdir(parents=True)
        (inner / MANIFEST).write_text("{}")
        assert default_path() == inner  # what was installed wins


def test_the_default_bundle_is_sound() -> None:
    try:
        folder = default_path()
    except BundleError:
        pytest.skip("this checkout has no default bundle")
    bundle = Bundle.default()
    assert bundle.path == folder
    assert "MODEL_CARD.md" in bundle.manifest.files
    assert bundle.manifest.licence
