"""Product names by locale: BCP 47 tags in their usual spelling, and look-up with fall-back."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def best_name(names: Mapping[str, str], locale: str) -> str | None:
    """The name for ``locale`` or the nearest there is; None when there is no name.

    Order, after the look-up of RFC 4647 section 3.4: the tag, the tag shortened from its end, any
    other tag of its language, the same for English, any tag (alphabetical).
    """
    for tag in (canonical_locale(locale), "en"):
        parts = tag.split("-")
        for end in range(len(parts), 0, -1):
            name = names.get("-".join(parts[:end]))
            if name is not None:
                return name
        for other in sorted(names):
            if other.split("-")[0] == parts[0]:
                return names[other]
    return names[min(names)] if names else None
