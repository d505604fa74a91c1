"""What changed in a world's state, as entries that a file or a server can keep.

Reads are from memory. Each change is an entry: a key such as "cell/clock", and a value that takes the place of the one
before, or None if it is removed. A value begins with a stamp, a number that grows; entries in the order of their stamps
are the state, in the order in which tables and queues have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

#: The key of an entry -> its value with its stamp, or None if it is removed.
Entries: TypeAlias = dict[str, bytes | None]


class StampedEntry(NamedTuple):
    """An entry apart: the stamp, the key, and the value without the stamp; None if it is removed."""

    stamp: int
    key: str
    value: bytes | None

    @classmethod
    def parse(cls, key: str, value: bytes | None) -> StampedEntry:
        """Return the parts of an entry."""
        if value is None:
            return cls(0, key, None)
        stamp, _, rest = value.partition(b" ")
        return cls(int(stamp), key, rest)


class Changes:
    """What changed since it was last taken, and the parts that can undo it."""

    def __init__(self) -> None:
        self.entries: Entries = {}
        self.stamp = 0
        #: Part -> what puts it back as it was before its first change; None if nothing is ever undone.
        self.undo: dict[int, Callable[[], None]] | None = None

    def put(self, key: str, value: bytes, stamp: int = 0) -> int:
        """Note a value, with the next stamp or with that of the entry that it replaces; return the stamp."""
        if not stamp:
            self.stamp = stamp = self.stamp + 1
        self.entries[key] = b"%d " % stamp + value
        return stamp

    def remove(self, key: str) -> None:
        """Note that an entry is gone."""
        self.entries[key] = None

    def take(self) -> Entries:
        """Return what changed, and begin anew."""
        entries, self.entries = self.entries, {}
        if self.undo is not None:
            self.undo = {}
        return entries

    def revert(self) -> None:
        """Put the parts back as they were when changes were last taken."""
        assert self.undo is not None
        for undo in self.undo.values():
            undo()
        # Jobs make room once others are kept, which stays as it is.
        gone = [key for key, value in self.entries.items() if value is None and key.startswith("job/")]
        self.take()
        self.entries.update(dict.fromkeys(gone))
