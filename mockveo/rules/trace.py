"""What a client did, as its exchanges tell it: the trace of a call, read for the rules.

A trace is the exchanges as JSON, as `ExchangeRecord.to_json` writes them for the journal, the control API and the
reports. So it can be saved, and judged again. Nothing here knows a clock, a server or a client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from mockveo.traffic.exchange import Exchange

#: Statuses that are an end, by the pages of both generations.
SUCCESS: Final = frozenset({"completed"})
FAILURE: Final = frozenset({"failed", "error"})
#: Statuses on the way, by the pages.
GOING: Final = frozenset({"queued", "in_progress"})
#: Seconds without an exchange after which the same form is another call. Longer than any pause the pages advise.
SILENCE: Final = 120.0


@dataclass(frozen=True)
class CallTrace:
    """The exchanges of one call, and what is known of the call beside them.

    `case` is what the client was asked to do, `outcome` what it said came of it; each as in the client protocol, None
    where it is not known.
    """

    exchanges: Sequence[Exchange]
    case: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    #: What the document has for fields that are left out.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds of the trace's clock in one of the client's.
    pace: float = 1.0

    def of(self, *operations: str) -> list[Exchange]:
        """The exchanges of these operations."""
        return [one for one in self.exchanges if one.operation in operations]

    @cached_property
    def creates(self) -> list[Exchange]:
        """The creates at the server's own origin and elsewhere."""
        return self.of("create")

    @cached_property
    def polls(self) -> list[Exchange]:
        """The polls."""
        return self.of("retrieve")

    @cached_property
    def made(self) -> list[Exchange]:
        """The creates whose answer, with a job in it, arrived."""
        return [one for one in self.creates if one.status == 200 and one.body.get("id")]

    @cached_property
    def ids(self) -> list[str]:
        """The ids that the client was told."""
        return [str(one.body["id"]) for one in self.made]

    @cached_property
    def end(self) -> Exchange | None:
        """The first answer to a create or a poll that told of an end."""
        told = self.of("create", "retrieve")
        return next((one for one in told if one.state in SUCCESS | FAILURE), None)

    @property
    def input(self) -> Mapping[str, Any]:
        """What the client was asked to send."""
        found: Mapping[str, Any] = (self.case or {}).get("input", {})
        return found

    def seconds(self, first: Exchange, second: Exchange) -> float:
        """The client's seconds between two exchanges."""
        return (second.at - first.at) / self.pace

    def out_of_time(self, wait: float = 0.0) -> bool:
        """Whether the deadline leaves no time for another try, after a `wait` or after what it has waited so far."""
        limit = (self.case or {}).get("deadline_s")
        if limit is None or not self.exchanges:
            return False
        # Pauses may grow, so the next one may be twice the longest.
        pauses = [self.seconds(*pair) for pair in pairwise(self.exchanges)]
        spent = self.seconds(self.exchanges[0], self.exchanges[-1])
        return spent + max([wait, *(2 * pause for pause in pauses)]) >= float(limit)


def split_calls(trace: Iterable[Mapping[str, Any]], *, clock: str = "time", pace: float = 1.0) -> list[CallTrace]:
    """The calls that are in the traffic of a world, each with its own exchanges.

    A call is a form and a key: the creates that send it, and what is asked about their jobs. The same form after a long
    silence is another call. What belongs to no create goes to a story of its own.
    """
    calls: dict[Any, list[Exchange]] = {}
    latest: dict[Any, Any] = {}
    of: dict[str, Any] = {}
    for data in trace:
        seen = Exchange.from_json(data, clock=clock)
        # Whatever follows a redirect belongs to what was redirected, even as another method or with another form.
        call = of.get(seen.ticket) if seen.ticket else None
        if call is None and seen.operation == "create":
            what = (seen.key, seen.form)
            call = latest.get(what)
            if call is None or seen.at - calls[call][-1].at > SILENCE * pace:
                call = latest[what] = (*what, seen.number)
        elif call is None:
            call = of.get(seen.job) or of.get(seen.path.split("/")[-1].removesuffix(".mp4"))
        if seen.operation == "create" and seen.job:
            of[seen.job] = call
        if seen.redirected_to:
            of[seen.redirected_to] = call
        calls.setdefault(call, []).append(seen)
    return [CallTrace(exchanges, pace=pace) for exchanges in calls.values()]
