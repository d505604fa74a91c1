"""Which faults of a scenario apply to a request: by number, by attempt and by chance."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from mockveo.simulator.fault import Fault
from mockveo.simulator.scenarios import Scenario
from mockveo.simulator.stores.store import Counters, Store

#: Counters that are kept of each kind. Arbitrary: more than the jobs of a test run.
MAX_COUNTERS: Final = 10_000


class Kills:
    """The kills of a world whose client's process a checker owns, `most` of them.

    Without a bound, a client that makes a new job after each kill would meet the kill of that job for ever.
    """

    def __init__(self, most: int) -> None:
        #: Kills the process; the checker sets it.
        self.strike: Callable[[], None] = lambda: None
        self._left = most

    def take(self) -> bool:
        """Use up one kill; return whether one was left."""
        self._left -= 1
        return self._left >= 0


class FaultSelector:
    """The counters of a world's requests, and the chance that follows from its seed."""

    def __init__(self, store: Store, seed: int | str) -> None:
        self._counts: Counters = store.counters("fault_counts", MAX_COUNTERS)
        self._attempts: Counters = store.counters("fault_attempts", MAX_COUNTERS)
        self._seed = seed

    def select(
        self, scenario: Scenario, operation: str, *, scope: str, subject: str, label: str = ""
    ) -> tuple[Fault, ...]:
        """Count a request and return the faults that apply to it.

        `scope` names the requests with which it is counted, `subject` those that count as attempts at the same.
        `label` replaces the scope in the draw of chance when the scope differs between runs.
        """
        if not any(fault.operation in (operation, "any") for fault in scenario.faults):
            return ()
        count = self._counts.increment(operation, scope)
        attempt = self._attempts.increment(operation, subject)
        selected = []
        for place, fault in enumerate(scenario.faults):
            applies = (
                fault.operation in (operation, "any")
                and (fault.nth is None or count in fault.nth)
                and (fault.every is None or count % fault.every == 0)
                and (fault.attempt is None or attempt in fault.attempt)
                and (
                    fault.probability is None
                    or self._chance(place, operation, label or scope, count) < fault.probability
                )
            )
            if applies:
                selected.append(fault)
        if not selected:
            self._attempts.reset(operation, subject)
        return tuple(selected)

    def clear(self) -> None:
        """Count all requests anew."""
        self._counts.clear()
        self._attempts.clear()

    def _chance(self, place: int, operation: str, label: str, count: int) -> float:
        # Not from the world's dice: requests about one job must not change the faults of another. Not a CRC: it is
        # linear, so two jobs or two faults would always be hit together or never.
        drawn = sha256(repr((self._seed, place, operation, label, count)).encode()).digest()
        return int.from_bytes(drawn[:8]) / 2**64
