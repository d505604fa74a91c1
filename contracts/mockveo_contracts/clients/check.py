"""The check: plays the catalogue, a corpus and generated cases with a client, and reports which rules it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from mockveo.errors import SettingsError
from mockveo.http.origins import host_of
from mockveo.rules.client_rules import client_rules
from mockveo.settings import REDIS_URL
from mockveo.text import brief, counted
from mockveo_contracts.case import SPEED
from mockveo_contracts.cases import definitions
from mockveo_contracts.cases.definitions import CaseError, TestCase
from mockveo_contracts.cases.kills import kill_everywhere
from mockveo_contracts.cases.shards import WHOLE, Shard
from mockveo_contracts.clients.driver import Driver, DriverError, preflight
from mockveo_contracts.clients.recorder import ClientRecorder
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.interruption import Interrupted, Stop
from mockveo_contracts.reports.finding import COUNTED, FINDINGS, without_verdicts
from mockveo_contracts.reports.known_failures import KnownFailure, check_cases
from mockveo_contracts.reports.model import ClientSubject, Report

if TYPE_CHECKING:
    from mockveo_contracts.clients.search import Search

#: Cases in a row in which a client had to be ended, after which no more are played: each costs its whole wait.
MAX_ENDED: Final = 10
#: The same for a client that declares `deadline`. The catalogue has no more than two in a row that never end.
MAX_ENDED_WITH_DEADLINE: Final = 5
#: Our seconds that an end costs at least, to count: in virtual time a client's deadline may pass at once.
COSTLY_S: Final = 1.0
#: Cases in which a client uses up half of its time and breaks one rule, after which it is hurried; fewer may be chance.
ENOUGH: Final = 3
#: Seconds of a hurried case besides those of its scenario. Arbitrary: three times what a correct client needs.
HURRIED_S: Final = 0.8
#: Seconds that a client gets after its deadline once it had to be ended that often; arbitrary.
HURRIED_PATIENCE_S: Final = 1.0


@dataclass(frozen=True)
class CheckPlan:
    """What a check plays."""

    #: Patterns of the cases of the catalogue and the corpus; empty for all of them.
    cases: tuple[str, ...] = ()
    #: The directory of the user's own cases; failures of generated cases are written there.
    corpus: Path | None = None
    #: Whether the client is killed in each exchange of these cases, instead.
    everywhere: bool = False
    #: How many cases are generated.
    generated: int = 200
    #: The part of all these cases that is played.
    shard: Shard = WHOLE
    #: Seconds that are spent on making the failures of generated cases smaller.
    shrink_seconds: float = 5.0
    seed: int = 0
    strict: bool = False
    known: tuple[KnownFailure, ...] = ()
    #: The month of the requirements that count; empty for all there are.
    requirements: str = ""
    profile: str = "docs-2026-03"
    #: What the jobs of a case may cost; empty for no limit.
    budget: str = ""
    #: The command that repeats one case, with {case} in place of its name or file.
    again: str = ""
    #: Called after each case with its number, how many there are, its name, and how many findings it has.
    progress: Callable[[int, int, str, int], None] = field(default=lambda *_: None)
    stop: Stop = field(default_factory=Stop)
    #: Where a relative corpus begins, whatever directory a client changes to.
    root: Path = field(default_factory=Path.cwd)


class Shown:
    """What the cases of a client have shown so far, so that later ones do not wait for it, or look for it, again.

    A client that uses up its time again and again, and breaks the same rule each time, is hurried from then on: it gets
    hardly more time for a case than a correct client takes.
    """

    def __init__(self) -> None:
        #: Rules that were broken.
        self.broken: set[str] = set()
        #: In how many cases of used-up time each rule was broken, and the client had to be ended.
        self._counts = Counter[str]()
        self._ended = 0

    def add(self, run: CaseRun) -> None:
        """Add what a case has shown."""
        broken = {verdict.rule.id for verdict in run.verdicts() if verdict.verdict in FINDINGS}
        self.broken |= broken
        if _used_up(run):
            self._counts.update(broken)
            self._ended += _is_ended(run)

    @property
    def reason(self) -> str:
        """Why the client is hurried; empty if it is not."""
        rule, count = max(self._counts.items(), key=lambda item: item[1], default=("", 0))
        if self._ended >= ENOUGH:
            return f"it had to be ended in {self._ended} cases"
        return f"it broke {rule} and used up its time in {count} cases" if count >= ENOUGH else ""

    def fit(self, test_case: TestCase) -> TestCase:
        """Return a case as the client gets it."""
        if not self.reason:
            return test_case
        scenario = test_case.scenario
        needed = sum(phase.longest for phase in scenario.phases) / SPEED
        needed += sum((fault.retry_after or 0.0) + fault.delay for fault in scenario.faults)
        patience = HURRIED_PATIENCE_S if self._ended >= ENOUGH else None
        return replace(test_case, deadline=min(test_case.deadline, needed + HURRIED_S), patience=patience)


def _used_up(run: CaseRun) -> bool:
    """Return whether a client took all the time of a case, though a correct one would not, and it cost our time."""
    costly = run.clock == "time" or run.seconds >= COSTLY_S
    # One that gives up for another reason, such as a number of tries, may have taken as long.
    used_up = _is_ended(run) or (run.outcome or {})["outcome"] == "timeout" or _lasted(run) > run.test_case.deadline / 2
    return costly and run.test_case.usually_ends and used_up


def _lasted(run: CaseRun) -> float:
    """Return the seconds from the first exchange to the last, as the deadline of the case counts them."""
    seconds: float = run.trace[-1][run.clock] - run.trace[0][run.clock] if run.trace else 0.0
    return seconds / run.pace if run.clock == "at" else seconds


def _is_ended(run: CaseRun) -> bool:
    return bool((run.outcome or {}).get("ended_by"))


def check(
    driver: Driver, plan: CheckPlan, test_cases: Iterable[TestCase] | None = None, *, shown: Shown | None = None
) -> Report:
    """Play what a plan selects, or these cases instead, with a driver that has been entered.

    `shown` is what earlier checks of the same client have shown; what this one shows is added to it. Raises CaseError
    or ScenarioError for cases that do not exist or are invalid.
    """
    begun = perf_counter()
    new_search = _new_search() if plan.generated else None
    chosen = list(chosen_by(plan)) if test_cases is None else list(test_cases)
    check_cases(plan.known, [*definitions.catalogue(), *(test_case.name for test_case in chosen)])
    chosen = plan.shard.part(chosen)
    client = driver.client
    report = Report(
        subject=ClientSubject(client.name, client.version, client.features),
        rules=without_verdicts(client_rules().rules),
        seed=plan.seed,
        profile=plan.profile,
        strict=plan.strict,
        budget=plan.budget,
        known_failures=plan.known,
        requirements=plan.requirements,
        complete=test_cases is None and not plan.cases,
        shard="" if plan.shard == WHOLE else str(plan.shard),
    )
    possible = _possible(report, chosen, driver)
    shown = shown or Shown()
    guarded = _GuardedDriver(driver, plan.stop, shown)
    search = None
    if new_search is not None:
        search = new_search(guarded, driver.spec, plan.generated, plan.seed, shard=plan.shard, stop=plan.stop)
    try:
        _play(guarded, plan, ClientRecorder(report, reproduce=plan.again), _varied(possible), search)
    except DriverError as error:
        report.aborted = str(error)
    if shown.reason:
        report.notes.append(f"the client got less time for each case after {shown.reason}; --case gives it all again")
    report.sort(test_case.name for test_case in possible)
    report.seconds = perf_counter() - begun
    return report


def _play(
    driver: _GuardedDriver, plan: CheckPlan, recorder: ClientRecorder, given: Sequence[TestCase], search: Search | None
) -> None:
    """Play the given cases, and then those of a search, without a break between them. Raises DriverError."""
    total = len(given) + plan.shard.size(plan.generated)
    upcoming = given if search is None else chain(given, search.cases())
    ended: DriverError | None = None
    try:
        for number, run in enumerate(preflight(driver.play(upcoming)), 1):
            count = None if search is None else search.take(run)
            if count is None:
                findings = recorder.record(run)
                count = sum(finding.verdict in COUNTED and not finding.excuse for finding in findings)
            plan.progress(number, total, run.test_case.name, count)
    except DriverError as error:
        ended = error
    if search is not None:
        _shrink(search, plan, recorder, ended, driver.broken_before)
    elif ended is not None:
        raise ended


def _varied(test_cases: Sequence[TestCase]) -> list[TestCase]:
    """Return cases in a varied order: the first of each group, such as `create`, then the second of each, and so on.

    So the first few show something of everything, whatever keeps the others from being played, or hurries them.
    """
    sizes = Counter[str]()
    places = []
    for test_case in test_cases:
        group = test_case.name.partition("/")[0]
        places.append(sizes[group])
        sizes[group] += 1
    return [test_cases[index] for index in sorted(range(len(places)), key=places.__getitem__)]


def chosen_by(plan: CheckPlan) -> Iterable[TestCase]:
    """Return the cases of the catalogue and the corpus that a plan selects. Raises CaseError or ScenarioError."""
    cases = dict(definitions.catalogue())
    if plan.corpus is not None and (plan.root / plan.corpus).is_dir():
        cases |= {test_case.name: test_case for test_case in definitions.corpus(plan.corpus, plan.root)}
    return definitions.matching(plan.cases, cases) if plan.cases else cases.values()


def kills_everywhere(driver: Driver, plan: CheckPlan) -> list[TestCase]:
    """Play the cases of a plan once, or call/prompt-only; return them, and one with a kill for each exchange.

    Raises SettingsError for a client without `resume`, also if servers play that cannot kill it, and DriverError.
    """
    if not driver.client.features["resume"]:
        raise SettingsError(
            "--kill-everywhere is for clients that go on after a restart, and this one does not declare the feature"
            ' resume; expected it in the hello, "features":{"resume":true}, or --features resume, and no --through'
        )
    chosen = list(chosen_by(plan if plan.cases else replace(plan, cases=("call/prompt-only",))))
    cases = [test_case.fitted(driver.spec) for test_case in chosen]
    cases = [test_case for test_case in cases if not test_case.missing(driver.client.features)]
    killed = list[TestCase]()
    for run in driver.play(cases):
        operations = [exchange.operation for exchange in run.exchanges if exchange.operation]
        killed += kill_everywhere(run.test_case, operations)
    return [*cases, *killed]


def _possible(report: Report, chosen: Iterable[TestCase], driver: Driver) -> list[TestCase]:
    """Return the cases that the client has the features for and the API accepts; skip the others."""
    possible = []
    for test_case in (each.fitted(driver.spec) for each in chosen):
        missing, refused = test_case.missing(driver.client.features), test_case.refused_by(driver.spec)
        if refused:
            reason = f"the profile {report.profile} refuses its call: {refused}"
            report.skip(test_case.name, test_case.description, reason)
        elif missing:
            reason = f"the client does not declare {', '.join(missing)}"
            report.skip(test_case.name, test_case.description, reason)
        else:
            possible.append(test_case)
    return possible


def _new_search() -> type[Search]:
    # Imported lazily: without generated cases a check needs no hypothesis, and does not wait for its import.
    try:
        from mockveo_contracts.clients.search import Search
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"generated cases need {error.name}, which is missing: pip install 'mockveo[contracts]', or --generated 0"
        ) from None
    return Search


def _shrink(
    search: Search,
    plan: CheckPlan,
    recorder: ClientRecorder,
    ended: DriverError | None,
    broken_before: AbstractSet[str],
) -> None:
    """Record what a search has found, as small as it gets. Raises DriverError if the check has ended."""
    report = recorder.report
    broken = broken_before | {finding.rule for finding in report.findings if finding.rule is not None}
    result = search.finish(error=ended, broken_before=broken, shrink_s=plan.shrink_seconds)
    report.generated = result.played
    for rule, counts in result.counts.items():
        report.rules[rule].counts.update(counts)
    saved = 0
    for run, verdict in result.failures:
        rule = verdict.rule.id
        about = {"says": f"A generated case that broke {rule}.", "breaks": rule}
        test_case = definitions.parse_case({**run.test_case.data, **about})
        if plan.corpus is not None:
            try:
                test_case = definitions.write(test_case, plan.corpus, plan.root)
            except CaseError as error:
                report.notes.append(f"{error}; the case that broke {rule} is in the report only")
        saved += bool(test_case.file)
        recorder.record(replace(run, test_case=test_case), [verdict], counted=True)
    if saved:
        cases = counted(saved, "generated case")
        report.notes.append(f"{cases} saved in {plan.corpus}; commit the directory, and each check runs what is in it")
    if result.adapter_error is not None:
        recorder.record(result.adapter_error)
    if result.error is not None:
        raise result.error


class _GuardedDriver:
    """A driver that stops when the check is interrupted, or when a client has to be ended time and again."""

    def __init__(self, driver: Driver, stop: Stop, shown: Shown) -> None:
        self._driver, self._stop, self._shown = driver, stop, shown
        self.client, self.spec = driver.client, driver.spec
        #: Rules that earlier checks of the client have shown to be broken.
        self.broken_before = frozenset(shown.broken)
        self._ended = 0

    def play(self, test_cases: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Play cases, and yield each run when it is done. Raises DriverError when it stops."""
        # Each is fitted when it is given to the client, which by then has shown more.
        runs = iter(self._driver.play(map(self._shown.fit, test_cases)))
        while True:
            try:
                with self._stop.soon():
                    run = next(runs, None)
            except Interrupted as error:
                raise DriverError(str(error)) from None
            if run is None:
                return
            self._shown.add(run)
            yield run
            self._count_end(run)

    def _count_end(self, run: CaseRun) -> None:
        costly = run.clock == "time" or run.seconds >= COSTLY_S
        self._ended = self._ended + 1 if _is_ended(run) and costly else 0
        declared = self.client.features["deadline"]
        if self._ended >= (MAX_ENDED_WITH_DEADLINE if declared else MAX_ENDED):
            cause = "though it declares deadline" if declared else "as it gave no answer"
            raise DriverError(
                f"the client had to be ended in {self._ended} cases in a row, {cause}, the last of them"
                f" {run.test_case.name}; expected an answer to each, e.g. to one: --case call/prompt-only"
            )


