"""Findings in the traffic of a running server."""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

from mockveo.rules.client_rules import TrafficFinding, findings
from mockveo.text import printable
from mockveo.traffic.exchange import ExchangeJson
from mockveo.traffic.record import ExchangeRecord

#: Exchanges of a world that are judged together, and worlds kept at once. Arbitrary: enough for a person's session.
MAX_EXCHANGES: Final = 100
MAX_WORLDS: Final = 20
#: Bytes of the exchanges of a world that are judged together. Arbitrary: a hundred creates with long prompts.
MAX_BYTES: Final = 2**20
#: Exchanges at once above which traffic is judged later: at that rate it would cost more than serving it. Arbitrary.
MAX_BURST: Final = 20
#: Findings remembered so that none is reported twice. Arbitrary: bounds the memory of a long run.
MAX_REPORTED: Final = 10_000
#: Silence after which a finding that was repeated is over, and its count is reported. Arbitrary.
QUIET_S: Final = 2.0
#: The start of the names of the worlds that a verification makes, where it breaks rules on purpose.
VERIFICATION: Final = "mockveo-verify-"
#: What differs between the messages of one finding that is repeated.
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
#: A world, a rule, and a message without its numbers or the first exchange.
_Key: TypeAlias = tuple[str, str, str | int]


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """A finding with the world of its exchanges; the main world has an empty name."""

    world: str
    finding: TrafficFinding
    #: Exchanges that showed it when it was over; 0 if it is reported for the first time.
    count: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """The world and the number of the last exchange that shows it; 0 without one."""
        return self.world, max(self.finding.exchanges, default=0)

    def to_json(self) -> dict[str, Any]:
        """Return it as the JSON log shows it."""
        if self.count:
            return {"repeated": {"world": self.world, "count": self.count, **self.finding.to_json()}}
        return {"finding": {"world": self.world, **self.finding.to_json()}}

    def to_line(self, notes: Sequence[str] = ()) -> str:
        """Return it in a line, without the notes that the line of its exchange shows."""
        message = self.finding.message
        for note in notes:
            message = message.replace(note, "").strip("; ")
        place = f" in /@{self.world}" if self.world else ""
        rule = printable(f"{self.finding.rule}{place}: {message}".removesuffix(": "), single_line=True)
        if self.count:
            return f"         ? {self.count} exchanges in all broke {rule}"
        return f"         ? {self.finding.verdict} of {rule}"

    def __str__(self) -> str:
        return self.to_line()


@dataclass(slots=True)
class _Occurrence:
    """A finding that was reported, and how often it came again."""

    world: str
    finding: TrafficFinding
    count: int
    #: The last exchange that was counted.
    last: int
    #: When that was, in seconds of the monotonic clock.
    changed: float

    def repeats(self, finding: TrafficFinding) -> bool:
        """Count the exchanges of the same finding that are new; return whether there are any."""
        new = [number for number in finding.exchanges if number > self.last]
        if new:
            self.finding, self.count, self.last = finding, self.count + len(new), max(new)
        return bool(new)


class _Latest:
    """The latest exchanges of a world, bounded in number and in bytes. Their JSON is made once it is needed."""

    def __init__(self) -> None:
        self._records: deque[ExchangeRecord] = deque()
        self._json: deque[ExchangeJson] = deque()
        self._bytes = 0

    @property
    def last(self) -> int:
        """The number of the last exchange; 0 without one."""
        return self._records[-1].number if self._records else 0

    def add(self, record: ExchangeRecord) -> None:
        self._records.append(record)
        self._bytes += record.kept
        while len(self._records) > MAX_EXCHANGES or (self._bytes > MAX_BYTES and len(self._records) > 1):
            # The first exchanges have their JSON, the latest may not have it yet.
            if self._json:
                self._json.popleft()
            self._bytes -= self._records.popleft().kept

    def to_json(self) -> Sequence[ExchangeJson]:
        self._json.extend([record.to_json() for record in islice(self._records, len(self._json), None)])
        return self._json


class LiveFindings:
    """The findings in running traffic: each is reported once, and its count once it is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._traces: OrderedDict[str, _Latest] = OrderedDict()
        #: Worlds with exchanges that were not judged yet.
        self._unjudged: dict[str, None] = {}
        #: World, rule and message, or the first exchange -> what was reported.
        self._reported: OrderedDict[_Key, _Occurrence] = OrderedDict()
        #: What was repeated since it was reported, by identity.
        self._repeated: dict[int, _Occurrence] = {}

    def add(self, exchanges: Sequence[ExchangeRecord]) -> list[LiveFinding]:
        """Return the new findings after these exchanges; after a burst none, as `settle` returns them."""
        by_world: dict[str, list[ExchangeRecord]] = {}
        for exchange in exchanges:
            if exchange.world.startswith(VERIFICATION):
                continue
            by_world.setdefault(exchange.world, []).append(exchange)
        for world, latest in by_world.items():
            self._keep(world, latest)
        while len(self._traces) > MAX_WORLDS:
            world, _ = self._traces.popitem(last=False)
            self._unjudged.pop(world, None)
        return [] if len(exchanges) > MAX_BURST else self._judge()

    def settle(self, *, at_end: bool = False) -> list[LiveFinding]:
        """Return the findings of a burst that is over, and the counts of repeated findings that are over."""
        new = self._judge()
        now = self._clock()
        over = [occurrence for occurrence in self._repeated.values() if at_end or now - occurrence.changed >= QUIET_S]
        for occurrence in over:
            del self._repeated[id(occurrence)]
        return [*new, *(LiveFinding(item.world, item.finding, item.count) for item in over)]

    def _keep(self, world: str, exchanges: Sequence[ExchangeRecord]) -> None:
        trace = self._traces.setdefault(world, _Latest())
        for exchange in exchanges[-MAX_EXCHANGES:]:
            if exchange.number <= trace.last:
                trace = self._traces[world] = _Latest()
                self._forget_numbers(world)
            trace.add(exchange)
        self._traces.move_to_end(world)
        self._unjudged[world] = None

    def _forget_numbers(self, world: str) -> None:
        """Forget the numbers of a world's exchanges, which start again after a reset."""
        for key, occurrence in list(self._reported.items()):
            if occurrence.world == world:
                occurrence.last = 0
                if isinstance(key[2], int):
                    del self._reported[key]

    def _judge(self) -> list[LiveFinding]:
        worlds, self._unjudged = self._unjudged, {}
        return [finding for world in worlds for finding in self._new(world)]

    def _new(self, world: str) -> Iterator[LiveFinding]:
        for finding in findings(self._traces[world].to_json()):
            keys = (_by_message(world, finding), _by_exchange(world, finding))
            occurrence = next((self._reported[key] for key in keys if key in self._reported), None)
            if occurrence is None:
                last = max(finding.exchanges, default=0)
                occurrence = _Occurrence(world, finding, len(finding.exchanges), last, self._clock())
                yield LiveFinding(world, finding)
            elif occurrence.repeats(finding):
                occurrence.changed = self._clock()
                self._repeated[id(occurrence)] = occurrence
            self._reported |= dict.fromkeys(keys, occurrence)
        while len(self._reported) > MAX_REPORTED:
            self._reported.popitem(last=False)


def _by_message(world: str, finding: TrafficFinding) -> _Key:
    return world, finding.rule, _NUMBER.sub("#", finding.message)


def _by_exchange(world: str, finding: TrafficFinding) -> _Key:
    return world, finding.rule, min(finding.exchanges, default=0)
