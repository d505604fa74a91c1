"""A Redis (or Valkey) server that keeps worlds: one script that commits, and what goes wrong with a server.

All keys of a world are in one hash slot, `mockveo:{@NAME}:...`:

- `meta`: its version, which grows with each commit that changes state; its tip, the commit that made the version; its
  count of exchanges, and the number from which on they are kept;
- `state`: its entries; `log`: of the latest versions, the latest first, the commit and the keys that it changed;
- `journal`: its latest exchanges by their numbers; `done:WORKER`: the last commit of a process, so that one whose
  answer was lost is not made twice; `turn`: the process that others let go first, as it was too late several times.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mockveo.errors import SettingsError, StoreError
from mockveo.settings import without_password
from mockveo.simulator.stores.changes import Entries
from mockveo.simulator.stores.store import StoreObserver

#: How long a world without a call is kept. Arbitrary: a week's holiday.
WORLD_LIFE_S: Final = 7 * 24 * 3600
#: Entries of a world that are read at once. Arbitrary: some milliseconds of the server.
ENTRIES_AT_ONCE: Final = 10_000
#: Times that a world may be replaced while it is read. Arbitrary.
MAX_READS: Final = 10
#: Versions whose changes are known; a process that is further behind reads the world anew. Arbitrary.
LOG_LENGTH: Final = 1000
#: How long a connection and a command may take. Arbitrary: far longer than a busy server on the same network needs.
CONNECT_TIMEOUT_S: Final = 1.0
COMMAND_TIMEOUT_S: Final = 2.0
#: How long requests fail at once after a failure, so that they do not queue up for a server that is away. Arbitrary.
PAUSE_S: Final = 0.2
#: How long the last commit of a process is remembered; it is repeated at once or never.
DONE_LIFE_S: Final = 60
#: How long others wait for a process that has the turn and may have been killed. Arbitrary: far longer than it takes.
TURN_MS: Final = 200

#: The set of the names of all worlds, and the keys of each.
WORLDS: Final = "mockveo:worlds"
WORLD_KEYS: Final = ("meta", "state", "log", "journal")
#: What commits a change, all at once.
COMMIT: Final = Path(__file__).with_name("commit.lua")


class StoredWorld(NamedTuple):
    """A world as it is read at once."""

    version: int
    tip: str
    entries: list[tuple[str, bytes | None]]


class StoredJournal(NamedTuple):
    """A journal as it is read: the numbers of the first and the last exchange, and exchanges with their numbers."""

    first: int
    last: int
    exchanges: list[tuple[int, bytes]]


class WorldCommit(NamedTuple):
    """What one process wants to change in a world."""

    tip: str
    version: int
    entries: Entries
    exchanges: Sequence[bytes]
    amended: Sequence[tuple[int, bytes]] = ()
    max_exchanges: int = 1
    is_fresh: bool = False
    clears_journal: bool = False
    #: Whether others have to wait for the next commit of this process if this one is too late.
    claims_turn: bool = False


class CommitReply(NamedTuple):
    """The outcome of a commit.

    `ok`, `stale` (others were first, and changed `entries`), `busy` (it is the turn of another process) or `replaced`
    (the world has to be read anew).
    """

    outcome: str
    version: int = 0
    tip: str = ""
    last_exchange: int = 0
    entries: list[tuple[str, bytes | None]] = []  # noqa: RUF012 - never changed


class RedisServer:
    """A connection to the server. Raises SettingsError if the URL cannot be used, StoreError if the server fails."""

    def __init__(self, url: str) -> None:
        self.url = without_password(url)
        # Any, because redis-py types each reply as all that any command may reply.
        self._client: Any = _client(url)
        self._commit = self._client.register_script(COMMIT.read_text())
        self._worker = uuid4().hex
        self._numbers = iter(range(1, 2**62))
        self._lock = threading.Lock()
        self._down_until = 0.0
        #: Why the last command failed, or None.
        self.problem: str | None = None
        self.observer: StoreObserver | None = None

    def check(self) -> None:
        """Raise SettingsError unless the server can be used."""
        try:
            self.ping()
        except StoreError as error:
            raise SettingsError(f"--store is {self.url}: {error}; expected a Redis that can be reached") from None

    def ping(self) -> None:
        """Raise StoreError unless the server answers."""
        with self._explained():
            self._client.ping()

    def names(self) -> list[str]:
        """Return the names of the worlds; those that the server has forgotten are no more among them."""
        with self._explained():
            names = sorted(self._client.smembers(WORLDS))
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.exists(_key(name.decode(), "meta"))
            exist = pipeline.execute()
            gone = {name for name, exists in zip(names, exist, strict=True) if not exists}
            if gone:
                self._client.srem(WORLDS, *gone)
        return [name.decode() for name in names if name not in gone]

    def remove(self, worlds: Collection[str]) -> None:
        """Remove worlds."""
        with self._explained():
            pipeline = self._client.pipeline(transaction=False)
            for world in worlds:
                pipeline.delete(*(_key(world, part) for part in WORLD_KEYS))
                pipeline.srem(WORLDS, world)
            pipeline.execute()

    def entry(self, world: str, key: str) -> bytes | None:
        """Return an entry of a world, or None."""
        with self._explained():
            value: bytes | None = self._client.hget(_key(world, "state"), key)
            return value

    def read(self, world: str) -> StoredWorld:
        """Return a world; version 0 if the server has none of that name.

        It is read in pieces, as a large one would keep the server from all others. Entries may be newer than the
        version: the first commit brings those that have changed since then, once more.
        """
        meta, state, log = (_key(world, part) for part in ("meta", "state", "log"))
        with self._explained():
            for _ in range(MAX_READS):
                version, tip = self._client.hmget(meta, "version", "tip")
                entries = dict(self._client.hscan_iter(state, count=ENTRIES_AT_ONCE))
                present, changes = self._client.hget(meta, "version"), self._client.llen(log)
                # A world that was replaced meanwhile has a log of its own, which begins with it.
                if version is None or changes > int(present or 0) - int(version):
                    decoded = [(key.decode(), value) for key, value in entries.items()]
                    return StoredWorld(int(version or 0), (tip or b"").decode(), decoded)
        raise StoreError(f"the world {world!r} was replaced {MAX_READS} times while it was read; try again")

    def exchanges(self, world: str, since: int) -> StoredJournal:
        """Return the journal of a world, with the exchanges after a number."""
        with self._explained():
            first, count = self._client.hmget(_key(world, "meta"), "first", "count")
            first, last = int(first or 1), int(count or 0)
            numbers = list(range(max(since + 1, first), last + 1))
            values = self._client.hmget(_key(world, "journal"), numbers) if numbers else []
        kept = [(number, value) for number, value in zip(numbers, values, strict=True) if value is not None]
        return StoredJournal(first, last, kept)

    def commit(self, world: str, change: WorldCommit) -> CommitReply:
        """Commit a change if the world is as the process knows it."""
        with self._lock:
            commit = f"{self._worker}:{next(self._numbers)}"
        put = [(key, value) for key, value in change.entries.items() if value is not None]
        removed = [key for key, value in change.entries.items() if value is None]
        arguments: list[Any] = [
            *(change.tip, change.version, commit, int(change.is_fresh), WORLD_LIFE_S, LOG_LENGTH),
            *(change.max_exchanges, int(change.clears_journal), DONE_LIFE_S, TURN_MS if change.claims_turn else 0),
            *(len(put), *(part for pair in put for part in pair)),
            *(len(removed), *removed),
            *(len(change.exchanges), *change.exchanges),
            *(len(change.amended), *(part for pair in change.amended for part in pair)),
        ]
        keys = [_key(world, part) for part in (*WORLD_KEYS, f"done:{self._worker}", "turn")]
        with self._explained(), self._observed():
            reply = self._sent(keys, arguments)
            if change.is_fresh or not change.version:
                self._client.sadd(WORLDS, world)
        outcome = reply[0].decode()
        if outcome == "stale":
            version, tip, changed = reply[1:]
            pairs = list(zip([key.decode() for key in changed[::2]], changed[1::2], strict=True))
            return CommitReply(outcome, version, tip.decode(), entries=pairs)
        if outcome == "ok":
            version, count, tip = reply[1:]
            return CommitReply(outcome, version, tip.decode(), count)
        return CommitReply(outcome)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _sent(self, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Send a commit, once more if the connection was lost: the server knows one that it has made already."""
        try:
            return self._commit(keys=keys, args=arguments)
        except (redis.ConnectionError, redis.TimeoutError):
            # The other connections of the pool were lost with the server too.
            self._client.connection_pool.disconnect(inuse_connections=False)
            return self._commit(keys=keys, args=arguments)

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """Report how long a commit takes, and whether it fails."""
        begun, failed = time.perf_counter(), True
        try:
            yield
            failed = False
        finally:
            if self.observer is not None:
                self.observer(time.perf_counter() - begun, failed=failed)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of Redis into one that says what is wrong with the server."""
        if self.problem is not None and time.monotonic() < self._down_until:
            raise StoreError(self.problem)
        try:
            yield
        except (redis.RedisError, OSError) as error:
            self.problem = (
                f"the store {self.url} {_reason(error)}; nothing was acknowledged, and each request tries again"
            )
            self._down_until = time.monotonic() + PAUSE_S
            raise StoreError(self.problem) from None
        self.problem = None


def _client(url: str) -> redis.Redis:
    environment = {name: os.environ.get(f"REDIS_{name.upper()}") for name in ("username", "password")}
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # as connecting will
        credentials = {name: value for name, value in environment.items() if value and not parts.password}
        return redis.Redis.from_url(
            url,
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **credentials,
        )
    except (ValueError, TypeError) as error:
        # What cannot be read as a host and a port may be a part of a password.
        is_option = "connection URL" in str(error)
        problem = str(error) if is_option else "its host and port cannot be read; / ? # [ ] in a password are %2F etc."
        raise SettingsError(
            f"--store is {without_password(url)}: {problem}; expected e.g. --store redis://localhost:6379/0"
        ) from None


def _key(world: str, part: str) -> str:
    # With a character before the name, since an empty tag would not choose the slot.
    return f"mockveo:{{@{world}}}:{part}"


#: What errors of redis-py mean, the special ones first.
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis.ReadOnlyError, "takes no writes: it is a replica, or is failing over"),
    (redis.OutOfMemoryError, "is out of memory (maxmemory)"),
    (redis.BusyLoadingError, "is loading its data"),
    # A MovedError is one too.
    (redis.exceptions.AskError, "is one of several nodes of a Redis Cluster, which is not supported"),
    (redis.exceptions.ClusterDownError, "is a node of a Redis Cluster, which is not supported, and has no data"),
    (redis.AuthenticationError, "refuses the user or the password: {}"),
    (redis.TimeoutError, f"does not answer within {COMMAND_TIMEOUT_S:g} s"),
    (redis.ConnectionError, "cannot be reached: {}"),
    (OSError, "cannot be reached: {}"),
)


def _reason(error: Exception) -> str:
    # Without where in a script it happened.
    text = str(error).partition(" script: ")[0].rstrip(".")
    # A script passes an error on as text.
    if "OOM" in text:
        return "is out of memory (maxmemory)"
    if "READONLY" in text:
        return "takes no writes: it is a replica, or is failing over"
    if "unknown command" in text:
        return f"is no Redis that keeps data, e.g. a Sentinel, which is not supported: {text}"
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "refuses the change: {}")
    return reason.format(text)
