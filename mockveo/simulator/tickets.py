"""Tickets: what a redirected request shows in place of its key."""

from __future__ import annotations

from typing import Final

from mockveo.simulator.identifiers import Dice, random_characters
from mockveo.simulator.stores.store import Store, Table

#: Tickets that are kept. Arbitrary: a client follows a redirect at once.
MAX_TICKETS: Final = 10_000


class Tickets:
    """The tickets of a world; HTTP clients drop the key when a redirect leads to another origin."""

    def __init__(self, store: Store, dice: Dice) -> None:
        self._owners_and_paths: Table[tuple[str, str]] = store.table("tickets", MAX_TICKETS)
        self._dice = dice

    def issue(self, owner: str, path: str) -> str:
        """Return a new ticket that stands for a key at one path."""
        ticket = random_characters(self._dice, 16)
        self._owners_and_paths.put(ticket, (owner, path))
        return ticket

    def holder(self, ticket: str, path: str) -> str | None:
        """Return the key that a ticket stands for at a path, or None."""
        owner, valid_path = self._owners_and_paths.get(ticket) or ("", "")
        return owner if valid_path == path else None
