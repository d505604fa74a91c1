"""A bill: jobs that were paid for, each with what became of it. `mockveo.rules.money` decides that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

from mockveo.spec.prices import Money, total
from mockveo.text import counted

#: The states, in the order in which a bill has them.
STATES: Final = ("delivered", "wasted", "open", "lost", "forgotten")
#: The states of jobs that a bill lists, the worst first.
UNDELIVERED: Final = ("wasted", "lost", "open")
#: Why a job is wasted -> the same for people.
WASTE: Final[Mapping[str, str]] = {
    "made-again": "made again for the same call",
    "abandoned": "abandoned while running",
    "not-fetched": "completed and never fetched",
    "retried": "doubled by the retry of a lost answer",
}
#: Jobs that JSON and a failing assertion list. Arbitrary.
MAX_LISTED: Final = 1000
MAX_SHOWN: Final = 10


class PaidJob(NamedTuple):
    """A job that was made: `key` is a fingerprint, `cost` None if the price of its model is unknown."""

    id: str
    key: str
    model: str
    cost: Money | None


class JobCount(int):
    """A number of jobs, which knows them: a failing assertion shows each and what became of it."""

    jobs: tuple[BilledJob, ...]

    @classmethod
    def of(cls, jobs: Iterable[BilledJob]) -> Self:
        """Return the number of jobs."""
        listed = tuple(jobs)
        count = cls(len(listed))
        count.jobs = listed
        return count

    def __str__(self) -> str:
        return int.__repr__(self)

    @property
    def lines(self) -> list[str]:
        """Return a line for each of the first jobs."""
        left_out = len(self.jobs) - MAX_SHOWN
        more = [f"... and {left_out} more"] if left_out > 0 else []
        return [*map(str, self.jobs[:MAX_SHOWN]), *more]

    def __repr__(self) -> str:
        return f"{self} ({'; '.join(self.lines)})" if self.jobs else str(self)


@dataclass(frozen=True, slots=True)
class BilledJob:
    """A job with what became of it."""

    id: str
    key: str
    model: str
    cost: Money | None
    #: One of `STATES`.
    state: str
    #: What shows it, in a sentence.
    reason: str
    #: One of `WASTE` if it is wasted, else empty.
    waste: str = ""
    #: Numbers of the exchanges that show it.
    exchanges: tuple[int, ...] = ()
    #: Where it was made: the prefix of a world, or the name of a case; "" for the default world.
    place: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the job that `to_json` wrote."""
        cost = data["cost"] and Money(Decimal(str(data["cost"]["amount"])), data["cost"]["currency"])
        own = {"cost": cost, "waste": data["waste"] or "", "exchanges": tuple(data["exchanges"])}
        return cls(**{**data, **own})

    def to_json(self) -> dict[str, Any]:
        """Return it as the control API documents it."""
        return {
            "id": self.id,
            "key": self.key,
            "model": self.model,
            "cost": self.cost and {"amount": float(self.cost.amount), "currency": self.cost.currency},
            "state": self.state,
            "place": self.place,
            "waste": self.waste or None,
            "reason": self.reason,
            "exchanges": list(self.exchanges),
        }

    def __str__(self) -> str:
        place = f"in {self.place}" if self.place else ""
        about = " ".join(filter(None, [self.id, self.model, str(self.cost or ""), place]))
        numbers = ", ".join(map(str, self.exchanges))
        return f"{about}: {self.reason}" + (f" [exchange {numbers}]" if numbers else "")


