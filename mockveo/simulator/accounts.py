"""Keys: which a world accepts, and what each has left to spend."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from mockveo.simulator.stores.store import Counters, Store

#: Keys whose spending is kept, and Authorization headers that are cached. Arbitrary: more than a test run has.
MAX_KEYS: Final = 10_000
#: Longest Authorization header that is cached. Arbitrary: longer than the keys of known services.
MAX_CACHED_HEADER_BYTES: Final = 200


class Accounts:
    """The keys of a world.

    `accepted` is empty if it accepts any; `credit` is in jobs, None if unlimited; `raw` keys need no Bearer.
    """

    def __init__(self, store: Store, *, accepted: Collection[str], credit: int | None, raw: bool = False) -> None:
        self._accepted = frozenset(accepted)
        self._raw = raw
        self._credit = credit
        self._spent: Counters = store.counters("spent", MAX_KEYS)
        # A cache: jobs and exchanges of a key share its text.
        self._owners: dict[bytes, str] = {}

    def owner(self, authorization: bytes) -> str | None:
        """Return the key of an Authorization header; None if it has no key or the key is not accepted."""
        cached = self._owners.get(authorization)
        if cached is not None:
            return cached
        scheme, _, key = authorization.partition(b" ")
        if self._raw and not key:
            scheme, key = b"bearer", authorization
        owner = key.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not owner or (self._accepted and owner not in self._accepted):
            return None
        if len(self._owners) < MAX_KEYS and len(authorization) < MAX_CACHED_HEADER_BYTES:
            self._owners[authorization] = owner
        return owner

    def charge(self, owner: str) -> bool:
        """Take the price of one job from a key's credit; return False if no credit is left."""
        return self._credit is None or self._spent.increment(owner) <= self._credit
