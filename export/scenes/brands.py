"""Invented brand names in several scripts; the first letter decides the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Split = Literal["train", "demo", "test"]
SPLITS: tuple[Split, ...] = ("train", "demo", "test")
SPLIT_CODES: dict[Split, int] = {"train": 0x7A11, "demo": 0xDE30, "test": 0x7E57}
"""Mixed into every seed, so that no random stream is shared between splits."""


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand: its name, the name's script and locale, and the seed of its look."""

    name: str
    script: str
    locale: str
    seed: int


@dataclass(frozen=True, slots=True)
class _Script:
    locale: str
    weight: float
    starts: dict[Split, str]
    middles: str
    ends: str


# Initials of the three splits are disjoint per script, so a name never crosses splits.
_SCRIPTS = {
    "latin": _Script(
        "en",
        0.66,
        {
            "train": "Ba Bel Bro Ca Cor Da Del Dor Fa Fio Ga Gal Gre Ka Kel La Lu Ma Mel Mi Na Nor "
            "Ra Ri Ro Sa Sol Su Ta Tri Ty",
            "demo": "Pa Pel Pri Po Va Ve Vin O Or El Em Pla Vol Os Es Ev",
            "test": "Wa Wil Wen Za Ze Zo Ha Hel Hy A Al Am Ja Jo Jun Hol",
        },
        "la ri mo ne vi do ta lu ber san mi ko ra fe li no ge ba",
        "na lo ra x vita dor ella o ia mar nus tta sen berg co li ndo va rine more ly ks",
    ),
    "cyrillic": _Script(
        "ru",
        0.1,
        {
            "train": "Ба Бе Ве Га До За Ко Ла Лю Ма Ми На",
            "demo": "По Пре Ра Ро Све Се",
            "test": "Та Ти Ук Фе Хо Ча Эль Юж Яр",
        },
        "ли ро ме ни ва до сне ре ту",
        "на вка рь ница лад ёк дар ево ча йка",
    ),
    "greek": _Script(
        "el",
        0.08,
        {
            "train": "Αρ Βα Γα Δε Ελ Ζη Θα Κα",
            "demo": "Λα Με Νε Ξα Ολ",
            "test": "Πα Ρο Σα Τι Φα Χα",
        },
        "λι ρο μα νε τα δω",
        "νη λος ρα δα κι ρία της",
    ),
    "kana": _Script(
        "ja",
        0.09,
        {
            "train": "あさ いち うみ かぜ きた くも サク シロ ス タカ",
            "demo": "なみ にし はな ヒカ ノ ふじ",
            "test": "まる みや ゆき よし リン ワカ",
        },
        "の ら み ね",
        "や 堂 屋 園 ん の森 亭",
    ),
    "hangul": _Script(
        "ko",
        0.07,
        {"train": "가 나 다 라 마 바", "demo": "사 아 자", "test": "차 카 타 파 하"},
        "온 람 나 솔 미",
        "들 원 담 래 누리",
    ),
}

_LATIN_STYLES = ("{}", "{}", "{}", "{}", "{} & Co", "{}'s", "St. {}", "{} Bio", "Casa {}")


def split_of(name: str) -> Split | None:
    """The split whose initials a brand name starts with; None for a foreign name.

    Reads the word after a prefix such as "Casa" where there is one.
    """
    core = name.removeprefix("St. ").removeprefix("Casa ")
    for script in _SCRIPTS.values():
        for split in SPLITS:
            if core[:1] in {start[0] for start in script.starts[split].split()}:
                return split
    return None


def make_brand(rng: np.random.Generator, split: Split) -> Brand:
    """Invent a brand of a split; the same generator state gives the same brand."""
    weights = np.array([script.weight for script in _SCRIPTS.values()])
    script_name = str(rng.choice(list(_SCRIPTS), p=weights / weights.sum()))
    script = _SCRIPTS[script_name]
    parts = [str(rng.choice(script.starts[split].split()))]
    if rng.random() < 0.6:
        parts.append(str(rng.choice(script.middles.split())))
    parts.append(str(rng.choice(script.ends.split())))
    name = "".join(parts)
    locale = script.locale
    if script_name == "latin":
        name = str(rng.choice(_LATIN_STYLES)).format(name)
        locale = str(rng.choice(["en", "en", "de", "fr"]))
    return Brand(name, script_name, locale, int(rng.integers(2**62)))