def drive(
    client: Callable[[Any], Any] | Sequence[str],
    *,
    name: str = "",
    mode: str = "session",
    features: Mapping[str, Any] | None = None,
    factor: float = 1.0,
    parallel: int | None = None,
    profile: str = "docs-2026-03",
    overlay: Sequence[str] = (),
    budget: str | int | None = None,
    through: str | None = None,
    store: str | None = None,
) -> Driver:
    """Return the driver of a function, or of a program by its command. Raises MockveoError.

    A program's processes play side by side, `parallel` at most: 4, or 1 in mode run, unless given. `budget` is that of
    each case. `through` is the URL of servers that play the cases, and `store` the Redis that they share.
    """
    if through is not None or store is not None:
        _check_shared(through, store, is_function=callable(client), factor=factor)
    # Imported lazily: a function needs no processes, and a program no virtual time.
    settings = {"profile": profile, "overlay": overlay, "budget": budget, "store": store}
    if callable(client):
        from mockveo_contracts.clients.functions import Functions

        return Functions(client, name=name, features=features, settings=settings)
    from mockveo_contracts.clients.programs import Programs

    return Programs(
        client, mode=mode, features=features, factor=factor, parallel=parallel, settings=settings, through=through
    )


def _check_shared(through: str | None, store: str | None, *, is_function: bool, factor: float) -> None:
    """Raise SettingsError unless servers with a shared store can play the cases."""
    example = "e.g. --store redis://localhost --through http://127.0.0.1:8360"
    if through is None or store is None or not REDIS_URL.match(store):
        given = f"--store is {'missing' if store is None else 'given' if REDIS_URL.match(store) else brief(store)}"
        raise SettingsError(
            f"--through is {'missing' if through is None else 'given'}, and {given}; expected the URL of servers and"
            f" the Redis that they share, {example}"
        )
    if host_of(through) is None:
        raise SettingsError(f"--through is {brief(through)}; expected a scheme and a host without a path, {example}")
    if is_function or factor != 1:
        time = "virtual time, as a function has" if is_function else "the time of --accelerate"
        raise SettingsError(f"--through is given, and other servers do not know {time}; expected a program, {example}")


def usual_count(client: object) -> int:
    """Return how many cases are generated by default: a function's cost no time, a program's do."""
    return 200 if callable(client) else 40
