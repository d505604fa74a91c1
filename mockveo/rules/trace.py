"""The trace of a call, as the rules for clients read it, and how traffic is split into calls.

A trace consists of exchanges in the JSON form of `mockveo.traffic.exchange`, so it can be saved and judged again. It
knows no clock, no server and no client.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Reversible, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from typing import Any, Final
from urllib.parse import unquote

from mockveo.traffic.exchange import ClockName, Exchange, ExchangeJson

#: Silence after which the same form is another call. Longer than any pause that the pages advise.
MAX_SILENCE_S: Final = 120.0
#: Jobs whose ids are compared with an id that no job has, the latest ones. Arbitrary: keeps judging linear.
MAX_COMPARED_IDS: Final = 100
#: Characters by which a part of an id is recognised. Arbitrary, above the length of `task_`.
MIN_ID_CHARACTERS: Final = 8


@dataclass(frozen=True)
class Restart:
    """What came before a start of a call that had started before."""

    #: Whether the client was killed; otherwise it had reported, and the same call came again.
    killed: bool
    #: The exchanges of the earlier starts.
    earlier: Sequence[Exchange]
    #: What the start before reported; empty after a kill.
    reported: str = ""
    #: Whether the state that the client kept was overwritten while it was down.
    damaged: bool = False

    @cached_property
    def made(self) -> list[Exchange]:
        """The earlier creates whose response arrived with the id of a job."""
        return [exchange for exchange in self.earlier if exchange.operation == "create" and exchange.shown.id]

    @cached_property
    def end(self) -> Exchange | None:
        """The last earlier response with a final status."""
        ended = (exchange for exchange in reversed(self.earlier) if exchange.shown.ended)
        return next((exchange for exchange in ended if exchange.operation in ("create", "retrieve")), None)

    @cached_property
    def kill(self) -> Exchange | None:
        """The exchange in which the client was killed last."""
        return next((exchange for exchange in reversed(self.earlier) if "kill" in exchange.faults), None)


@dataclass(frozen=True)
class CallTrace:
    """The exchanges of one call, or of one start of it, with its case and its outcome.

    `case` is what the client was asked to do, `outcome` what it reported; both as in the client protocol, and None if
    unknown.
    """

    exchanges: Sequence[Exchange]
    case: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    #: Defaults of the document for fields that are left out.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds of the trace's clock in one of the client's.
    pace: float = 1.0
    #: What came before, if this is a further start of the call.
    restart: Restart | None = None

    def of(self, *operations: str) -> list[Exchange]:
        """Return the exchanges of these operations."""
        return [exchange for exchange in self.exchanges if exchange.operation in operations]

    @cached_property
    def history(self) -> Sequence[Exchange]:
        """The exchanges that a report may be about: also those of earlier starts, unless this one made its own job."""
        if self.restart is None or self.made:
            return self.exchanges
        return [*self.restart.earlier, *self.exchanges]

    def of_history(self, *operations: str) -> list[Exchange]:
        """Return those of the history of these operations."""
        return [exchange for exchange in self.history if exchange.operation in operations]

    @cached_property
    def creates(self) -> list[Exchange]:
        """The creates, at the server's own origin and at others."""
        return self.of("create")

    @cached_property
    def polls(self) -> list[Exchange]:
        """The polls."""
        return self.of("retrieve")

    @cached_property
    def made(self) -> list[Exchange]:
        """The creates whose response arrived with the id of a job."""
        return [create for create in self.creates if create.shown.id]

    @cached_property
    def ids(self) -> list[str]:
        """The ids in the responses to creates, the likelier ones of a response last."""
        earlier = [] if self.restart is None else self.restart.made
        return [job_id for create in (*earlier, *self.made) for job_id in reversed(create.shown.ids)]

    @cached_property
    def end(self) -> Exchange | None:
        """The first response to a create or a poll with a final status, in any dialect."""
        exchanges = self.of("create", "retrieve")
        return next((exchange for exchange in exchanges if exchange.shown.ended), None)

    @property
    def input(self) -> Mapping[str, Any]:
        """What the client was asked to send."""
        case_input: Mapping[str, Any] = (self.case or {}).get("input", {})
        return case_input

    def seconds(self, first: Exchange, second: Exchange) -> float:
        """Return the client's seconds between two exchanges."""
        return (second.at - first.at) / self.pace

    def out_of_time(self, wait_s: float = 0.0) -> bool:
        """Return whether the deadline leaves no time for another try, after a wait or the usual pause."""
        limit_s = (self.case or {}).get("deadline_s")
        if limit_s is None or not self.exchanges:
            return False
        # Pauses may grow, so the next one may be twice the longest.
        pauses = [2 * self.seconds(first, second) for first, second in pairwise(self.exchanges)]
        spent_s = self.seconds(self.exchanges[0], self.exchanges[-1])
        return spent_s + max([wait_s, *pauses]) >= float(limit_s)


def split_calls(trace: Iterable[ExchangeJson], *, clock: ClockName = "time", pace: float = 1.0) -> list[CallTrace]:
    """Return the calls in traffic, each with its own exchanges.

    A call is the creates with one form and one key in one world, and the requests about their jobs. The same form after
    a long silence is another call. Exchanges that belong to no create form a call of their own.
    """
    splitter = _CallSplitter(MAX_SILENCE_S * pace)
    for data in trace:
        splitter.add(Exchange.from_json(data, clock=clock))
    return [CallTrace(exchanges, pace=pace) for exchanges in splitter.calls.values()]


class _CallSplitter:
    """The calls so far, by their world, key, form and first exchange."""

    def __init__(self, max_silence_s: float) -> None:
        self.calls: dict[Hashable, list[Exchange]] = {}
        self._max_silence_s = max_silence_s
        #: World, key and form -> their latest call.
        self._latest: dict[Hashable, Hashable] = {}
        #: Ids of jobs and tickets of redirects -> their call.
        self._call_of: dict[str, Hashable] = {}

    def add(self, exchange: Exchange) -> None:
        """Add an exchange to its call."""
        call = self._call(exchange)
        if exchange.operation == "create" and exchange.job:
            self._call_of[exchange.job] = call
        if exchange.redirected_to:
            self._call_of[exchange.redirected_to] = call
        self.calls.setdefault(call, []).append(exchange)

    def _call(self, exchange: Exchange) -> Hashable:
        # A request that follows a redirect belongs to the redirected one, even with another method or form.
        redirected = self._call_of.get(exchange.ticket) if exchange.ticket else None
        if redirected is not None:
            return redirected
        if exchange.operation == "create":
            return self._call_of_create(exchange)
        requested = exchange.requested_id
        if exchange.job in self._call_of or requested in self._call_of:
            return self._call_of.get(exchange.job, self._call_of.get(requested))
        return self._call_of.get(original_id(requested, self._call_of))

    def _call_of_create(self, create: Exchange) -> Hashable:
        # A form that is unknown is like no other.
        request = (create.world, create.key, create.form or create.number)
        call = self._latest.get(request)
        if call is None or create.at - self.calls[call][-1].at > self._max_silence_s:
            call = self._latest[request] = (*request, create.number)
        return call


def original_id(text: str, job_ids: Reversible[str]) -> str:
    """Return the latest of the ids that a text has in another case, cut, extended or encoded twice; "" without one."""
    changed = unquote(text).casefold() if len(text) >= MIN_ID_CHARACTERS else ""
    for job_id in islice(reversed(job_ids), MAX_COMPARED_IDS):
        original = unquote(job_id).casefold()
        if changed and (changed in original or original in changed):
            return job_id
    return ""
