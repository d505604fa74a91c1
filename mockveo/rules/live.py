"""The rules of the contract, held against ordinary traffic while it happens."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Final

from mockveo.rules.engine import findings
from mockveo.traffic.journal import ExchangeRecord, as_json

#: Exchanges of a world that are looked at together, and worlds whose exchanges are.
REMEMBERED: Final = 100
WORLDS: Final = 20
#: Exchanges in one go from which on it is no person's traffic: judging all of it would cost more than serving it.
TOO_FAST: Final = 20
#: Findings that are told once.
TOLD: Final = 10_000


class LiveFindings:
    """Tells each finding once."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def see(self, exchanges: Sequence[ExchangeRecord]) -> list[dict[str, Any]]:
        """New findings, now that these have happened; each as `rules.as_finding` has it, with its `world`."""
        if len(exchanges) > TOO_FAST:
            # What follows would be judged without what came before.
            self._traces.clear()
            return []
        for exchange in exchanges:
            trace = self._traces.setdefault(exchange.world, deque(maxlen=REMEMBERED))
            if trace and exchange.number <= trace[-1]["number"]:  # the world was reset
                trace.clear()
            trace.append(as_json(exchange))
            self._traces.move_to_end(exchange.world)
        while len(self._traces) > WORLDS:
            self._traces.popitem(last=False)
        return [finding for world in {one.world for one in exchanges} for finding in self._new(world)]

    def _new(self, world: str) -> list[dict[str, Any]]:
        found = []
        for finding in findings(self._traces[world]):
            told = (world, finding["rule"], finding["message"])
            if told not in self._told:
                self._told[told] = None
                found.append({"world": world, **finding})
        while len(self._told) > TOLD:
            self._told.popitem(last=False)
        return found


def as_text(finding: dict[str, Any]) -> str:
    """A finding in one line."""
    where = f" in /@{finding['world']}" if finding.get("world") else ""
    return f"         ? {finding['verdict']} of {finding['rule']}{where}: {finding['message']}"
