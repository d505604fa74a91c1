"""The search for failures: plays generated cases, then looks for the smallest case that breaks each rule.

What is played is plain data, as the cases of the catalogue are, so a failure can be saved, played again and served by
hand. Three things bound the shrinking: every step takes a smaller case (`cases.shrinking.size`), only so many cases are
played for each rule, and all rules together get only so many seconds. All of it ends as soon as the check is
interrupted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from time import perf_counter
from typing import Any, Final, TypeAlias

from mockveo.errors import MockveoError
from mockveo.rules.engine import Verdict
from mockveo.spec.spec import Spec
from mockveo_contracts.cases import generation, shrinking
from mockveo_contracts.cases.definitions import GENERATED, TestCase, canonical, parse_case
from mockveo_contracts.clients.driver import Driver, DriverError
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.interruption import Interrupted, Stop
from mockveo_contracts.reports.finding import COUNTED, FINDINGS

Json: TypeAlias = Any
#: Called after each generated case with its number, its name, and how many rules it was the first to break.
Progress: TypeAlias = Callable[[int, str, int], None]

#: Cases that may be played to shrink one rule's failure; arbitrary, a function's take about a second.
MAX_SHRINK_RUNS: Final = 60
#: Seconds that shrinking takes by default. Arbitrary: enough for a rule or two of a program, or for many of a function.
SHRINK_S: Final = 5.0


@dataclass
class SearchResult:
    """The failures among generated cases."""

    #: Generated cases that were played.
    played: int = 0
    #: Verdicts, by rule.
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    #: For each rule that was broken, the smallest run that breaks it, with that verdict.
    failures: list[tuple[CaseRun, Verdict]] = field(default_factory=list)
    #: The first run with an adapter error.
    adapter_error: CaseRun | None = None
    #: Why the search ended early, if it did.
    error: DriverError | None = None


def search(
    driver: Driver,
    spec: Spec,
    count: int,
    seed: int,
    *,
    broken_before: AbstractSet[str] = frozenset(),
    max_shrink_runs: int = MAX_SHRINK_RUNS,
    shrink_s: float = SHRINK_S,
    progress: Progress = lambda *_: None,
    stop: Stop | None = None,
) -> SearchResult:
    """Play `count` generated cases, and shrink the failures of all rules but those in `broken_before`.

    If the client cannot be driven any more, or the check is interrupted, the result has what was found until then.
    """
    player = _Player(driver, stop or Stop())
    result = SearchResult()
    broken: set[str] = set()
    drawn = player.different(generation.draw(spec, driver.client.features, count, seed), count)
    for played in player.play_all(drawn):
        new = played.broken.keys() - broken
        broken |= new
        for verdict in played.verdicts:
            result.counts.setdefault(verdict.rule.id, Counter())[verdict.verdict] += 1
        progress(player.count, played.run.test_case.name, sum(played.broken[rule].verdict in COUNTED for rule in new))
    result.played, result.adapter_error = player.count, player.adapter_error
    # In the order in which they were drawn, whichever was done first.
    first: dict[str, Json] = {}
    for data in drawn:
        for rule in player.broken_by(data):
            first.setdefault(rule, data)
    fresh = [rule for rule in first if rule not in broken_before]
    until = perf_counter() + shrink_s
    for number, rule in enumerate(fresh):
        # Each gets its share of what is left, so that the first does not take it all.
        share = max(until - perf_counter(), 0.0) / (len(fresh) - number)
        smallest = _shrink(player, rule, first[rule], player.count + max_shrink_runs, perf_counter() + share)
        result.failures.append(player.failure(smallest, rule))
    result.error = player.error
    return result


def _shrink(player: _Player, rule: str, data: Json, last_run: int, until: float) -> Json:
    """Return the smallest case that breaks a rule, as far as the limits allow."""
    smallest, shrunk = data, True
    while shrunk:
        shrunk = False
        for candidate in shrinking.candidates(smallest):
            if player.ended or perf_counter() > until:
                return smallest
            if player.count >= last_run and not player.has_played(candidate):
                continue
            played = player.play(candidate)
            if played is not None and rule in played.broken:
                smallest, shrunk = candidate, True
                break
    return smallest


@dataclass(frozen=True)
class _PlayedCase:
    run: CaseRun
    verdicts: list[Verdict]

    @cached_property
    def broken(self) -> Mapping[str, Verdict]:
        """The rules that the case breaks, with their verdicts."""
        return {verdict.rule.id: verdict for verdict in self.verdicts if verdict.verdict in FINDINGS}


class _Player:
    """Plays each case once, and remembers what came of it."""

    def __init__(self, driver: Driver, stop: Stop) -> None:
        self._driver, self._stop = driver, stop
        self._played: dict[str, _PlayedCase] = {}
        self.adapter_error: CaseRun | None = None
        self.error: DriverError | None = None

    @property
    def count(self) -> int:
        """Cases that were played."""
        return len(self._played)

    @property
    def ended(self) -> bool:
        """Whether no case can be played any more."""
        if self._stop.asked and self.error is None:
            self.error = DriverError(str(Interrupted()))
        return self.error is not None

    def different(self, drawn: Iterable[Json], count: int) -> list[Json]:
        """Return the first `count` cases that are valid and differ."""
        data_by_name: dict[str, Json] = {}
        for data in drawn:
            test_case = self._test_case(data)
            if test_case is not None:
                data_by_name.setdefault(test_case.name, data)
            if self.ended or len(data_by_name) >= count:
                break
        return list(data_by_name.values())

    def has_played(self, data: Json) -> bool:
        """Whether a case was played."""
        return canonical(data) in self._played

    def broken_by(self, data: Json) -> Iterable[str]:
        """Return the rules that a case has broken; none if it was not played."""
        return self._played[canonical(data)].broken if self.has_played(data) else ()

    def failure(self, data: Json, rule: str) -> tuple[CaseRun, Verdict]:
        """Return the run of a case that broke a rule, with that verdict."""
        played = self._played[canonical(data)]
        return played.run, played.broken[rule]

    def play(self, data: Json) -> _PlayedCase | None:
        """Play a case, unless it was played before; None if it is not valid or the client is gone."""
        if not self.has_played(data):
            for _ in self.play_all([data]):
                pass
        return self._played.get(canonical(data))

    def play_all(self, cases: Iterable[Json]) -> Iterator[_PlayedCase]:
        """Play cases that were not played before, and yield what came of each when it is done."""
        texts: dict[str, str] = {}
        test_cases = []
        for data in cases:
            test_case = self._test_case(data)
            if test_case is not None:
                texts[test_case.name] = canonical(data)
                test_cases.append(test_case)
        try:
            for run in self._driver.play(takewhile(lambda _: not self.ended, test_cases)):
                if run.adapter_error and self.adapter_error is None:
                    self.adapter_error = run
                played = self._played[texts[run.test_case.name]] = _PlayedCase(run, run.verdicts())
                yield played
        except DriverError as error:
            self.error = error

    def _test_case(self, data: Json) -> TestCase | None:
        """Return a case with a name of its own; None if it is not valid."""
        name = f"{GENERATED}{hashlib.sha256(canonical(data).encode()).hexdigest()[:8]}"
        try:
            return parse_case(data, name).fitted(self._driver.spec)
        except MockveoError:
            return None
