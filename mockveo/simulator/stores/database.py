"""An SQLite file, written at the end of a turn of the event loop or soon after by a thread.

The answer to an exchange that changed something waits for the write, which all exchanges of a turn of the loop share.
Exchanges that only add to the journal do not wait, and are written soon after. What may wait for the disk, moving the
write-ahead log into the file, is for the thread alone, so that it never holds the loop. The file is in WAL mode and
synchronous NORMAL: a process that is killed loses nothing that was acknowledged, a machine that loses power may lose
the last moments, and neither breaks the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from weakref import WeakMethod

from mockveo.errors import SettingsError, StoreError
from mockveo.simulator.stores.changes import Entries
from mockveo.simulator.stores.records import exchange_from_bytes, exchange_to_bytes
from mockveo.simulator.stores.store import StoreObserver
from mockveo.traffic.record import ExchangeRecord

#: Marks the file as ours in its header. The letters "mkvo".
APPLICATION_ID: Final = int.from_bytes(b"mkvo")
#: The steps from an empty file to the present schema. A step is never changed, only followed by another.
MIGRATIONS: Final = (
    """
    CREATE TABLE entries (world TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (world, key))
        WITHOUT ROWID;
    CREATE TABLE journal (world TEXT NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (world, number)) WITHOUT ROWID;
    """,
    # A row has the exchanges from a number to another, a line each; an amended one is a row of its own, and counts.
    """
    ALTER TABLE journal RENAME TO journal_1;
    CREATE TABLE journal (world TEXT NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (world, last, first)) WITHOUT ROWID;
    INSERT INTO journal SELECT world, number, number, value FROM journal_1;
    DROP TABLE journal_1;
    """,
)
#: How long an addition to the journal may wait for a write that it shares. Arbitrary: a moment for a person.
JOURNAL_DELAY_S: Final = 0.2
#: How long a second process waits for the first to let go of the file, e.g. in a restart. Arbitrary.
LOCK_TIMEOUT_S: Final = 2.0
#: Rows in the write-ahead log before it is moved into the file. Arbitrary: some megabytes.
CHECKPOINT_ROWS: Final = 2000


class CorruptFileError(SettingsError):
    """The file is damaged, or was never one of SQLite."""


@dataclass(slots=True)
class WorldChanges:
    """What has to be written of one world."""

    entries: Entries = field(default_factory=dict)
    exchanges: list[ExchangeRecord] = field(default_factory=list)
    #: Exchanges that were written before, as they are now.
    amended: list[ExchangeRecord] = field(default_factory=list)
    #: Whether everything written before is to go.
    is_fresh: bool = False
    #: The number of the first exchange that is kept.
    first_exchange: int = 0

    def add(self, other: WorldChanges) -> None:
        """Add later changes."""
        if other.is_fresh:
            self.entries, self.exchanges, self.amended, self.is_fresh = {}, [], [], True
        self.entries.update(other.entries)
        self.exchanges += other.exchanges
        self.amended += other.amended
        self.first_exchange = max(self.first_exchange, other.first_exchange)


class Database:
    """The file. Raises SettingsError, which says why a file cannot be used; it is never emptied."""

    def __init__(self, path: Path, *, move_corrupt: bool = False) -> None:
        self.path = path
        #: What the last write failed with, or None.
        self.problem: str | None = None
        self.observer: StoreObserver | None = None
        try:
            self._connection = self._opened()
        except CorruptFileError as error:
            if not move_corrupt:
                raise SettingsError(f"{error}; to move it aside and begin anew, add --store-move-corrupt") from None
            _move_aside(path)
            self._connection = self._opened()
        self._waiting: dict[str, WorldChanges] = {}
        #: What submits exchanges that may wait, by world.
        self._late: dict[str, WeakMethod[Callable[[], None]]] = {}
        #: Whether an answer has to wait for what waits.
        self._is_urgent = False
        self._waiters: list[Callable[[StoreError | None], None]] = []
        self._is_turn_planned = False
        #: Rows that were written since the log was moved into the file.
        self._rows = 0
        #: The number of the first exchange that is kept, by world, of what was written since it was last tidied.
        self._first_exchanges: dict[str, int] = {}
        #: Held while something is written.
        self._writing = threading.Lock()
        self._condition = threading.Condition()
        #: Whether the thread has to be woken for what waits, and whether it is to write without delay.
        self._is_asleep = self._is_hurried = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="mockveo-store", daemon=True)
        self._thread.start()

    def _opened(self) -> sqlite3.Connection:
        with self._explained():
            if not self.path.exists():
                # The file holds the keys of clients.
                self.path.touch(mode=0o600)
            connection = sqlite3.connect(
                self.path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(connection, self.path)
            except BaseException:
                connection.close()
                raise
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of SQLite or of the file system into one that says what to do."""
        try:
            yield
        except OSError as error:
            raise SettingsError(
                f"--store is {self.path}, which cannot be opened: {error.strerror}; expected a path that can be"
                " written, e.g. --store mockveo.db"
            ) from None
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise SettingsError(
                    f"--store is {self.path}, which another process has open; expected a file of its own for each"
                    " server, e.g. --store other.db; several workers share a Redis, e.g. --store redis://localhost"
                ) from None
            raise SettingsError(
                f"--store is {self.path}, which cannot be used: {error}; expected a file that can be written,"
                " e.g. --store mockveo.db"
            ) from None
        except sqlite3.DatabaseError as error:
            raise CorruptFileError(
                f"--store is {self.path}, which is no SQLite file or a broken one: {error}"
            ) from None

    def names(self) -> list[str]:
        """Return the names of the worlds in the file."""
        with self._explained():
            return [name for (name,) in self._connection.execute("SELECT DISTINCT world FROM entries ORDER BY world")]

    def read(self, world: str, key: str | None = None) -> list[tuple[str, bytes]]:
        """Return the entries of a world, all or the one with a key."""
        query, values = "SELECT key, value FROM entries WHERE world = ?", [world]
        if key is not None:
            query, values = f"{query} AND key = ?", [world, key]
        with self._explained():
            return self._connection.execute(query, values).fetchall()

    def exchanges(self, world: str, after: int = 0) -> list[ExchangeRecord]:
        """Return the exchanges of a world after a number, the oldest first."""
        # An amended exchange comes after the row that has it as it was.
        query = "SELECT value FROM journal WHERE world = ? AND last > ? ORDER BY first = last, last"
        with self._explained():
            rows = self._connection.execute(query, (world, after)).fetchall()
        exchanges = [exchange_from_bytes(line) for (value,) in rows for line in value.split(b"\n")]
        by_number = {exchange.number: exchange for exchange in exchanges}
        return [by_number[number] for number in sorted(by_number) if number > after]

    def submit(self, world: str, changes: WorldChanges) -> None:
        """Have changes of a world written, together with others."""
        with self._condition:
            if self._closing:
                return
            self._waiting.setdefault(world, WorldChanges()).add(changes)
            if changes.entries or changes.is_fresh:
                self._is_urgent = True
            self._wake()

    def remind(self, world: str, submit: WeakMethod[Callable[[], None]]) -> None:
        """Have a world submit its exchanges soon, in another thread."""
        if world not in self._late:
            with self._condition:
                self._late[world] = submit
                self._wake()

    def _wake(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._condition.notify()

    def kept(self) -> asyncio.Future[None] | None:
        """Return what to await until all changes that matter are written; None if they are."""
        if not self._is_urgent:
            return None
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def resolve(error: StoreError | None) -> None:
            if threading.current_thread() is self._thread:
                with suppress(RuntimeError):  # the loop has been closed
                    loop.call_soon_threadsafe(_resolve, future, error)
            else:
                _resolve(future, error)

        with self._condition:
            self._waiters.append(resolve)
            if not self._is_turn_planned:
                self._is_turn_planned = True
                loop.call_soon(self._end_turn)
        return future

    def _end_turn(self) -> None:
        """Write what the exchanges of a turn of the loop have changed, or have the thread do it if it is at work."""
        self._is_turn_planned = False
        if self._writing.acquire(blocking=False):
            try:
                self._write_waiting()
            finally:
                self._writing.release()
        else:
            with self._condition:
                self._is_hurried = True
                self._condition.notify()

    def flush(self) -> None:
        """Wait until everything is written. Raises StoreError."""
        done: futures.Future[None] = futures.Future()
        with self._condition:
            if self._closing:
                return
            self._waiters.append(lambda error: _resolve(done, error))
            self._is_hurried = True
            self._condition.notify()
        done.result()

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()
        self._connection.close()
        self._is_urgent = False

    def _run(self) -> None:
        is_last = False
        while not is_last:
            with self._condition:
                self._is_asleep = not (self._waiting or self._late)
                self._condition.wait_for(lambda: not self._is_asleep or self._hurries())
                self._is_asleep = False
                self._condition.wait_for(self._hurries, timeout=JOURNAL_DELAY_S)
                is_last, self._is_hurried = self._closing, False
                late, self._late = self._late, {}
            for submit in filter(None, [method() for method in late.values()]):
                submit()
            with self._writing:
                self._write_waiting()
                self._tidy()

    def _hurries(self) -> bool:
        return self._is_hurried or self._closing

    def _write_waiting(self) -> None:
        """Write what waits, and answer those who wait for it."""
        with self._condition:
            batch, self._waiting = self._waiting, {}
            waiters, self._waiters = self._waiters, []
            self._is_urgent = False
        error = None
        if batch:
            begun = time.perf_counter()
            error = self._write(batch)
            if self.observer is not None:
                self.observer(time.perf_counter() - begun, failed=error is not None)
        for resolve in waiters:
            resolve(error)

    def _tidy(self) -> None:
        """Remove old exchanges, and move the write-ahead log into the file if it is long.

        A problem shows in the next write.
        """
        with suppress(sqlite3.Error):
            firsts, self._first_exchanges = self._first_exchanges, {}
            self._connection.executemany("DELETE FROM journal WHERE world = ? AND last < ?", firsts.items())
            if self._rows >= CHECKPOINT_ROWS:
                self._rows = 0
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _write(self, batch: dict[str, WorldChanges]) -> StoreError | None:
        """Write changes at once; return the error that keeps them waiting for the next time."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for world, changes in batch.items():
                _write_world(self._connection, world, changes)
                self._rows += len(changes.entries) + len(changes.exchanges)
            self._connection.execute("COMMIT")
        except sqlite3.Error as problem:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            self.problem = str(problem)
            with self._condition:
                for world, changes in self._waiting.items():
                    batch.setdefault(world, WorldChanges()).add(changes)
                self._waiting = batch
            return StoreError(f"the store {self.path} cannot be written: {problem}; nothing was acknowledged")
        self.problem = None
        self._first_exchanges.update({world: changes.first_exchange for world, changes in batch.items()})
        return None


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Lock a file, and bring it to the present schema. Raises SettingsError or sqlite3.Error."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != APPLICATION_ID:
        raise SettingsError(
            f"--store is {path}, which is the database of another program; expected a file of mockveo or a new one,"
            " e.g. --store mockveo.db"
        )
    if version > len(MIGRATIONS):
        raise SettingsError(
            f"--store is {path}, which a newer mockveo has written (schema {version}); expected schema"
            f" {len(MIGRATIONS)} or older: update mockveo, or choose another file, e.g. --store other.db"
        )
    for (problem,) in connection.execute("PRAGMA quick_check(1)"):
        if problem != "ok":
            raise sqlite3.DatabaseError(" ".join(problem.split()))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("BEGIN IMMEDIATE")
    for number in range(version, len(MIGRATIONS)):
        for statement in MIGRATIONS[number].split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _write_world(connection: sqlite3.Connection, world: str, changes: WorldChanges) -> None:
    if changes.is_fresh:
        connection.execute("DELETE FROM entries WHERE world = ?", (world,))
        connection.execute("DELETE FROM journal WHERE world = ?", (world,))
    removed = [(world, key) for key, value in changes.entries.items() if value is None]
    written = [(world, key, value) for key, value in changes.entries.items() if value is not None]
    if removed:
        connection.executemany("DELETE FROM entries WHERE world = ? AND key = ?", removed)
    if written:
        connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", written
        )
    _write_journal(connection, world, changes)


def _write_journal(connection: sqlite3.Connection, world: str, changes: WorldChanges) -> None:
    # One row, because to insert a row costs more than to make the bytes of an exchange.
    kept = [exchange for exchange in changes.exchanges if exchange.number >= changes.first_exchange]
    amended = [[exchange] for exchange in changes.amended if exchange.number >= changes.first_exchange]
    for exchanges in (kept, *amended):
        if exchanges:
            lines = b"\n".join(map(exchange_to_bytes, exchanges))
            row = (world, exchanges[-1].number, exchanges[0].number, lines)
            connection.execute("INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?)", row)


def _resolve(future: Any, error: StoreError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _move_aside(path: Path) -> None:
    """Rename a broken file, and what SQLite keeps next to it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    path.rename(aside)
