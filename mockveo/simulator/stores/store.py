"""The seam behind which a world keeps its state: jobs, exchanges, and small documents of plain data.

Every store has the same few primitives, so a store in a file or on another machine can take the place of memory.
Three rules make that possible:

- Values of cells, tables and queues, and keys, are what JSON can express. Readers unpack a value as a sequence, so a
  named tuple may come back as a list.
- Each call is atomic. No caller reads a value and writes it back; `Cell.update` and `Counters.increment` do that.
- State that can be recomputed, e.g. the plan of a scenario, stays in the caches of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from mockveo.simulator.jobs import Job
from mockveo.traffic.record import ExchangeRecord

_T = TypeVar("_T")


class Cell(Protocol[_T]):
    """One small document, e.g. the state of a clock."""

    value: _T

    def update(self, change: Callable[[_T], _T]) -> None:
        """Replace the value with what `change` returns for it."""


class Table(Protocol[_T]):
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


class Counters(Protocol):
    """A bounded set of counters that begin at zero; it forgets the least recently counted first."""

    def increment(self, *key: str) -> int:
        """Add one to a counter and return the sum."""

    def reset(self, *key: str) -> None:
        """Set a counter to zero."""

    def clear(self) -> None:
        """Set all counters to zero."""

    def __len__(self) -> int: ...


class Fifo(Protocol[_T]):
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

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Job]:
        """Iterate over a copy, the oldest job first."""


class StoredExchanges(Protocol):
    """The latest exchanges of a world, numbered from 1."""

    count: int

    def add(self, exchange: ExchangeRecord) -> None:
        """Append an exchange and set its number."""

    def since(self, number: int) -> list[ExchangeRecord]:
        """Return the exchanges after a number, the oldest first."""

    def clear(self) -> None:
        """Remove all exchanges; numbers continue."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ExchangeRecord]:
        """Iterate over a copy, the oldest exchange first."""


class Store(Protocol):
    """All state of one world. A cell, table, queue or set of counters is made when its name is first used."""

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
