"""Bounds that the worlds of a server share, so that memory is bounded for the server and not for each world."""

from __future__ import annotations

import threading
from typing import Final, Protocol
from weakref import WeakSet

#: Part of a bound that is freed beyond what is needed, so that room is not made for each request. Arbitrary.
SLACK: Final = 1 / 16


class Keeper(Protocol):
    """A part of a world that keeps things within a bound."""

    @property
    def kept(self) -> int:
        """How much it keeps."""

    def give_way(self, amount: int) -> int:
        """Forget the oldest things up to an amount, and return how much was freed."""


class SharedBound:
    """A bound in bytes or in things, shared by the worlds of a server. The keeper of the most gives way first.

    Keepers that no longer exist count no more, so a world that is replaced or forgotten needs no farewell.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: What is kept, and what keepers kept that no longer exist; room is made by what is kept.
        self._used = 0
        self._keepers: WeakSet[Keeper] = WeakSet()
        self._lock = threading.Lock()

    def join(self, keeper: Keeper) -> None:
        """Let a keeper share the bound."""
        with self._lock:
            self._keepers.add(keeper)

    def take(self, amount: int) -> None:
        """Make room for what a keeper is about to keep, or take back what it has forgotten if negative."""
        self._used += amount
        if amount > 0 and self._used > self.limit:
            self._make_room(amount)

    def _make_room(self, amount: int) -> None:
        with self._lock:
            keepers = sorted(self._keepers, key=lambda keeper: keeper.kept, reverse=True)
        self._used = sum(keeper.kept for keeper in keepers) + amount
        excess = self._used - self.limit
        if excess <= 0:
            return
        excess += int(self.limit * SLACK)
        for keeper in keepers:
            excess -= keeper.give_way(excess)
            if excess <= 0:
                return
