"""The store in a Redis: worlds that several processes, also of several machines, serve at once.

Each process has the state in memory, and sends what decisions changed as one commit that holds only if the state is the
one that they saw. If another process was first, the commit brings back what that changed, and they are made again.
Decisions that wait while a commit is under way share the next one, so an exchange takes one round trip, or two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from mockveo._version import __version__
from mockveo.errors import ScenarioError, StoreError
from mockveo.settings import Settings
from mockveo.simulator.stores.changes import StampedEntry
from mockveo.simulator.stores.lasting import LastingParts
from mockveo.simulator.stores.memory import Bounds
from mockveo.simulator.stores.records import exchange_from_bytes, exchange_to_bytes
from mockveo.simulator.stores.redis_server import CommitReply, RedisServer, StoredJournal, WorldCommit
from mockveo.simulator.stores.store import Plans, StoreObserver, WorldReplacedError
from mockveo.text import brief
from mockveo.traffic.journal import Feed, Journal
from mockveo.traffic.record import ExchangeRecord

#: How long decisions are made again before their exchanges get a 503. Arbitrary: clients wait longer than that.
PATIENCE_S: Final = 10.0
#: Times that others may be first before they have to wait. Arbitrary: few, since the process is perhaps a slow one.
MAX_CONFLICTS: Final = 3
#: Pause before a commit is sent again that had to wait for another process.
TURN_PAUSE_S: Final = 0.002
#: Commits that are under way at once, of as many worlds. Arbitrary.
MAX_COMMITS: Final = 4
_T = TypeVar("_T")


class _Waiting(NamedTuple):
    """A decision that waits for its turn, and what takes its result."""

    decision: Callable[[], Any]
    result: asyncio.Future[Any]


class SharedJournal(Journal):
    """The journal as this process has last seen it. Exchanges get their numbers when they are committed."""

    def __init__(self, limit: int, feed: Feed | None, world: str, bounds: Bounds | None) -> None:
        super().__init__(limit, None, world, bounds.journals if bounds else None)
        self._log = feed
        self.new: list[ExchangeRecord] = []
        self.amended: list[ExchangeRecord] = []
        self.is_cleared = False

    def add(self, exchange: ExchangeRecord) -> None:
        """Have an exchange committed."""
        exchange.world = self._world
        self.new.append(exchange)

    def amend(self, exchange: ExchangeRecord) -> None:
        """Have an exchange committed as it is now."""
        self.amended.append(exchange)

    def clear(self) -> None:
        """Have all exchanges forgotten."""
        self.is_cleared = True

    def fill(self, exchanges: Any, count: int) -> None:
        """Have exchanges committed; their numbers begin anew."""
        del count
        self.new += exchanges

    def revert(self) -> None:
        """Forget what was not committed."""
        self.new, self.is_cleared = [], False

    def committed(self, exchanges: list[ExchangeRecord], count: int) -> None:
        """Number the exchanges of a commit, and log them."""
        for number, exchange in enumerate(exchanges, count - len(exchanges) + 1):
            exchange.number = number
            if self._log is not None:
                self._log.add(exchange)

    def take_in(self, stored: StoredJournal) -> None:
        """Add exchanges that were read, and drop those before the first that is kept."""
        while self._exchanges and self._exchanges[0].number < stored.first:
            self.give_way(1)
        for number, value in stored.exchanges:
            if number > self.count:
                self.count = number - 1
                super().add(exchange_from_bytes(value))
        self.count = max(self.count, stored.last)


class SharedStore(LastingParts):
    """All state of one world, in memory and in a Redis."""

    is_fleeting = False
    repeats_decisions = True

    def __init__(
        self, stores: SharedStores, world: str, settings: Settings, *, fresh: bool, bounds: Bounds | None
    ) -> None:
        super().__init__(max_jobs=settings.max_jobs, max_bytes=settings.max_image_bytes, bounds=bounds)
        self._server, self._executor, self._world = stores.server, stores.executor, world
        self._max_exchanges = settings.max_exchanges
        self.journal = SharedJournal(settings.max_exchanges, stores.feed, world, bounds)
        self._version, self._tip, self._is_fresh = 0, "", fresh
        if not fresh:
            stored = self._server.read(world)
            self._version, self._tip = stored.version, stored.tip
            with self._reading():
                self.apply(stored.entries)
        self.is_new = not self._version
        self.changes.undo = {}
        self._queue: list[_Waiting] = []
        self._is_busy = False
        #: Amended exchanges of the commit that is under way.
        self._amended = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def read_jobs(self, plans: Plans) -> None:
        """Read the jobs, whose plans `plans` returns."""
        with self._reading():
            self.jobs.use(plans)

    async def transact(self, decision: Callable[[], _T]) -> _T:
        """Return what a decision returns, once its changes are committed.

        Raises StoreError, or WorldReplacedError if the world has to be read anew.
        """
        self._loop = asyncio.get_running_loop()
        waiting = _Waiting(decision, self._loop.create_future())
        self._queue.append(waiting)
        if not self._is_busy:
            self._is_busy = True
            # Held by the loop until it ends, as it waits for the executor most of the time.
            self._task = self._loop.create_task(self._run())
        result: _T = await waiting.result
        return result

    def change(self, decision: Callable[[], _T]) -> _T:
        """Do the same and wait, in another thread than that of `transact`."""
        loop = self._loop
        if loop is None or not loop.is_running():
            return asyncio.run(self.transact(decision))
        return asyncio.run_coroutine_threadsafe(self.transact(decision), loop).result()

    async def refresh(self) -> None:
        """Bring the state and the journal to what the server has now. Raises as `transact`."""
        await self.transact(lambda: None)
        loop = asyncio.get_running_loop()
        server, count = self._server, self.journal.count
        self.journal.take_in(await loop.run_in_executor(self._executor, server.exchanges, self._world, count))

    def submit(self) -> None:
        """Commit what a new world begins with, or what was changed before it served; blocks."""
        has_changes = not self._version or self.changes.entries or self.journal.new
        if has_changes and not self._end(self._server.commit(self._world, self._commit())):
            raise WorldReplacedError

    async def _run(self) -> None:
        """Commit what waits, batch by batch."""
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                await self._commit_batch(batch)
        finally:
            self._is_busy = False

    async def _commit_batch(self, batch: list[_Waiting]) -> None:
        try:
            results = await self._committed(batch)
        except Exception as error:  # noqa: BLE001 - raised again where each decision is awaited
            self._revert()
            results = [error] * len(batch)
        for waiting, outcome in zip(batch, results, strict=True):
            if waiting.result.done():  # its client has left
                continue
            if isinstance(outcome, Exception):
                waiting.result.set_exception(outcome)
            else:
                waiting.result.set_result(outcome)

    async def _committed(self, batch: list[_Waiting]) -> list[Any]:
        """Return what decisions return or raise, once their changes are committed together."""
        loop = asyncio.get_running_loop()
        deadline, conflicts = loop.time() + PATIENCE_S, 0
        while loop.time() < deadline:
            results = [_decided(waiting.decision) for waiting in batch]
            commit = self._commit(claims_turn=conflicts >= MAX_CONFLICTS)
            reply = await loop.run_in_executor(self._executor, self._server.commit, self._world, commit)
            if self._end(reply):
                return results
            conflicts += 1
            if reply.outcome == "busy":
                await asyncio.sleep(TURN_PAUSE_S)
        raise StoreError(f"the world was changed by others for {PATIENCE_S:g} s; try again")

    def _commit(self, *, claims_turn: bool = False) -> WorldCommit:
        journal = self.journal
        self._amended = len(journal.amended)
        return WorldCommit(
            self._tip,
            self._version,
            self.changes.entries,
            [exchange_to_bytes(exchange) for exchange in journal.new],
            [(exchange.number, exchange_to_bytes(exchange)) for exchange in journal.amended],
            self._max_exchanges,
            self._is_fresh,
            journal.is_cleared,
            claims_turn,
        )

    def _end(self, reply: CommitReply) -> bool:
        """Take the outcome of a commit; return whether it was made. Raises WorldReplacedError."""
        if reply.outcome == "replaced":
            raise WorldReplacedError
        if reply.outcome == "busy":
            self._revert()
            return False
        if reply.outcome == "stale":
            self._revert()
            with self._reading():
                self.apply(reply.entries)
            self._version, self._tip = reply.version, reply.tip
            return False
        self._version, self._tip, self._is_fresh = reply.version, reply.tip, False
        self.changes.take()
        self.jobs.settle()
        new, self.journal.new, self.journal.is_cleared = self.journal.new, [], False
        # Others may have been amended meanwhile.
        del self.journal.amended[: self._amended]
        self.journal.committed(new, reply.last_exchange)
        return True

    def _part(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        with self._reading():
            return super()._part(kind, name, make)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise StoreError if what others have written cannot be read."""
        try:
            yield
        except (ValueError, TypeError, LookupError, ScenarioError) as error:
            raise StoreError(
                f"the world {self._world!r} in {self._server.url} cannot be read: {brief(str(error))}; expected what"
                f" mockveo {__version__} writes: empty the database, or use another one, e.g. --store"
                " redis://localhost:6379/1"
            ) from None

    def _revert(self) -> None:
        self.changes.revert()
        self.journal.revert()


