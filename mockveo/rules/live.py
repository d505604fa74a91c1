"""Findings in the traffic of a running server."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mockveo.rules.client_rules import TrafficFinding, findings
from mockveo.traffic.exchange import ExchangeJson
from mockveo.traffic.record import ExchangeRecord

#: Exchanges of a world that are judged together, and worlds kept at once. Arbitrary: enough for a person's session.
MAX_EXCHANGES: Final = 100
MAX_WORLDS: Final = 20
#: Exchanges at once above which traffic is not judged: it would cost more than serving it. Arbitrary.
MAX_BURST: Final = 20
#: Findings remembered so that none is reported twice. Arbitrary: bounds the memory of a long run.
MAX_REPORTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """A finding with the world of its exchanges; the main world has an empty name."""

    world: str
    finding: TrafficFinding

    def to_json(self) -> dict[str, Any]:
        """Return it as the JSON log shows it."""
        return {"world": self.world, **self.finding.to_json()}

    def __str__(self) -> str:
        place = f" in /@{self.world}" if self.world else ""
        return f"         ? {self.finding.verdict} of {self.finding.rule}{place}: {self.finding.message}"


class LiveFindings:
    """The findings in running traffic, each reported once."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, deque[ExchangeJson]] = OrderedDict()
        self._reported: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def add(self, exchanges: Sequence[ExchangeRecord]) -> list[LiveFinding]:
        """Return the new findings after these exchanges."""
        if len(exchanges) > MAX_BURST:
            # Later exchanges would be judged without the ones before them.
            self._traces.clear()
            return []
        for exchange in exchanges:
            trace = self._traces.setdefault(exchange.world, deque(maxlen=MAX_EXCHANGES))
            if trace and exchange.number <= trace[-1]["number"]:  # the world was reset
                trace.clear()
            trace.append(exchange.to_json())
            self._traces.move_to_end(exchange.world)
        while len(self._traces) > MAX_WORLDS:
            self._traces.popitem(last=False)
        worlds = {exchange.world for exchange in exchanges}
        return [finding for world in worlds for finding in self._new(world)]

    def _new(self, world: str) -> list[LiveFinding]:
        new = []
        for finding in findings(self._traces[world]):
            identity = (world, finding.rule, finding.message)
            if identity not in self._reported:
                self._reported[identity] = None
                new.append(LiveFinding(world, finding))
        while len(self._reported) > MAX_REPORTED:
            self._reported.popitem(last=False)
        return new
