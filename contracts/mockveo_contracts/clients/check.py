"""The check: plays the catalogue, a corpus and generated cases with a client, and reports which rules it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from mockveo.errors import SettingsError
from mockveo.spec.spec import Spec
from mockveo_contracts.cases import definitions
from mockveo_contracts.cases.definitions import CaseError, TestCase
from mockveo_contracts.clients.client_report import ClientReport
from mockveo_contracts.clients.driver import Driver, DriverError
from mockveo_contracts.clients.interruption import Interrupted, Stop
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.known_failures import Entry, check_cases
from mockveo_contracts.reports.model import TOLD

if TYPE_CHECKING:
    from mockveo_contracts.clients.search import SearchResult

#: Cases in a row in which a client had to be ended, after which it is given no more: each costs its whole wait.
MOST_ENDED: Final = 10
#: The same for one that says that it keeps deadlines. The catalogue has no more than two in a row that never end.
MOST_ENDED_IN_TIME: Final = 5
#: Our seconds that an end costs at least, to count: in virtual time a client's deadline may pass at once.
COSTLY: Final = 1.0


@dataclass(frozen=True)
class CheckPlan:
    """What is to be played."""

    #: Patterns of the cases of the catalogue and the corpus; empty for all of them.
    cases: tuple[str, ...] = ()
    #: Where scripts of the user's own are, and where failures that are found are written.
    corpus: Path | None = None
    #: How many cases are generated.
    generated: int = 200
    seed: int = 0
    strict: bool = False
    known: tuple[Entry, ...] = ()
    profile: str = "docs-2026-03"
    #: What repeats one case, with {case} in the place of its name or file.
    again: str = ""
    #: Told of each case as it is done: its number, how many there are, its name, and how many findings it has.
    progress: Callable[[int, int, str, int], None] = field(default=lambda *_: None)
    #: What may end the check before its time.
    stop: Stop = field(default_factory=Stop)
    #: Where a corpus that is relative begins, whatever directory a client goes to.
    root: Path = field(default_factory=Path.cwd)


def check(driver: Driver, plan: CheckPlan, played: Iterable[TestCase] | None = None) -> ClientReport:
    """Plays what a plan asks for with a driver that has been entered, or these scripts instead of those it names.

    Raises CaseError or ScenarioError for cases that do not exist or are none.
    """
    begun = perf_counter()
    search = _search() if plan.generated else None
    chosen = list(chosen_by(plan)) if played is None else list(played)
    check_cases(plan.known, [*definitions.catalogue(), *(one.name for one in chosen)])
    report = ClientReport(
        driver.client, again=plan.again, seed=plan.seed, profile=plan.profile, strict=plan.strict, known=plan.known,
        whole=played is None and not plan.cases,
    )  # fmt: skip
    possible = _possible(report, chosen, driver.spec)
    watched = _Watched(driver, plan.stop)
    try:
        for number, play in enumerate(watched.play(possible), 1):
            found = report.judged(play)
            count = sum(one["verdict"] in TOLD and not one["known"] for one in found)
            plan.progress(number, len(possible) + plan.generated, play.script.name, count)
        if search is not None:
            _generated(search, watched, plan, report, len(possible))
    except DriverError as error:
        report.stopped = str(error)
    report.seconds = perf_counter() - begun
    return report


def chosen_by(plan: CheckPlan) -> Iterable[TestCase]:
    """The scripts of the catalogue and the corpus that a plan names. Raises CaseError or ScenarioError."""
    there = plan.corpus is not None and (plan.root / plan.corpus).is_dir()
    saved = definitions.corpus(plan.corpus, plan.root) if plan.corpus is not None and there else ()
    known = dict(definitions.catalogue()) | {one.name: one for one in saved}
    return definitions.matching(plan.cases, known) if plan.cases else known.values()


def _possible(report: ClientReport, chosen: Iterable[TestCase], spec: Spec) -> list[TestCase]:
    """The scripts that a client has the features for, and whose calls are none that the document refuses."""
    possible = []
    for one in (each.fitted(spec) for each in chosen):
        lacks, refused = one.missing(report.client.features), one.refused_by(spec)
        if refused:
            report.skip(one.name, one.says, f"the profile {report.profile} refuses its call: {refused}")
        elif lacks:
            report.skip(one.name, one.says, f"the client does not declare {', '.join(lacks)}")
        else:
            possible.append(one)
    return possible


def _search() -> Callable[..., SearchResult]:
    # Here, not above: who plays the catalogue alone needs no hypothesis, and does not wait for it.
    try:
        from mockveo_contracts.clients.search import search
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"generated cases need {error.name}, which is missing: pip install 'mockveo[contracts]', or --generated 0"
        ) from None
    return search


def _generated(
    search: Callable[..., SearchResult], driver: _Watched, plan: CheckPlan, report: ClientReport, before: int
) -> None:
    broken = {str(one["rule"]) for one in report.findings}

    def told(number: int, name: str, findings: int) -> None:
        plan.progress(before + number, before + plan.generated, name, findings)

    found = search(driver, driver.spec, plan.generated, plan.seed, broken_before=broken, progress=told, stop=plan.stop)
    report.generated = found.played
    for rule, counts in found.counts.items():
        report.counts[rule] += counts
    for play, verdict in found.failures:
        about = {"says": f"A generated case that broke {verdict.rule.id}.", "breaks": verdict.rule.id}
        one = definitions.script({**play.script.data, **about})
        if plan.corpus is not None:
            try:
                one = definitions.write(one, plan.corpus, plan.root)
            except CaseError as error:
                report.notes.append(f"{error}; what {verdict.rule.id} was broken by is in the report alone")
        report.judged(replace(play, script=one), [verdict], counted=True)
    if found.adapter_error is not None:
        report.judged(found.adapter_error)
    if found.error is not None:
        raise found.error


class _Watched:
    """A driver that gives up where a check is to end, or where a client has to be ended time and again."""

    def __init__(self, driver: Driver, stop: Stop) -> None:
        self._driver, self._stop = driver, stop
        self.client, self.spec = driver.client, driver.spec
        self._ended = 0

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Plays scripts, as they are done. Raises DriverError where there will be no more."""
        plays = iter(self._driver.play(scripts))
        while True:
            begun = perf_counter()
            try:
                with self._stop.soon():
                    play = next(plays, None)
            except Interrupted as error:
                raise DriverError(str(error)) from None
            if play is None:
                return
            yield play
            self._look_at(play, perf_counter() - begun)

    def _look_at(self, play: CaseRun, seconds: float) -> None:
        ended_by = (play.outcome or {}).get("ended_by")
        # Of several that are open at once, the first has waited for all.
        costly = play.clock == "time" or seconds >= COSTLY
        self._ended = self._ended + 1 if ended_by and costly else 0
        declared = self.client.features["deadline"]
        if self._ended >= (MOST_ENDED_IN_TIME if declared else MOST_ENDED):
            says = "though it declares deadline" if declared else "as it gave no answer"
            raise DriverError(
                f"the client had to be ended in {self._ended} cases in a row, {says}, the last of them"
                f" {play.script.name}; wanted an answer to each, e.g. to one: --case call/prompt-only"
            )


def drive(
    client: Callable[[Any], Any] | Sequence[str],
    *,
    name: str = "",
    mode: str = "session",
    features: Mapping[str, Any] | None = None,
    factor: float = 1.0,
    profile: str = "docs-2026-03",
) -> Driver:
    """The driver of a function, or of a program by its command. Raises MockveoError."""
    # Here, not above: a function needs no processes, and a program no virtual time.
    stage = {"profile": profile}
    if callable(client):
        from mockveo_contracts.clients.functions import Functions

        return Functions(client, name=name, features=features, stage=stage)
    from mockveo_contracts.clients.programs import Programs

    return Programs(client, mode=mode, features=features, factor=factor, stage=stage)


def usual_count(client: object) -> int:
    """How many cases are generated where nothing is said: a function's cost no time, a program's do."""
    return 200 if callable(client) else 40
