"""Loading other models or another gallery beside the loop, so that no frame waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge.bundle import Bundle
from edge.config import Config
from edge.daemon.pair import is_switched, wanted_pair
from edge.daemon.runtime import Runtime, build_engines, may_build, open_runtime
from edge.errors import EdgeError

log = logging.getLogger("edge.daemon")


@dataclass(slots=True)
class Loaded:
    """What a loader found: a runtime to swap in, none where all is as before, or a problem."""

    runtime: Runtime | None = None
    problem: str = ""
    config: Config | None = None
    asked: bool = False


@dataclass(slots=True)
class Loader:
    """One thread at a time that loads; ``poll`` gives its result once.

    A failure leaves everything as it is: a device with yesterday's models beats one without any.
    """

    _thread: threading.Thread | None = None
    _result: Loaded | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def busy(self) -> bool:
        """Whether a result is to come."""
        return self._thread is not None

    def reload(self, config: Config, now: Runtime, before: Config) -> None:
        """Load what the new configuration or the files behind it changed."""
        self._start(lambda: _reloaded(config, now, before), config, asked=True)

    def refresh(self, config: Config, now: Runtime) -> None:
        """Look whether products were enrolled since, or site.json names another pair."""
        self._start(lambda: _refreshed(config, now), None, asked=False)

    def poll(self) -> Loaded | None:
        """The result, when the thread is done."""
        with self._lock:
            result, self._result = self._result, None
        if result is not None and self._thread is not None:
            self._thread.join()
            self._thread = None
        return result

    def _start(
        self, load: Callable[[], Runtime | None], config: Config | None, *, asked: bool
    ) -> None:
        def work() -> None:
            try:
                loaded = Loaded(load(), config=config, asked=asked)
            except EdgeError as error:
                loaded = Loaded(problem=str(error), config=config, asked=asked)
            except Exception as error:
                log.exception("loading broke off")
                loaded = Loaded(problem=repr(error), config=config, asked=asked)
            with self._lock:
                self._result = loaded

        self._thread = threading.Thread(target=work, name="loader", daemon=True)
        self._thread.start()


def _refreshed(config: Config, now: Runtime) -> Runtime | None:
    if is_switched(config.models, now.pair):
        return _reloaded(config, now, config)
    return now.refreshed()


def _reloaded(config: Config, now: Runtime, before: Config) -> Runtime | None:
    wanted, had = config.models, before.models
    pair = wanted_pair(wanted)
    bundle = Bundle.load(pair.bundle) if pair.bundle is not None else Bundle.default()
    same_models = (
        bundle.bundle_id == now.models.bundle.bundle_id
        and wanted.provider == had.provider
        and wanted.threads == had.threads
    )
    if same_models and pair.gallery == now.pair.gallery:
        fresh = now.refreshed()
        return None if fresh is None and pair == now.pair else replace(fresh or now, pair=pair)
    if same_models:
        return replace(Runtime.open(now.models, pair.gallery), pair=pair)
    if may_build(config):
        build_engines(config)
    return open_runtime(config)
