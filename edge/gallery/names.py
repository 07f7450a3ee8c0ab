"""Product names by locale: BCP 47 tags in their usual spelling, and look-up with fall-back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?")


def canonical_locale(tag: str) -> str:
    """``tag`` as language[-Script][-REGION] in its usual case (``de_at`` gives ``de-AT``).

    Raises ValueError that names the value when it is no such tag.
    """
    text = tag.replace("_", "-")
    if not _TAG.fullmatch(text):
        raise ValueError(f"{tag!r} is not a locale such as de, pt-BR or zh-Hant")
    language, *rest = text.split("-")
    return "-".join([language.lower(), *(p.title() if len(p) == 4 else p.upper() for p in rest)])


def best_name(names: Mapping[str, str], locale: str, default: str = "en") -> str | None:
    """The name for ``locale`` or the nearest there is; None when there is no name.

    Order, after the look-up of RFC 4647 section 3.4: the tag, the tag shortened from its end
    (``zh-Hant-TW``, ``zh-Hant``, ``zh``), any other tag of its language, one of the same script
    first (``zh-Hant-HK`` before ``zh-CN``), the same for ``default``, any tag (alphabetical).
    Raises ValueError when one of the two is no tag.
    """
    for tag in (canonical_locale(locale), canonical_locale(default)):
        parts = tag.split("-")
        for end in range(len(parts), 0, -1):
            name = names.get("-".join(parts[:end]))
            if name is not None:
                return name
        relatives = [other for other in names if other.split("-")[0] == parts[0]]
        if relatives:
            script = _script(parts)
            nearest = min(relatives, key=lambda other: (_script(other.split("-")) != script, other))
            return names[nearest]
    return names[min(names)] if names else None


def _script(parts: Sequence[str]) -> str:
    """The script of a tag, that of Chinese from its region where it is not written."""
    for part in parts[1:]:
        if len(part) == 4:
            return part
    if parts[0] == "zh":
        return "Hant" if parts[-1] in ("TW", "HK", "MO") else "Hans"
    return ""