class SharedStores:
    """The worlds in a Redis. Raises SettingsError if it cannot be used."""

    is_shared = True

    def __init__(self, url: str, feed: Feed | None, bounds: Bounds) -> None:
        self.server = RedisServer(url)
        self.server.check()
        self.executor = ThreadPoolExecutor(MAX_COMMITS, thread_name_prefix="mockveo-store")
        self.feed = feed
        self._bounds = bounds

    def names(self) -> list[str]:
        """Return nothing: a world is read when it is first called."""
        return []

    def all_names(self) -> list[str]:
        """Return the names of all worlds on the server."""
        return self.server.names()

    def launch(self, name: str) -> Mapping[str, Any] | None:
        """Return with what a world was made; None if the server does not have it."""
        value = self.server.entry(name, "cell/launch")
        return orjson.loads(StampedEntry.parse("cell/launch", value).value or b"null") if value else None

    def open(self, name: str, settings: Settings, *, fresh: bool) -> SharedStore:
        """Return the store of a world, an empty one if `fresh`."""
        return SharedStore(self, name, settings, fresh=fresh, bounds=self._bounds)

    def forget(self, name: str) -> None:
        """Do nothing: other processes may have the world, and the server forgets it in time."""

    def remove(self, names: Collection[str]) -> None:
        """Remove worlds that no other process needs any more. Raises StoreError."""
        self.server.remove(names)

    def watch(self, observer: StoreObserver) -> None:
        """Have each commit reported."""
        self.server.observer = observer

    def state(self) -> dict[str, Any]:
        """Return the kind of the store, and what is wrong with the server, if anything."""
        with suppress(StoreError):
            self.server.ping()
        return {"kind": "redis", "ok": self.server.problem is None, "problem": self.server.problem}

    def close(self) -> None:
        """Let go of the server."""
        self.executor.shutdown()
        self.server.close()


def _decided(decision: Callable[[], Any]) -> Any:
    """Return what a decision returns, or the exception that it raises."""
    try:
        return decision()
    except Exception as error:  # noqa: BLE001 - raised again where the decision is awaited
        return error
