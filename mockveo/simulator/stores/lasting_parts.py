"""Cells, tables, counters and queues in memory whose changes are noted, and that take the changes of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from mockveo.simulator.stores.changes import Changes
from mockveo.simulator.stores.memory_parts import MemoryCounters, MemoryFifo, MemoryTable


class LastingCell:
    """One small document whose changes are noted."""

    def __init__(self, changes: Changes, path: str, initial: Any) -> None:
        self._changes, self._path, self._value = changes, path, initial

    @property
    def value(self) -> Any:
        """The document."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if self._changes.undo is not None:
            former = self._value
            self._changes.undo.setdefault(id(self), lambda: setattr(self, "_value", former))
        self._value = value
        self.note()

    def note(self) -> None:
        """Note the document as it is."""
        self._changes.put(self._path, orjson.dumps(self._value, default=list), 1)

    def update(self, change: Callable[[Any], Any]) -> None:
        """Replace the value with what `change` returns for it."""
        self.value = change(self._value)

    def saved(self) -> Any:
        """Return the document as JSON."""
        return self._value

    def load(self, data: Any) -> None:
        """Replace the document by one that was saved."""
        self.value = data

    def apply(self, key: str, stamp: int, value: bytes | None) -> None:
        """Take the document that another has written."""
        del key, stamp
        if value is not None:
            self._value = orjson.loads(value)


class LastingTable(MemoryTable[Any]):
    """A bounded mapping whose changes are noted."""

    def __init__(self, changes: Changes, path: str, limit: int) -> None:
        super().__init__(limit)
        self._changes, self._path = changes, path
        self._stamps: dict[str, int] = {}

    def put(self, key: str, value: Any) -> None:
        """Set the value of a key, and forget the oldest if there are too many."""
        self._touch()
        before = list(self._values) if len(self._values) >= self._limit else ()
        super().put(key, value)
        path = f"{self._path}/{key}"
        self._stamps[key] = self._changes.put(path, orjson.dumps(value, default=list), self._stamps.get(key, 0))
        for old in before:
            if old not in self._values:
                self._forget(old)

    def remove(self, key: str) -> None:
        """Remove a key if it exists."""
        if key in self._values:
            self._touch()
            super().remove(key)
            self._forget(key)

    def clear(self) -> None:
        """Remove all keys."""
        for key in list(self._values):
            self.remove(key)

    def apply(self, key: str, stamp: int, value: bytes | None) -> None:
        """Take the entry that another has written."""
        if value is None:
            self._values.pop(key, None)
            self._stamps.pop(key, None)
        else:
            self._values[key], self._stamps[key] = orjson.loads(value), stamp

    def _forget(self, key: str) -> None:
        self._stamps.pop(key, None)
        self._changes.remove(f"{self._path}/{key}")

    def _touch(self) -> None:
        if self._changes.undo is not None and id(self) not in self._changes.undo:
            former = (dict(self._values), dict(self._stamps))
            self._changes.undo[id(self)] = lambda: self._restore(*former)

    def _restore(self, values: dict[str, Any], stamps: dict[str, int]) -> None:
        self._values, self._stamps = values, stamps


class LastingCounters(MemoryCounters):
    """Counters whose changes are noted."""

    def __init__(self, changes: Changes, path: str, limit: int) -> None:
        super().__init__(limit)
        self._changes, self._path = changes, path

    def increment(self, *key: str) -> int:
        """Add one to a counter and return the sum."""
        self._touch()
        last = next(iter(self._counts), None) if len(self._counts) >= self._limit else None
        count = super().increment(*key)
        self._changes.put(self._key(key), b"%d" % count)
        if last is not None and last not in self._counts:
            self._changes.remove(self._key(last))
        return count

    def reset(self, *key: str) -> None:
        """Set a counter to zero."""
        if key in self._counts:
            self._touch()
            super().reset(*key)
            self._changes.remove(self._key(key))

    def clear(self) -> None:
        """Set all counters to zero."""
        for key in list(self._counts):
            self.reset(*key)

    def load(self, data: Any) -> None:
        """Replace the counters by those that were saved."""
        super().load(data)
        for key, count in self._counts.items():
            self._changes.put(self._key(key), b"%d" % count)

    def apply(self, key: str, stamp: int, value: bytes | None) -> None:
        """Take the count that another has written."""
        del stamp
        parts = tuple(orjson.loads(key))
        self._counts.pop(parts, None)
        if value is not None:
            self._counts[parts] = int(value)

    def _key(self, parts: tuple[str, ...]) -> str:
        return f"{self._path}/{orjson.dumps(parts).decode()}"

    def _touch(self) -> None:
        if self._changes.undo is not None and id(self) not in self._changes.undo:
            former = self._counts.copy()
            self._changes.undo[id(self)] = lambda: setattr(self, "_counts", former)


class LastingFifo(MemoryFifo[Any]):
    """A queue whose changes are noted; its values are pairs of a stamp and what was pushed."""

    def __init__(self, changes: Changes, path: str) -> None:
        super().__init__()
        self._changes, self._path = changes, path

    def push(self, value: Any) -> None:
        """Add a value at the end."""
        self._touch()
        stamp = self._changes.stamp + 1
        self._changes.put(f"{self._path}/{stamp}", orjson.dumps(value, default=list))
        super().push((stamp, value))

    def pop(self) -> Any:
        """Remove and return the first value; None if the queue is empty."""
        self._touch()
        first = super().pop()
        if first is None:
            return None
        self._changes.remove(f"{self._path}/{first[0]}")
        return first[1]

    def clear(self) -> None:
        """Remove all values."""
        while len(self):
            self.pop()

    def values(self) -> list[Any]:
        """Return all values, the first to be popped first."""
        return [value for _, value in super().values()]

    def apply(self, key: str, stamp: int, value: bytes | None) -> None:
        """Take the value that another has pushed, or remove the one that another has popped."""
        if value is not None:
            # It may have been read before.
            if all(pair[0] != stamp for pair in super().values()):
                super().push((stamp, orjson.loads(value)))
            return
        for pair in super().values():
            if str(pair[0]) == key:
                self._values.remove(pair)

    def _touch(self) -> None:
        if self._changes.undo is not None and id(self) not in self._changes.undo:
            former = self._values.copy()
            self._changes.undo[id(self)] = lambda: setattr(self, "_values", former)
