"""The kinds of stores, and which of them a server's worlds have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockveo.errors import SettingsError
from mockveo.settings import REDIS_URL, Settings
from mockveo.simulator.stores.memory import Bounds, MemoryStore
from mockveo.simulator.stores.store import StoreObserver, Stores
from mockveo.traffic.bounds import SharedBound
from mockveo.traffic.journal import KEPT_BYTES, Feed, Journal


def memory_store(settings: Settings, journal: Journal, bounds: Bounds | None = None) -> MemoryStore:
    """Return an empty store in memory within the bounds of the settings, and those of the server."""
    return MemoryStore(journal, max_jobs=settings.max_jobs, max_bytes=settings.max_image_bytes, bounds=bounds)


class MemoryStores:
    """Stores in memory, which last as long as the server."""

    is_shared = False

    def __init__(self, feed: Feed | None, bounds: Bounds) -> None:
        self._feed = feed
        self._bounds = bounds

    def names(self) -> list[str]:
        """Return nothing: there are no worlds from before."""
        return []

    def all_names(self) -> list[str]:
        """Return nothing: there are no worlds of others."""
        return []

    def launch(self, name: str) -> Mapping[str, Any] | None:
        """Return None: there are no worlds from before."""
        del name
        return None

    def open(self, name: str, settings: Settings, *, fresh: bool) -> MemoryStore:
        """Return an empty store."""
        del fresh
        journal = Journal(settings.max_exchanges, self._feed, name, self._bounds.journals)
        return memory_store(settings, journal, self._bounds)

    def forget(self, name: str) -> None:
        """Do nothing: a world goes with its store."""

    def watch(self, observer: StoreObserver) -> None:
        """Do nothing: memory does not write."""

    def state(self) -> dict[str, Any]:
        """Return the kind of the store."""
        return {"kind": "memory", "ok": True, "problem": None}

    def close(self) -> None:
        """Do nothing: memory needs no farewell."""


def open_stores(settings: Settings, feed: Feed | None) -> Stores:
    """Return the stores that the settings choose. Raises SettingsError if they cannot be used."""
    bounds = Bounds(SharedBound(settings.max_jobs), SharedBound(settings.max_image_bytes), SharedBound(KEPT_BYTES))
    if settings.store is None:
        return MemoryStores(feed, bounds)
    # Imported lazily so that servers that keep everything in memory start fast.
    if REDIS_URL.match(settings.store):
        return _shared_stores(settings.store, feed, bounds)
    from mockveo.simulator.stores.sqlite import FileStores

    return FileStores(settings.store, feed, bounds, move_corrupt=settings.store_move_corrupt)


def _shared_stores(url: str, feed: Feed | None, bounds: Bounds) -> Stores:
    try:
        from mockveo.simulator.stores.shared import SharedStores
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise SettingsError(
            "--store is a Redis, which needs the redis package; install it with: pip install 'mockveo[redis]'"
        ) from None
    return SharedStores(url, feed, bounds)
