"""The journal of a world: its latest exchanges, for people and for assertions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from mockveo.traffic.record import ExchangeRecord

#: Bytes of requests that a journal keeps; arbitrary, so that a long test run cannot exhaust the memory.
KEPT_BYTES: Final = 32 * 2**20


class Feed:
    """The exchanges of all worlds on their way to a log, the latest `limit`."""

    def __init__(self, limit: int) -> None:
        self.waiting: deque[ExchangeRecord] = deque(maxlen=limit)
        #: Exchanges so far, taken and dropped ones included.
        self.count = 0

    def take(self) -> list[ExchangeRecord]:
        """Remove and return the waiting exchanges, oldest first."""
        return [self.waiting.popleft() for _ in range(len(self.waiting))]


class Journal:
    """The exchanges of a world, numbered from 1, bounded in number and in bytes.

    Added exchanges go to `feed` too.
    """

    def __init__(self, limit: int, feed: Feed | None = None, world: str = "") -> None:
        self._exchanges: deque[ExchangeRecord] = deque()
        self._limit = limit
        self._bytes = 0
        self._feed = feed
        self._world = world
        #: Exchanges so far, forgotten ones included.
        self.count = 0

    def add(self, exchange: ExchangeRecord) -> None:
        """Number and keep an exchange; forget the oldest beyond the limits."""
        self.count = exchange.number = self.count + 1
        exchange.world = self._world
        self._exchanges.append(exchange)
        self._bytes += exchange.kept
        while len(self._exchanges) > self._limit or (self._bytes > KEPT_BYTES and len(self._exchanges) > 1):
            self._bytes -= self._exchanges.popleft().kept
        feed = self._feed
        if feed is not None:
            feed.count += 1
            feed.waiting.append(exchange)

    def since(self, number: int) -> list[ExchangeRecord]:
        """Return the kept exchanges after the one of that number, oldest first."""
        return list(islice(reversed(self._exchanges), max(self.count - number, 0)))[::-1]

    def clear(self) -> None:
        """Forget all exchanges; numbers go on."""
        self._exchanges.clear()
        self._bytes = 0

    def __iter__(self) -> Iterator[ExchangeRecord]:
        # A copy, made in one step: a server in another thread may add to the journal meanwhile.
        return iter(list(self._exchanges))

    def __len__(self) -> int:
        return len(self._exchanges)
