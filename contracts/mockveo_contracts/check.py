"""The check: plays the catalogue, a corpus and generated cases with a client, and reports which rules it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mockveo.errors import SettingsError
from mockveo.spec import Spec
from mockveo_contracts import scripts
from mockveo_contracts.client_report import ClientReport
from mockveo_contracts.drivers import Driver, DriverError
from mockveo_contracts.known import Entry, check_cases
from mockveo_contracts.report import TOLD
from mockveo_contracts.scripts import Script

if TYPE_CHECKING:
    from mockveo_contracts.generated import Search


@dataclass(frozen=True)
class Plan:
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


def check(driver: Driver, plan: Plan, played: Iterable[Script] | None = None) -> ClientReport:
    """Plays what a plan asks for with a driver that has been entered, or these scripts instead of those it names.

    Raises ScriptError or ScenarioError for cases that do not exist or are none.
    """
    begun = perf_counter()
    search = _search() if plan.generated else None
    chosen = list(chosen_by(plan)) if played is None else list(played)
    check_cases(plan.known, [*scripts.catalogue(), *(one.name for one in chosen)])
    report = ClientReport(
        driver.client, again=plan.again, seed=plan.seed, profile=plan.profile, strict=plan.strict, known=plan.known,
        whole=played is None and not plan.cases,
    )  # fmt: skip
    possible = _possible(report, chosen, driver.spec)
    try:
        for number, play in enumerate(driver.play(possible), 1):
            found = report.judged(play)
            count = sum(one["verdict"] in TOLD and not one["known"] for one in found)
            plan.progress(number, len(possible) + plan.generated, play.script.name, count)
        if search is not None:
            _generated(search, driver, plan, report, len(possible))
    except DriverError as error:
        report.stopped = str(error)
    report.seconds = perf_counter() - begun
    return report


def chosen_by(plan: Plan) -> Iterable[Script]:
    """The scripts of the catalogue and the corpus that a plan names. Raises ScriptError or ScenarioError."""
    saved = scripts.corpus(plan.corpus) if plan.corpus is not None and plan.corpus.is_dir() else ()
    known = dict(scripts.catalogue()) | {one.name: one for one in saved}
    return scripts.matching(plan.cases, known) if plan.cases else known.values()


def _possible(report: ClientReport, chosen: Iterable[Script], spec: Spec) -> list[Script]:
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


def _search() -> Callable[..., Search]:
    # Here, not above: who plays the catalogue alone needs no hypothesis, and does not wait for it.
    try:
        from mockveo_contracts.generated import search
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"generated cases need {error.name}, which is missing: pip install 'mockveo[contracts]', or --generated 0"
        ) from None
    return search


def _generated(search: Callable[..., Search], driver: Driver, plan: Plan, report: ClientReport, before: int) -> None:
    broken = {str(one["rule"]) for one in report.findings}

    def told(number: int, name: str, findings: int) -> None:
        plan.progress(before + number, before + plan.generated, name, findings)

    found = search(driver, driver.spec, plan.generated, plan.seed, known=broken, progress=told)
    report.generated = found.played
    for rule, counts in found.counts.items():
        report.counts[rule] += counts
    for play, verdict in found.found:
        about = {"says": f"A generated case that broke {verdict.rule.id}.", "breaks": verdict.rule.id}
        one = scripts.script({**play.script.data, **about})
        if plan.corpus is not None:
            one = scripts.write(one, plan.corpus)
        report.judged(replace(play, script=one), [verdict], counted=True)
    if found.adapter_error is not None:
        report.judged(found.adapter_error)


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
        from mockveo_contracts.functions import Functions

        return Functions(client, name=name, features=features, stage=stage)
    from mockveo_contracts.programs import Programs

    return Programs(client, mode=mode, features=features, factor=factor, stage=stage)


def usual_count(client: object) -> int:
    """How many cases are generated where nothing is said: a function's cost no time, a program's do."""
    return 200 if callable(client) else 40
