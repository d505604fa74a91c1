"""The seam behind which a world keeps its state: jobs, exchanges, and small documents of plain data.

Every store has the same few primitives, so a store in a file or on another machine can take the place of memory.
Three rules make that possible:

- Values of cells, tables and queues, and keys, are what JSON can express. Readers unpack a value as a sequence, so a
  named tuple may come back as a list.
- Each call is atomic. No caller reads a value and writes it back; `Cell.update` and `Counters.increment` do that.
- State that can be recomputed, e.g. the plan of a scenario, stays in the caches of the caller.

What one exchange reads and writes is a decision. A store that outlives the process keeps what it changed before the
exchange is answered; one that is shared repeats it if another process was first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from mockveo.settings import Settings
from mockveo.simulator.jobs import Job, JobPlan
from mockveo.traffic.record import ExchangeRecord

_T = TypeVar("_T")
#: Returns the plan of a scenario from its key, its name and its data, which is None for a built-in one.
Plans: TypeAlias = Callable[[str, str, Any], JobPlan]


class StoreObserver(Protocol):
    """Takes note of a write."""

    def __call__(self, seconds: float, *, failed: bool) -> None:
        """Take note of a write that took so long."""


class WorldReplacedError(Exception):
    """Another process has replaced the world, so it has to be opened anew and asked again."""


class SavedPart(Protocol):
    """A cell, a table, counters or a queue, which can be saved as JSON."""

    def saved(self) -> Any:
        """Return what it holds as JSON."""

    def load(self, data: Any) -> None:
        """Replace what it holds by what was saved."""


class Cell(SavedPart, Protocol[_T]):
    """One small document, e.g. the state of a clock."""

    value: _T

    def update(self, change: Callable[[_T], _T]) -> None:
        """Replace the value with what `change` returns for it."""


class Table(SavedPart, Protocol[_T]):
    """A bounded mapping, e.g. of tickets; it forgets the oldest entries first."""

    def get(self, key: str) -> _T | None:
        """Return the value of a key, or None."""

    def put(self, key: str, value: _T) -> None:
        """Set the value of a key; one that exists keeps its place in the order."""

    def remove(self, key: str) -> None:
        """Remove a key if it exists."""

    def clear(self) -> None:
        """Remove all keys."""

    def values(self) -> list[_T]:
        """Return all values, the oldest first."""

    def __len__(self) -> int: ...


class Counters(SavedPart, Protocol):
    """A bounded set of counters that begin at zero; it forgets the least recently counted first."""

    def increment(self, *key: str) -> int:
        """Add one to a counter and return the sum."""

    def reset(self, *key: str) -> None:
        """Set a counter to zero."""

    def clear(self) -> None:
        """Set all counters to zero."""

    def __len__(self) -> int: ...


class Fifo(SavedPart, Protocol[_T]):
    """Values in the order in which they were pushed."""

    def push(self, value: _T) -> None:
        """Add a value at the end."""

    def pop(self) -> _T | None:
        """Remove and return the first value; None if the queue is empty."""

    def clear(self) -> None:
        """Remove all values."""

    def values(self) -> list[_T]:
        """Return all values, the first to be popped first."""

    def __len__(self) -> int: ...


class Jobs(Protocol):
    """The jobs of a world, by id."""

    def put(self, job: Job) -> None:
        """Add a job, or replace the job with its id; this may forget another job."""

    def get(self, job_id: str) -> Job | None:
        """Return the job with an id, or None."""

    def remove(self, job_id: str) -> None:
        """Remove a job if it exists."""

    def latest(self, count: int | None = None) -> Iterator[Job]:
        """Iterate over at most `count` jobs as they are now, the latest first."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Job]:
        """Iterate over a copy, the oldest job first."""


class StoredExchanges(Protocol):
    """The latest exchanges of a world, numbered from 1."""

    count: int

    def add(self, exchange: ExchangeRecord) -> None:
        """Append an exchange and set its number."""

    def since(self, number: int, limit: int | None = None) -> list[ExchangeRecord]:
        """Return the exchanges after a number, the oldest first, at most the first `limit`."""

    def fill(self, exchanges: Iterable[ExchangeRecord], count: int) -> None:
        """Keep exchanges that have numbers already; the next one has a number above `count`."""

    def amend(self, exchange: ExchangeRecord) -> None:
        """Keep an exchange as it is now, if it was kept as it was when it was added."""

    def clear(self) -> None:
        """Remove all exchanges; numbers continue."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ExchangeRecord]:
        """Iterate over a copy, the oldest exchange first."""


class Store(Protocol):
    """All state of one world. A cell, table, queue or set of counters is made when its name is first used."""

    #: Whether it was empty when it was opened.
    is_new: bool
    #: Whether decisions need no `transact`, because nothing has to be kept.
    is_fleeting: bool
    #: Whether a decision may have to be made again, because another process was first.
    repeats_decisions: bool

    def transact(self, decision: Callable[[], _T]) -> Awaitable[_T]:
        """Return what a decision returns, once its changes are kept. Raises StoreError, or WorldReplacedError."""

    async def refresh(self) -> None:
        """Take in what other processes have changed, and their exchanges. Raises as `transact`."""

    def change(self, decision: Callable[[], _T]) -> _T:
        """Do the same and wait, in another thread than that of `transact`."""

    def parts(self) -> Mapping[tuple[str, str], SavedPart]:
        """Return the cells, tables, counters and queues by kind and name."""

    def read_jobs(self, plans: Plans) -> None:
        """Read the jobs, whose plans `plans` returns."""

    def submit(self) -> None:
        """Have what changed outside a decision kept soon."""

    @property
    def jobs(self) -> Jobs:
        """The jobs."""

    @property
    def journal(self) -> StoredExchanges:
        """The exchanges."""

    def cell(self, name: str, initial: Any) -> Cell[Any]:
        """Return the cell with a name; `initial` is the value of a new one."""

    def table(self, name: str, limit: int) -> Table[Any]:
        """Return the table with a name, which keeps at most `limit` entries."""

    def counters(self, name: str, limit: int) -> Counters:
        """Return the counters with a name, of which it keeps at most `limit`."""

    def queue(self, name: str) -> Fifo[Any]:
        """Return the queue with a name."""


class Stores(Protocol):
    """The stores of a server's worlds."""

    #: Whether other processes may have the same worlds, so that opening one takes a look at them.
    is_shared: bool

    def names(self) -> list[str]:
        """Return the names of the worlds that are kept."""

    def all_names(self) -> list[str]:
        """Return the names of the worlds that this process or others have made."""

    def launch(self, name: str) -> Mapping[str, Any] | None:
        """Return with what a world was made; None if it is not kept."""

    def open(self, name: str, settings: Settings, *, fresh: bool) -> Store:
        """Return the store of a world, an empty one if `fresh`."""

    def forget(self, name: str) -> None:
        """Remove all that is kept of a world."""

    def watch(self, observer: StoreObserver) -> None:
        """Have each write reported: how long it took, and whether it failed."""

    def state(self) -> dict[str, Any]:
        """Return its kind, and what is wrong with it, if anything."""

    def close(self) -> None:
        """Keep what is not kept yet, and let go."""
