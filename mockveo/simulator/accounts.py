"""Keys: which a world accepts, what each has left to spend, and what all may spend together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from mockveo.errors import SettingsError
from mockveo.settings import read_budget
from mockveo.simulator.stores.store import Cell, Counters, Store
from mockveo.spec.prices import Price
from mockveo.traffic.redaction import shortened_key

#: Keys whose spending is kept, and Authorization headers that are cached. Arbitrary: more than a test run has.
MAX_KEYS: Final = 10_000
#: Longest Authorization header that is cached. Arbitrary: longer than the keys of known services.
MAX_CACHED_HEADER_BYTES: Final = 200


class Accounts:
    """The keys of a world.

    `accepted` is empty if it accepts any; `credit` is in jobs, None if unlimited; `raw` keys need no Bearer.
    """

    def __init__(self, store: Store, *, accepted: Collection[str], credit: int | None, raw: bool = False) -> None:
        self._accepted = frozenset(map(shortened_key, accepted))
        self._raw = raw
        self._credit = credit
        self._spent: Counters = store.counters("spent", MAX_KEYS)
        # A cache: jobs and exchanges of a key share its text.
        self._owners: dict[bytes, str] = {}

    def owner(self, authorization: bytes) -> str | None:
        """Return the key of an Authorization header, shortened; None if it has no key or the key is not accepted."""
        cached = self._owners.get(authorization)
        if cached is not None:
            return cached
        scheme, _, key = authorization.partition(b" ")
        if self._raw and not key:
            scheme, key = b"bearer", authorization
        owner = shortened_key(key.strip().decode("latin-1"))
        if scheme.lower() != b"bearer" or not owner or (self._accepted and owner not in self._accepted):
            return None
        if len(self._owners) < MAX_KEYS and len(authorization) < MAX_CACHED_HEADER_BYTES:
            self._owners[authorization] = owner
        return owner

    def charge(self, owner: str) -> bool:
        """Take the price of one job from a key's credit; return False if no credit is left."""
        return self._credit is None or self._spent.increment(owner) <= self._credit


class SpendingLimit:
    """What all keys of a world may spend together: jobs, or money by the prices of the models.

    Raises SettingsError for money in a currency of no price.
    """

    def __init__(self, store: Store, budget: str | int, prices: Mapping[str, Price]) -> None:
        self._text = str(budget)
        self._limit, self._currency = read_budget(budget)
        self._prices = {model: price for model, price in prices.items() if price.money.currency == self._currency}
        if self._currency and not self._prices:
            raise SettingsError(
                f"--budget is {self._text!r}, and no model has a price in {self._currency}; expected a price, e.g. an"
                " overlay with x-price, or a number of jobs, e.g. --budget 3"
            )
        #: What was spent, as text, and how many creates were refused.
        self._state: Cell[list[Any]] = store.cell("budget", ["0", 0])

    @property
    def refused(self) -> int:
        """How many creates were refused."""
        return int(self._state.value[1])

    def problem(self, model: str, values: Mapping[str, Any]) -> str:
        """Charge a job of a model with these values of the form; return why it is refused, or ""."""
        cost, problem = self._cost(model, values), ""

        def charged(state: list[Any]) -> list[Any]:
            nonlocal problem
            spent, refused = Decimal(state[0]), int(state[1])
            if cost is None:
                problem = f"--budget is {self._text}, and the price of {model} in {self._currency} is unknown"
            elif spent + cost > self._limit:
                problem = f"--budget is {self._text}, of which {spent} is spent; `mockveo bill` shows by whom"
            return [str(spent), refused + 1] if problem else [str(spent + (cost or 0)), refused]

        self._state.update(charged)
        return problem

    def _cost(self, model: str, values: Mapping[str, Any]) -> Decimal | None:
        if not self._currency:
            return Decimal(1)
        price = self._prices.get(model)
        money = None if price is None else price.of(values)
        return None if money is None else money.amount
