from __future__ import annotations

import pytest

from edge.gallery.names import best_name, canonical_locale


@pytest.mark.parametrize(
    ("written", "usual"),
    [("de", "de"), ("DE_at", "de-AT"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")],
)
def test_tags_get_their_usual_spelling(written: str, usual: str) -> None:
    assert canonical_locale(written) == usual


@pytest.mark.parametrize("wrong", ["", "german", "d", "de-", "de-A", "../de"])
def test_what_is_no_tag_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"'{wrong}' is not a locale"):
        canonical_locale(wrong)


@pytest.mark.parametrize(
    ("names", "locale", "expected"),
    [
        ({"de-AT": "Obers", "de": "Sahne", "en": "Cream"}, "de-AT", "Obers"),
        ({"de": "Sahne", "en": "Cream"}, "de-AT", "Sahne"),
        ({"de-DE": "Sahne", "en": "Cream"}, "de-AT", "Sahne"),
        ({"fr": "Crème", "en": "Cream"}, "de-AT", "Cream"),
        ({"fr": "Crème", "en-US": "Cream"}, "de-AT", "Cream"),
        ({"sv": "Grädde", "fr": "Crème"}, "de-AT", "Crème"),
        ({}, "de-AT", None),
        ({"zh-Hant-TW": "鮮奶油", "zh-Hant": "忌廉", "zh": "奶油"}, "zh-Hant-TW", "鮮奶油"),
        ({"zh-Hant": "忌廉", "zh": "奶油"}, "zh-Hant-TW", "忌廉"),
        ({"zh": "奶油", "en": "Cream"}, "zh-Hant-TW", "奶油"),
        ({"zh-CN": "奶油", "zh-HK": "忌廉", "en": "Cream"}, "zh-Hant-TW", "忌廉"),
        ({"zh-Hans": "奶油", "zh-Hant": "忌廉"}, "zh-TW", "忌廉"),
        ({"pt": "Natas", "en": "Cream"}, "pt-BR", "Natas"),
        ({"pt-PT": "Natas", "en": "Cream"}, "pt-BR", "Natas"),
    ],
)
def test_the_nearest_language_is_taken(
    names: dict[str, str], locale: str, expected: str | None
) -> None:
    assert best_name(names, locale) == expected


def test_the_default_language_comes_before_any_other() -> None:
    names = {"de": "Sahne", "en": "Cream", "pl": "Śmietana"}
    assert best_name(names, "fr-FR", "pl") == "Śmietana"
    assert best_name(names, "fr-FR") == "Cream"
    assert best_name({"de": "Sahne", "pl": "Śmietana"}, "fr-FR", "ja") == "Sahne"
    with pytest.raises(ValueError, match="'xx1' is not a locale"):
        best_name(names, "de", "xx1")
