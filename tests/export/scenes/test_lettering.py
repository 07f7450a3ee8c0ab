"""Text: every letter that packages use has ink of its own, with and without extra typefaces."""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
import pytest

from export.scenes import lettering
from export.scenes.brands import SPLITS
from export.scenes.catalog import build_catalog
from export.scenes.lettering import TYPEFACES, Type, arc, pick_type, script_of, text_mask
from export.scenes.words import FLAVOURS, PRODUCT_TYPES

# Typefaces of the tests stay alive: OpenCV mixes up the glyphs of faces that were freed.
_kept: list[object] = []


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No typeface but those inside OpenCV."""
    face = cache(lettering._face.__wrapped__)
    _kept.append(face)
    monkeypatch.setattr(lettering, "_face", face)
    monkeypatch.setattr(lettering, "_installed", dict)


@cache
def _brand_letters(script: str) -> frozenset[str]:
    brands = {
        sku.family.brand
        for split in SPLITS
        for sku in build_catalog(seed=1, split=split, skus=250).skus
    }
    names = [brand.name for brand in brands if brand.script == script]
    return frozenset("".join(names)) - {" "}


def _letters(script: str) -> set[str]:
    texts = [word for entry in (*FLAVOURS.values(), *PRODUCT_TYPES) for word in entry.words]
    mine = {letter for text in texts if script_of(text) == script for letter in text}
    return (mine | _brand_letters(script)) - {" "}


def _has_ink_of_its_own(letter: str, type_: Type) -> bool:
    mask = text_mask(letter, type_, 32)
    unknown = text_mask("?", type_, 32)
    return bool(mask.any()) and not np.array_equal(mask, unknown)


@pytest.mark.parametrize("script", list(TYPEFACES))
def test_every_letter_is_drawn_with_nothing_installed(bare_machine: None, script: str) -> None:
    for letter in _letters(script):
        assert _has_ink_of_its_own(letter, Type(TYPEFACES[script][0])), letter


@pytest.mark.parametrize(
    ("script", "face"), [(script, face) for script, faces in TYPEFACES.items() for face in faces]
)
def test_every_letter_of_a_brand_is_drawn_in_every_typeface(script: str, face: str) -> None:
    for letter in _brand_letters(script):
        assert _has_ink_of_its_own(letter, Type(face)), letter


def test_a_missing_typeface_is_named_once_and_replaced(
    bare_machine: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        mask = text_mask("Brand", Type("lobster"))
        text_mask("Other", Type("lobster"))

    assert mask.any()
    assert [record.message for record in caplog.records] == [
        "typeface lobster is not installed: OpenCV's own is drawn instead"
    ]


def test_masks_are_cut_to_their_ink() -> None:
    mask = text_mask("Ink", Type("builtin:sans", shear=0.2, stretch=1.3, upper=True))

    assert mask.dtype == np.uint8
    assert mask.max() > 200
    assert mask[:, :3].any() or mask[:, -3:].any()
    assert text_mask(" ", Type("builtin:sans")).shape == (1, 1)


@pytest.mark.parametrize("rise", [0.4, -0.3])
def test_an_arc_is_higher_than_its_text_and_keeps_its_ink(rise: float) -> None:
    mask = text_mask("Arched", Type("builtin:sans"))
    bent = arc(mask, rise)

    assert bent.shape[1] == mask.shape[1]
    assert bent.shape[0] > mask.shape[0]
    assert abs(float(bent.sum()) / float(mask.sum()) - 1) < 0.1


def test_types_are_drawn_from_the_script_they_are_for() -> None:
    rng = np.random.default_rng(0)
    for script, faces in TYPEFACES.items():
        assert {pick_type(rng, script).face for _ in range(40)} <= set(faces)
