"""Cells, tables, counters and queues in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class MemoryCell(Generic[_T]):
    """One small document in memory."""

    __slots__ = ("_lock", "value")

    def __init__(self, value: _T) -> None:
        self.value = value
        self._lock = threading.Lock()

    def update(self, change: Callable[[_T], _T]) -> None:
        """Replace the value with what `change` returns for it."""
        with self._lock:
            self.value = change(self.value)

    def saved(self) -> Any:
        """Return the document as JSON."""
        return self.value

    def load(self, data: Any) -> None:
        """Replace the document by one that was saved."""
        self.value = data


class MemoryTable(Generic[_T]):
    """A bounded mapping in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: dict[str, _T] = {}

    def get(self, key: str) -> _T | None:
        """Return the value of a key, or None."""
        return self._values.get(key)

    def put(self, key: str, value: _T) -> None:
        """Set the value of a key, and forget the oldest if there are too many."""
        self._values[key] = value
        if len(self._values) > self._limit:
            del self._values[next(iter(self._values))]

    def remove(self, key: str) -> None:
        """Remove a key if it exists."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Remove all keys."""
        self._values.clear()

    def values(self) -> list[_T]:
        """Return all values, the oldest first."""
        return list(self._values.values())

    def saved(self) -> Any:
        """Return the entries as JSON, the oldest first."""
        return list(self._values.items())

    def load(self, data: Any) -> None:
        """Replace the entries by those that were saved."""
        self.clear()
        for key, value in data:
            self.put(str(key), value)

    def __len__(self) -> int:
        return len(self._values)


class MemoryCounters:
    """A bounded set of counters in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def increment(self, *key: str) -> int:
        """Add one to a counter and return the sum."""
        count = self._counts[key] = self._counts.get(key, 0) + 1
        self._counts.move_to_end(key)
        if len(self._counts) > self._limit:
            self._counts.popitem(last=False)
        return count

    def reset(self, *key: str) -> None:
        """Set a counter to zero."""
        self._counts.pop(key, None)

    def clear(self) -> None:
        """Set all counters to zero."""
        self._counts.clear()

    def saved(self) -> Any:
        """Return the counters as JSON, the least recently counted first."""
        return list(self._counts.items())

    def load(self, data: Any) -> None:
        """Replace the counters by those that were saved."""
        self.clear()
        for key, count in data:
            self.increment(*map(str, key))
            self._counts[tuple(map(str, key))] = int(count)

    def __len__(self) -> int:
        return len(self._counts)


class MemoryFifo(Generic[_T]):
    """Values in memory in the order in which they were pushed."""

    def __init__(self) -> None:
        self._values: deque[_T] = deque()

    def push(self, value: _T) -> None:
        """Add a value at the end."""
        self._values.append(value)

    def pop(self) -> _T | None:
        """Remove and return the first value; None if the queue is empty."""
        return self._values.popleft() if self._values else None

    def clear(self) -> None:
        """Remove all values."""
        self._values.clear()

    def values(self) -> list[_T]:
        """Return all values, the first to be popped first."""
        return list(self._values)

    def saved(self) -> Any:
        """Return the values as JSON, the first to be popped first."""
        return self.values()

    def load(self, data: Any) -> None:
        """Replace the values by those that were saved."""
        self.clear()
        for value in data:
            self.push(value)

    def __len__(self) -> int:
        return len(self._values)
