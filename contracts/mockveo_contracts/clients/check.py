"""The check: plays the catalogue, a corpus and generated cases with a client, and reports which rules it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from mockveo.errors import SettingsError
from mockveo.rules.client_rules import client_rules
from mockveo.text import counted
from mockveo_contracts.case import SPEED
from mockveo_contracts.cases import definitions
from mockveo_contracts.cases.definitions import CaseError, TestCase
from mockveo_contracts.clients.driver import Driver, DriverError, preflight
from mockveo_contracts.clients.recorder import ClientRecorder
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.interruption import Interrupted, Stop
from mockveo_contracts.reports.finding import COUNTED, FINDINGS
from mockveo_contracts.reports.known_failures import KnownFailure, check_cases
from mockveo_contracts.reports.model import ClientSubject, Report, without_verdicts

if TYPE_CHECKING:
    from mockveo_contracts.clients.search import SearchResult

#: Cases in a row in which a client had to be ended, after which no more are played: each costs its whole wait.
MAX_ENDED: Final = 10
#: The same for a client that declares `deadline`. The catalogue has no more than two in a row that never end.
MAX_ENDED_WITH_DEADLINE: Final = 5
#: Our seconds that an end costs at least, to count: in virtual time a client's deadline may pass at once.
COSTLY_S: Final = 1.0
#: Cases in which a client uses up its time and breaks the same rule, after which it is hurried. Arbitrary: fewer may be
#: chance, and each costs the whole deadline.
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
    #: How many cases are generated.
    generated: int = 200
    #: Seconds that are spent on making the failures of generated cases smaller.
    shrink_seconds: float = 5.0
    seed: int = 0
    strict: bool = False
    known: tuple[KnownFailure, ...] = ()
    profile: str = "docs-2026-03"
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
    return costly and run.test_case.usually_ends and (_is_ended(run) or (run.outcome or {})["outcome"] == "timeout")


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
    search = _search() if plan.generated else None
    chosen = list(chosen_by(plan)) if test_cases is None else list(test_cases)
    check_cases(plan.known, [*definitions.catalogue(), *(test_case.name for test_case in chosen)])
    client = driver.client
    report = Report(
        subject=ClientSubject(client.name, client.version, client.features),
        rules=without_verdicts(client_rules().rules),
        seed=plan.seed,
        profile=plan.profile,
        strict=plan.strict,
        known_failures=plan.known,
        complete=test_cases is None and not plan.cases,
    )
    recorder = ClientRecorder(report, reproduce=plan.again)
    possible = _possible(report, chosen, driver)
    shown = shown or Shown()
    guarded = _GuardedDriver(driver, plan.stop, shown)
    try:
        for number, run in enumerate(preflight(guarded.play(_varied(possible))), 1):
            findings = recorder.record(run)
            count = sum(finding.verdict in COUNTED and not finding.known_failure for finding in findings)
            plan.progress(number, len(possible) + plan.generated, run.test_case.name, count)
        if search is not None:
            _generated(partial(search, broken_before=set(shown.broken)), guarded, plan, recorder, len(possible))
    except DriverError as error:
        report.aborted = str(error)
    if shown.reason:
        report.notes.append(f"the client got less time for each case after {shown.reason}; --case gives it all again")
    report.sort(test_case.name for test_case in possible)
    report.seconds = perf_counter() - begun
    return report


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


def _search() -> Callable[..., SearchResult]:
    # Imported lazily: without generated cases a check needs no hypothesis, and does not wait for its import.
    try:
        from mockveo_contracts.clients.search import search
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"generated cases need {error.name}, which is missing: pip install 'mockveo[contracts]', or --generated 0"
        ) from None
    return search


def _generated(
    search: Callable[..., SearchResult], driver: _GuardedDriver, plan: CheckPlan, recorder: ClientRecorder, before: int
) -> None:
    report = recorder.report

    def progress(number: int, name: str, findings: int) -> None:
        plan.progress(before + number, before + plan.generated, name, findings)

    result = search(
        driver,
        driver.spec,
        plan.generated,
        plan.seed,
        shrink_s=plan.shrink_seconds,
        progress=progress,
        stop=plan.stop,
    )
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
) -> Driver:
    """Return the driver of a function, or of a program by its command. Raises MockveoError.

    A program's processes play side by side, `parallel` at most: 4, or 1 in mode run, unless given.
    """
    # Imported lazily: a function needs no processes, and a program no virtual time.
    settings = {"profile": profile}
    if callable(client):
        from mockveo_contracts.clients.functions import Functions

        return Functions(client, name=name, features=features, settings=settings)
    from mockveo_contracts.clients.programs import Programs

    return Programs(client, mode=mode, features=features, factor=factor, parallel=parallel, settings=settings)


def usual_count(client: object) -> int:
    """Return how many cases are generated by default: a function's cost no time, a program's do."""
    return 200 if callable(client) else 40