@dataclass(frozen=True, slots=True, repr=False)
class Bill:
    """The jobs that were made, and what became of each."""

    jobs: tuple[BilledJob, ...]
    #: The limit that was set with --budget, and the creates that were refused because of it.
    budget: str = ""
    refused: int = 0
    #: Creates of saved traffic that may have made a job, which the traffic does not show.
    uncertain: int = 0

    @property
    def made(self) -> JobCount:
        """The jobs that were made, each of which is paid for."""
        return JobCount.of(self.jobs)

    @property
    def delivered(self) -> JobCount:
        """The jobs whose content was fetched or whose result was reported."""
        return self.count("delivered")

    @property
    def wasted(self) -> JobCount:
        """The jobs that were paid for in vain: `assert mockveo.bill.wasted == 0` shows them when it fails."""
        return self.count("wasted")

    @property
    def open(self) -> JobCount:
        """The jobs whose client may still come back."""
        return self.count("open")

    @property
    def lost(self) -> JobCount:
        """The jobs whose create was not answered, which their client did not send again."""
        return self.count("lost")

    @property
    def forgotten(self) -> JobCount:
        """The jobs of which the journal has no exchange any more."""
        return self.count("forgotten")

    def count(self, state: str) -> JobCount:
        """Return the jobs in a state."""
        return JobCount.of(job for job in self.jobs if job.state == state)

    def cost(self, *states: str) -> list[Money]:
        """Return what the jobs in some states cost, by currency; of all jobs without states."""
        return total(job.cost for job in self.jobs if job.cost and job.state in (states or STATES))

    @property
    def unpriced(self) -> list[str]:
        """The models of jobs whose price is unknown."""
        return list(dict.fromkeys(job.model for job in self.jobs if job.cost is None))

    @property
    def keys(self) -> dict[str, Bill]:
        """The bill of each key, by its fingerprint."""
        jobs: dict[str, list[BilledJob]] = {}
        for job in self.jobs:
            jobs.setdefault(job.key, []).append(job)
        return {key: Bill(tuple(own)) for key, own in jobs.items()}

    @property
    def line(self) -> str:
        """The whole bill in one line."""
        perhaps = f" (and perhaps {self.uncertain} by creates without an answer)" if self.uncertain else ""
        parts = [f"{self.made} made{perhaps}, {self.delivered} delivered, {self.wasted} wasted"]
        parts += [f"{count} {state}" for state in STATES[2:] if (count := self.count(state))]
        causes = Counter(job.waste for job in self.jobs if job.waste)
        listed = ", ".join(f"{count} {WASTE[cause]}" for cause, count in causes.items())
        return "".join([", ".join(parts), f" ({listed})" if listed else "", *self._prices(), *self._spent()])

    def _prices(self) -> Iterator[str]:
        costs, wasted = self.cost(), self.cost("wasted")
        if costs:
            yield f"; {_sum(costs)}"
            yield f", of which {_sum(wasted)} wasted" if wasted else ""
        if self.unpriced:
            word = "price" if len(self.unpriced) == 1 else "prices"
            verb = "is" if len(self.unpriced) == 1 else "are"
            models = ", ".join(model or "the default model" for model in self.unpriced)
            yield f"; the {word} of {models} {verb} unknown"

    def _spent(self) -> Iterator[str]:
        if self.budget:
            yield f"; the budget is {self.budget}"
        if self.refused:
            yield f", {counted(self.refused, 'create')} refused above it"
            spenders = [f"{key or 'an unknown key'} ({_spending(bill)})" for key, bill in self.keys.items()]
            yield f", spent by {', '.join(spenders)}" if spenders else ""

    def listed(self, *states: str) -> JobCount:
        """Return the jobs in some states, those in the first state first."""
        return JobCount.of(job for state in states for job in self.jobs if job.state == state)

    def to_json(self) -> dict[str, Any]:
        """Return it as the control API documents it."""
        states = {state: int(self.count(state)) for state in STATES}
        causes = Counter(job.waste for job in self.jobs if job.waste)
        return {
            "made": len(self.jobs),
            **states,
            "waste": {cause: causes[cause] for cause in WASTE},
            "costs": [_costs(self, cost.currency) for cost in self.cost()],
            "unpriced": self.unpriced,
            "budget": self.budget or None,
            "refused": self.refused,
            "uncertain": self.uncertain,
            "keys": [
                {"key": key, "made": len(bill.jobs), "costs": [_costs(bill, cost.currency) for cost in bill.cost()]}
                for key, bill in self.keys.items()
            ],
            "jobs": [job.to_json() for job in self.listed(*UNDELIVERED).jobs[:MAX_LISTED]],
            "line": self.line,
        }

    def __str__(self) -> str:
        return "\n".join([self.line, *(f"  {line}" for line in self.listed(*UNDELIVERED).lines)])

    def __repr__(self) -> str:
        return f"<Bill: {self.line}>"


def merged(bills: Iterable[Bill]) -> Bill:
    """Return one bill of several, e.g. of the worlds of a server."""
    bills = list(bills)
    budgets = dict.fromkeys(bill.budget for bill in bills if bill.budget)
    jobs = tuple(job for bill in bills for job in bill.jobs)
    return Bill(jobs, ", ".join(budgets), sum(bill.refused for bill in bills))


def _sum(costs: Iterable[Money]) -> str:
    return " and ".join(map(str, costs))


def _spending(bill: Bill) -> str:
    costs = bill.cost()
    return f"{counted(len(bill.jobs), 'job')}" + (f" for {_sum(costs)}" if costs else "")


def _costs(bill: Bill, currency: str) -> dict[str, Any]:
    """Return what the jobs in each state cost in a currency."""
    wanted = {"made": STATES, **{state: (state,) for state in STATES}}
    costs = {
        name: {cost.currency: float(cost.amount) for cost in bill.cost(*states)} for name, states in wanted.items()
    }
    return {"currency": currency, **{name: sums.get(currency, 0.0) for name, sums in costs.items()}}
