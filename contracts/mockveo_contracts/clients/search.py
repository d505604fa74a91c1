"""The search for failures: plays generated cases, then looks for the smallest case that breaks each rule.

What is played is plain data, as the cases of the catalogue are, so a failure can be saved, played again and served by
hand. Three things bound the shrinking: every step takes a smaller case (`cases.shrinking.size`), only so many cases are
played for each rule, and all rules together get only so many seconds. All of it ends as soon as the check is
interrupted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from time import perf_counter
from typing import Any, Final, TypeAlias

from mockveo.errors import MockveoError
from mockveo.rules.engine import Verdict
from mockveo.spec.spec import Spec
from mockveo_contracts.cases import generation, shrinking
from mockveo_contracts.cases.definitions import GENERATED, TestCase, canonical, parse_case
from mockveo_contracts.cases.shards import WHOLE, Shard
from mockveo_contracts.clients.driver import CasePlayer, DriverError
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.interruption import Interrupted, Stop
from mockveo_contracts.reports.finding import COUNTED, FINDINGS

Json: TypeAlias = Any
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


class Search:
    """A search in two steps: `cases`, each of whose runs is given to `take`, and `finish`, which shrinks the failures.

    So the caller can play generated cases together with others.
    """

    def __init__(
        self,
        driver: CasePlayer,
        spec: Spec,
        count: int,
        seed: int,
        *,
        shard: Shard = WHOLE,
        stop: Stop | None = None,
    ) -> None:
        self._player = _Player(driver, stop or Stop())
        self._spec, self._count, self._seed, self._shard = spec, count, seed, shard
        self._drawn: list[Json] = []
        self._broken: set[str] = set()
        self._result = SearchResult()

    def cases(self) -> Iterator[TestCase]:
        """Draw cases of the shard that are valid and differ, each when it is asked for, until the search ends."""
        drawn = generation.draw(self._spec, self._player.client.features, self._count, self._seed)
        for data, test_case in self._shard.pick(islice(self._player.different(drawn), self._count)):
            self._drawn.append(data)
            yield test_case

    def take(self, run: CaseRun) -> int | None:
        """Take the run of a case; return how many rules it was the first to break.

        None if the case was not drawn here.
        """
        played = self._player.take(run)
        if played is None:
            return None
        new = played.broken.keys() - self._broken
        self._broken |= new
        for verdict in played.verdicts:
            self._result.counts.setdefault(verdict.rule.id, Counter())[verdict.verdict] += 1
        self._result.played += 1
        return sum(played.broken[rule].verdict in COUNTED for rule in new)

    def finish(
        self,
        *,
        error: DriverError | None = None,
        broken_before: AbstractSet[str] = frozenset(),
        max_shrink_runs: int = MAX_SHRINK_RUNS,
        shrink_s: float = SHRINK_S,
    ) -> SearchResult:
        """Shrink the failures of all rules but those in `broken_before`; return what was found.

        `error` is why the cases could not all be played, if so; the failures then stay as they were drawn.
        """
        player, result = self._player, self._result
        player.error = player.error or error
        # In the order in which they were drawn, whichever was done first.
        first: dict[str, Json] = {}
        for data in self._drawn:
            for rule in player.broken_by(data):
                first.setdefault(rule, data)
        fresh = [rule for rule in first if rule not in broken_before]
        until = perf_counter() + shrink_s
        for number, rule in enumerate(fresh):
            # Each gets its share of what is left, so that the first does not take it all.
            share = max(until - perf_counter(), 0.0) / (len(fresh) - number)
            smallest = _shrink(player, rule, first[rule], player.count + max_shrink_runs, perf_counter() + share)
            result.failures.append(player.failure(smallest, rule))
        result.adapter_error, result.error = player.adapter_error, player.error
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

    def __init__(self, driver: CasePlayer, stop: Stop) -> None:
        self._driver, self._stop = driver, stop
        self.client = driver.client
        self._played: dict[str, _PlayedCase] = {}
        #: The data of each case, as canonical text, by its name.
        self._texts: dict[str, str] = {}
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

    def different(self, drawn: Iterable[Json]) -> Iterator[tuple[Json, TestCase]]:
        """Yield cases that are valid and differ, with their data, until no case can be played any more."""
        for data in drawn:
            if self.ended:
                return
            before = len(self._texts)
            test_case = self._test_case(data)
            if test_case is not None and len(self._texts) > before:
                yield data, test_case

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
            test_case = self._test_case(data)
            try:
                for run in self._driver.play([test_case] if test_case is not None else []):
                    self.take(run)
            except DriverError as error:
                self.error = error
        return self._played.get(canonical(data))

    def take(self, run: CaseRun) -> _PlayedCase | None:
        """Remember what came of a case; None if it is another's."""
        text = self._texts.get(run.test_case.name)
        if text is None:
            return None
        if run.adapter_error and self.adapter_error is None:
            self.adapter_error = run
        played = self._played[text] = _PlayedCase(run, run.verdicts())
        return played

    def _test_case(self, data: Json) -> TestCase | None:
        """Return a case with a name of its own; None if it is not valid."""
        text = canonical(data)
        name = f"{GENERATED}{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        try:
            test_case = parse_case(data, name).fitted(self._driver.spec)
        except MockveoError:
            return None
        self._texts[name] = text
        return test_case
