"""The store in an SQLite file, for one process: reads are from memory, and what changes is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakMethod

import orjson

from mockveo.settings import Settings
from mockveo.simulator.stores.database import Database, WorldChanges
from mockveo.simulator.stores.lasting import LastingJournal, LastingParts
from mockveo.simulator.stores.memory import Bounds
from mockveo.simulator.stores.store import Plans, StoreObserver
from mockveo.traffic.journal import Feed

_T = TypeVar("_T")


class FileStore(LastingParts):
    """All state of one world, in memory and in a file."""

    is_fleeting = repeats_decisions = False

    def __init__(
        self,
        database: Database,
        world: str,
        settings: Settings,
        *,
        feed: Feed | None,
        fresh: bool,
        bounds: Bounds | None = None,
        replace: Callable[[FileStore], None] = lambda _: None,
    ) -> None:
        super().__init__(max_jobs=settings.max_jobs, max_bytes=settings.max_image_bytes, bounds=bounds)
        self._database, self.world = database, world
        # Tests change a world in another thread than that of the server.
        self._lock = threading.RLock()
        #: Called when what the file had of the world before is to go.
        self._replace = replace
        self._is_retired = False
        # Weakly, so that a world that is replaced is gone at once.
        remind = partial(database.remind, world, WeakMethod(self.submit))
        bound = bounds.journals if bounds else None
        self.journal = LastingJournal(settings.max_exchanges, feed, world, bound, remind)
        entries = [] if fresh else database.read(world)
        self.is_new = self._is_fresh = not entries
        self.apply(entries)
        #: The number of the last exchange, for a journal that was cleared.
        self._last_number = self.cell("last_exchange", 0)
        if entries:
            last = self._last_number.value
            self.journal.fill(database.exchanges(world, last), last)
            self.journal.take()

    def read_jobs(self, plans: Plans) -> None:
        """Read the jobs, whose plans `plans` returns."""
        self.jobs.use(plans)

    async def transact(self, decision: Callable[[], _T]) -> _T:
        """Return what a decision returns, once its changes are written. Raises StoreError."""
        with self._lock:
            result = decision()
            # Exchanges alone may wait for the thread.
            if self.changes.entries or self.journal.is_cleared:
                self.submit()
        kept = self._database.kept()
        if kept is not None:
            await kept
        return result

    async def refresh(self) -> None:
        """Do nothing: no other process has the file."""

    def change(self, decision: Callable[[], _T]) -> _T:
        """Do the same in the calling thread."""
        with self._lock:
            result = decision()
            self.submit()
        self._database.flush()
        return result

    def submit(self) -> None:
        """Have what changed written."""
        with self._lock:
            if self._is_retired:
                return
            journal = self.journal
            if journal.is_cleared:
                self._last_number.value = journal.count
            if self._is_fresh:
                self._replace(self)
            new, amended = journal.take()
            if self.changes.entries or new or amended or self._is_fresh:
                first = journal.count - len(journal) + 1
                changes = WorldChanges(self.changes.take(), new, amended, self._is_fresh, first)
                self._database.submit(self.world, changes)
                self._is_fresh = False

    def retire(self) -> None:
        """Write no more: another store has the world from now on, or none."""
        with self._lock:
            self._is_retired = True


class FileStores:
    """The worlds in a file. Raises SettingsError if the file cannot be used."""

    is_shared = False

    def __init__(self, path: str, feed: Feed | None, bounds: Bounds, *, move_corrupt: bool) -> None:
        self._database = Database(Path(path), move_corrupt=move_corrupt)
        self._feed = feed
        self._bounds = bounds
        self._stores: dict[str, FileStore] = {}

    def names(self) -> list[str]:
        """Return the names of the worlds in the file."""
        return self._database.names()

    def all_names(self) -> list[str]:
        """Return nothing: the worlds of the file have been opened."""
        return []

    def launch(self, name: str) -> Mapping[str, Any] | None:
        """Return with what a world was made; None if the file does not have it."""
        entries = dict(self._database.read(name, "cell/launch"))
        return orjson.loads(entries["cell/launch"].partition(b" ")[2]) if entries else None

    def open(self, name: str, settings: Settings, *, fresh: bool) -> FileStore:
        """Return the store of a world, an empty one if `fresh`."""
        store = FileStore(
            self._database, name, settings, feed=self._feed, fresh=fresh, bounds=self._bounds, replace=self._replace
        )
        if not store.is_new:
            self._stores[name] = store
        return store

    def _replace(self, store: FileStore) -> None:
        self._retire(store.world)
        self._stores[store.world] = store

    def _retire(self, name: str) -> None:
        if name in self._stores:
            self._stores.pop(name).retire()

    def forget(self, name: str) -> None:
        """Remove all that is kept of a world."""
        self._retire(name)
        self._database.submit(name, WorldChanges(is_fresh=True))

    def watch(self, observer: StoreObserver) -> None:
        """Have each write reported."""
        self._database.observer = observer

    def state(self) -> dict[str, Any]:
        """Return the kind of the store, and what the last write failed with."""
        problem = self._database.problem
        return {"kind": "sqlite", "ok": problem is None, "problem": problem}

    def close(self) -> None:
        """Write what is not written yet, and let go of the file."""
        for store in self._stores.values():
            store.submit()
        self._database.close()
