"""Shards: one check split over several machines, each of which plays every n-th case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

from mockveo.errors import SettingsError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of the cases, which are together all of them."""

    #: Counted from 1.
    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that a text such as "2/5" names. Raises SettingsError."""
        match = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", text, re.ASCII)
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or shard.number > shard.count:
            raise SettingsError(
                f"--shard is {text!r}; expected NUMBER/COUNT, the number counted from 1, e.g. --shard 2/5"
            )
        return shard

    def pick(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yield the items of this shard: each `count`-th, so that neighbours go to different shards."""
        return islice(items, self.number - 1, None, self.count)

    def part(self, items: Iterable[_T]) -> list[_T]:
        """Return the items of this shard."""
        return list(self.pick(items))

    def size(self, total: int) -> int:
        """Return how many of `total` items are in this shard."""
        return len(self.part(range(total)))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


#: All cases.
WHOLE = Shard(1, 1)
