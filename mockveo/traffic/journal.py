"""The journal of a world: its latest exchanges, for people and for assertions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from mockveo.traffic.bounds import SharedBound
from mockveo.traffic.record import ExchangeRecord

#: Bytes that the journals of a server keep; arbitrary, so that a long test run cannot exhaust the memory.
KEPT_BYTES: Final = 64 * 2**20
#: Bytes of exchanges that wait for the log, a tenth of a second's. Arbitrary: more than a terminal can show.
MAX_WAITING_BYTES: Final = 8 * 2**20


class Feed:
    """The exchanges of all worlds on their way to a log, the latest `limit`."""

    def __init__(self, limit: int) -> None:
        self._waiting: deque[ExchangeRecord] = deque(maxlen=limit)
        self._bytes = 0
        #: Exchanges so far, taken and dropped ones included.
        self.count = 0

    def add(self, exchange: ExchangeRecord) -> None:
        """Let an exchange wait; one that comes when too many bytes wait is dropped."""
        self.count += 1
        self._bytes += exchange.kept
        if self._bytes <= MAX_WAITING_BYTES:
            self._waiting.append(exchange)

    def take(self) -> list[ExchangeRecord]:
        """Remove and return the waiting exchanges, oldest first."""
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._bytes = 0
        return taken


class Journal:
    """The exchanges of a world, numbered from 1, bounded in number and, with the worlds that share `bound`, in bytes.

    Added exchanges go to `feed` too.
    """

    def __init__(self, limit: int, feed: Feed | None = None, world: str = "", bound: SharedBound | None = None) -> None:
        self._exchanges: deque[ExchangeRecord] = deque()
        self._limit = limit
        #: Bytes of the exchanges that are kept.
        self.kept = 0
        self._bound = bound or SharedBound(KEPT_BYTES)
        self._bound.join(self)
        self._feed = feed
        self._world = world
        #: Exchanges so far, forgotten ones included.
        self.count = 0

    def add(self, exchange: ExchangeRecord) -> None:
        """Number and keep an exchange; forget the oldest beyond the limits."""
        self.count = exchange.number = self.count + 1
        exchange.world = self._world
        size = exchange.kept
        if len(self._exchanges) >= self._limit:
            size -= self._exchanges.popleft().kept
        self._bound.take(size)
        self._exchanges.append(exchange)
        self.kept += size
        if self._feed is not None:
            self._feed.add(exchange)

    def give_way(self, amount: int) -> int:
        """Forget the oldest exchanges up to an amount of bytes, and return how many were freed."""
        freed = 0
        while freed < amount and self._exchanges:
            freed += self._exchanges.popleft().kept
        self.kept -= freed
        self._bound.take(-freed)
        return freed

    def since(self, number: int, limit: int | None = None) -> list[ExchangeRecord]:
        """Return the kept exchanges after the one of that number, oldest first, at most the first `limit`."""
        if limit is None:
            return list(islice(reversed(self._exchanges), max(self.count - number, 0)))[::-1]
        size = len(self._exchanges)
        first = max(number - self.count + size, 0)
        return [self._exchanges[index] for index in range(first, min(first + limit, size))]

    def fill(self, exchanges: Iterable[ExchangeRecord], count: int) -> None:
        """Keep exchanges that have numbers already, without logging them; `count` is the least next number's."""
        self._feed, feed = None, self._feed
        for exchange in exchanges:
            self.count = exchange.number - 1
            self.add(exchange)
        self._feed, self.count = feed, max(self.count, count)

    def amend(self, exchange: ExchangeRecord) -> None:
        """Do nothing: the journal has the exchange itself."""

    def clear(self) -> None:
        """Forget all exchanges; numbers go on."""
        self._exchanges.clear()
        self._bound.take(-self.kept)
        self.kept = 0

    def __iter__(self) -> Iterator[ExchangeRecord]:
        # A copy, made in one step: a server in another thread may add to the journal meanwhile.
        return iter(list(self._exchanges))

    def __len__(self) -> int:
        return len(self._exchanges)
