"""Prices of models: the extension `x-price` on the field `model` of the document.

    x-price:
      veo3-fast: unknown
      veo3.1: {amount: 0.05, currency: USD, per: second, source: our contract, date: 2026-11-01}

`per` is `job` or `second`. The seconds of a clip are the form's `seconds`, or those of the price if the form has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from mockveo.errors import SpecError
from mockveo.text import MAX_SHOWN_CHARACTERS, brief, truncate

#: What stands for an unknown price.
UNKNOWN: Final = "unknown"
UNITS: Final = ("job", "second")
EXAMPLE: Final = "{amount: 0.40, currency: USD, per: job, source: our contract, date: 2026-11-01}"
#: The largest amount. Arbitrary: a sum of them stays readable.
MAX_AMOUNT: Final = 10**6
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_KEYS: Final = {"amount", "currency", "per", "seconds", "source", "date"}


class Money(NamedTuple):
    """A sum in a currency, whose code is one of ISO 4217."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        # At least two places, as most currencies of ISO 4217 have.
        rounded = self.amount.quantize(Decimal("0.01"))
        shown = rounded if rounded == self.amount else self.amount.normalize()
        return f"{shown:f} {self.currency}"


def total(sums: Iterable[Money]) -> list[Money]:
    """Return the sum of each currency, in the order of their first amounts."""
    amounts: dict[str, Decimal] = {}
    for amount, currency in sums:
        amounts[currency] = amounts.get(currency, Decimal(0)) + amount
    return [Money(amount, currency) for currency, amount in amounts.items()]


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model, for a job or for a second of its clip."""

    money: Money
    per: str
    #: The seconds of a clip if the form has no field `seconds`; None if the price does not need them.
    seconds: Decimal | None
    source: str
    date: str

    @property
    def catalogued(self) -> dict[str, Any]:
        """Return the price as the public catalogue of models has it."""
        amount, unit = float(self.money.amount), "request" if self.per == "job" else "second"
        prices = {name: amount if name == f"per_{unit}" else None for name in ("per_request", "per_second")}
        return {"currency": f"{self.money.currency} / {unit}", "input": None, "output": None, **prices}

    def of(self, values: Mapping[str, Any]) -> Money | None:
        """Return what a job with these values of the form costs; None if it cannot be computed."""
        if self.per == "job":
            return self.money
        seconds = _number(values.get("seconds"))
        if seconds is None:
            seconds = self.seconds
        return None if seconds is None else Money(self.money.amount * seconds, self.money.currency)


def read_prices(model: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Price]:
    """Return the known prices by model, from the schema of the field `model`. Raises SpecError.

    `fields` are the names of the form's fields.
    """
    table = model.get("x-price", {})
    if not isinstance(table, dict):
        raise SpecError(f"`x-price` is {brief(table)}; expected the price of each model, e.g. {{veo3-fast: {EXAMPLE}}}")
    has_seconds = "seconds" in set(fields)
    return {name: _price(name, entry, has_seconds=has_seconds) for name, entry in table.items() if entry != UNKNOWN}


def _price(model: str, entry: Any, *, has_seconds: bool) -> Price:
    place = f"`x-price` of {truncate(model, MAX_SHOWN_CHARACTERS)}"
    if not isinstance(entry, dict):
        raise SpecError(f"{place} is {brief(entry)}; expected {UNKNOWN} or a price, e.g. {EXAMPLE}")
    unknown, missing = set(entry) - _KEYS, _KEYS - {"seconds"} - set(entry)
    if unknown or missing:
        wrong = f"has the unknown key {brief(min(unknown))}" if unknown else f"lacks {', '.join(sorted(missing))}"
        raise SpecError(f"{place} {wrong}; expected e.g. {EXAMPLE}")
    amount, seconds = _number(entry["amount"]), _number(entry.get("seconds"))
    if amount is None or amount > MAX_AMOUNT or isinstance(entry["amount"], str):
        wrong = brief(entry["amount"])
        raise SpecError(f"{place}: `amount` is {wrong}; expected a number up to {MAX_AMOUNT}, e.g. 0.40")
    if not (isinstance(entry["currency"], str) and _CURRENCY.fullmatch(entry["currency"])):
        raise SpecError(f"{place}: `currency` is {brief(entry['currency'])}; expected a code of ISO 4217, e.g. USD")
    if entry["per"] not in UNITS:
        raise SpecError(f"{place}: `per` is {brief(entry['per'])}; expected job or second, e.g. per: job")
    if "seconds" in entry and not seconds:
        wrong = brief(entry["seconds"])
        raise SpecError(f"{place}: `seconds` is {wrong}; expected the length of a clip, e.g. seconds: 8")
    if entry["per"] == "second" and seconds is None and not has_seconds:
        raise SpecError(f"{place} is per second, and the form has no `seconds`; expected the length, e.g. seconds: 8")
    if not (isinstance(entry["source"], str) and entry["source"].strip()):
        raise SpecError(f"{place}: `source` is {brief(entry['source'])}; expected its evidence, e.g. our contract")
    if not (isinstance(entry["date"], str) and _DATE.fullmatch(entry["date"])):
        raise SpecError(f"{place}: `date` is {brief(entry['date'])}; expected the day it was seen, e.g. 2026-11-01")
    return Price(Money(amount, entry["currency"]), entry["per"], seconds, entry["source"], entry["date"])


def _number(value: Any) -> Decimal | None:
    """Return a number, also one that is text, as a form has it; None for anything else and for a negative one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    # As a form or YAML writes it; Decimal would take an infinity, too, and digits without end.
    if not re.fullmatch(r"\d{1,9}(\.\d{1,12})?|\d(\.\d{1,12})?e-\d{1,2}", text):
        return None
    return Decimal(text)
