"""Which bundle and gallery the configuration means: by keys of their own, or by a site.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.daemon.settings import ModelSettings
from edge.errors import BundleError, ConfigError
from edge.site import read_site, site_text


@dataclass(frozen=True, slots=True)
class Pair:
    """A bundle (None: the embedded default) and a gallery (None: all is unknown).

    ``said`` is the text of the site.json that named them, empty without one.
    """

    bundle: Path | None = None
    gallery: Path | None = None
    said: bytes = b""


def wanted_pair(settings: ModelSettings) -> Pair:
    """What to load now.

    Raises:
        BundleError, GalleryError: site.json is missing or damaged, or names a bundle or gallery that is
            not what it was. No ConfigError: unlike a wrong configuration, a file may come back.
    """
    if settings.site is None:
        return Pair(settings.bundle, settings.gallery)
    try:
        # the text first: a switch in between is then seen at the next look
        said = site_text(settings.site)
        site = read_site(settings.site)
    except ConfigError as error:
        raise BundleError(str(error)) from error
    return Pair(site.bundle, site.gallery, said)


def is_switched(settings: ModelSettings, pair: Pair) -> bool:
    """Whether site.json says something else than when ``pair`` was read.

    Raises:
        ConfigError: it cannot be read.
    """
    return settings.site is not None and site_text(settings.site) != pair.said
