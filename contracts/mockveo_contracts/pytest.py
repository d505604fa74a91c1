"""Contract tests in pytest: a test for each case of a client, and for each check of a server.

    from mockveo_contracts.pytest import client_contract, server_contract

    test_client = client_contract(my_client)
    test_server = server_contract("http://127.0.0.1:8000")

This makes `test_client[image/two-ordered]` and so on, `test_client[generated]`, and `test_server[job/text-only]` and
so on. `my_client` is a function that takes a Case, or the command of a program that speaks the client protocol.
"""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pytest

from mockveo.errors import MockveoError
from mockveo.rules.requirements import month
from mockveo_contracts.clients.check import CheckPlan, Shown, check, chosen_by, drive, usual_count
from mockveo_contracts.clients.driver import preflighted
from mockveo_contracts.reports import known_failures
from mockveo_contracts.reports.case_result import SkippedCase
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.reports.terminal import render_findings

if TYPE_CHECKING:
    from mockveo_contracts.servers.plan import VerifyPlan
    from mockveo_contracts.servers.verify import Verification

_T = TypeVar("_T")
#: The name of the test of all generated cases.
GENERATED = "generated"


class ContractWarning(UserWarning):
    """A rule of severity SHOULD is broken by a client or a server."""


def client_contract(
    client: Callable[[Any], Any] | Sequence[str],
    *,
    mode: Literal["session", "once", "run"] = "session",
    features: Mapping[str, int | bool] | None = None,
    parallel: int | None = None,
    cases: Sequence[str] = (),
    corpus: str | os.PathLike[str] | None = None,
    generated: int | None = None,
    shrink_seconds: float = 5.0,
    seed: int = 0,
    strict: bool = False,
    known: str | os.PathLike[str] | None = None,
    requirements: str = "",
    profile: str = "docs-2026-03",
) -> Callable[..., None]:
    """Return a test function of a client, with a parameter for each case.

    The keywords are the options of `mockveo check`. A broken rule of severity SHOULD is a ContractWarning; with
    `strict` it fails the test. A known failure is an xfail, as is what is newer than `requirements`, a month. Raises
    MockveoError.
    """
    plan = CheckPlan(
        cases=tuple(cases),
        corpus=None if corpus is None else Path(corpus),
        generated=(0 if cases else usual_count(client)) if generated is None else generated,
        shrink_seconds=shrink_seconds,
        seed=seed,
        strict=strict,
        known=() if known is None else tuple(known_failures.read(Path(known))),
        requirements=month(requirements) if requirements else "",
        profile=profile,
    )
    chosen = {test_case.name: test_case for test_case in chosen_by(plan)}
    shared = _Shared(
        lambda: preflighted(
            drive(client, mode=mode, features=features, parallel=parallel, profile=profile), chosen.values()
        )
    )
    names = [*chosen, *([GENERATED] if plan.generated else [])]
    shown = Shown()

    @pytest.mark.parametrize("case", names)
    def contract(case: str, request: pytest.FixtureRequest) -> None:
        driver = shared.entered(request.config)
        test_cases = () if case == GENERATED else (chosen[case],)
        generated_count = plan.generated if case == GENERATED else 0
        again = f"pytest {shlex.quote(request.node.nodeid)}"
        report = check(driver, replace(plan, again=again, generated=generated_count), test_cases, shown=shown)
        if report.aborted:
            pytest.fail(report.aborted, pytrace=False)
        _judge(report.findings, report.skipped, report.stale, strict=strict)

    return contract


def server_contract(url: str = "", *, fixture: str = "", plan: VerifyPlan | None = None) -> Callable[..., None]:
    """Return a test function of a server, with a parameter for each check.

    Instead of a URL, `fixture` may name a fixture of scope module or wider that returns it. `plan` holds the options
    of `mockveo verify`. Broken rules are reported as by `client_contract`. Raises MockveoError.
    """
    # Imported lazily, because tests of clients do not need it.
    from mockveo_contracts.servers.plan import VerifyPlan
    from mockveo_contracts.servers.verify import names, verification

    used_plan = plan or VerifyPlan(key=os.environ.get("COMETAPI_KEY"))
    shared: dict[str, _Shared[Verification]] = {}

    @pytest.mark.parametrize("check", names(used_plan))
    def contract(check: str, request: pytest.FixtureRequest) -> None:
        server = request.getfixturevalue(fixture) if fixture else url
        if server not in shared:
            shared[server] = _Shared(lambda: _prepared(verification(server, used_plan)))
        running = shared[server].entered(request.config)
        report = running.report
        skipped_before = len(report.skipped)
        (server_check,) = (candidate for candidate in running.checks() if candidate.name == check)
        findings = server_check.run()
        stale = [entry for entry in report.stale if entry.case == check]
        # A check that ran in part is judged by that part.
        ran = any(case.name == check for case in report.cases)
        skipped = [] if ran else report.skipped[skipped_before:]
        _judge(findings, skipped, stale, strict=used_plan.strict)

    return contract


def _prepared(verification: AbstractContextManager[Verification]) -> AbstractContextManager[Verification]:
    @contextmanager
    def prepared() -> Iterator[Verification]:
        with verification as running:
            running.prepare()
            yield running

    return prepared()


def _judge(
    findings: Sequence[Finding],
    skipped: Sequence[SkippedCase],
    stale: Sequence[KnownFailure],
    *,
    strict: bool,
) -> None:
    """Turn findings into the outcome of a test."""
    if skipped:
        pytest.skip(skipped[0].reason)
    fresh = [finding for finding in findings if not finding.excuse]
    fatal = {"violation", "adapter error", "warning"} if strict else {"violation", "adapter error"}
    failures = [finding for finding in fresh if finding.verdict in fatal]
    if failures:
        pytest.fail(render_findings(failures), pytrace=False)
    for finding in fresh:
        if finding.verdict == "warning":
            warnings.warn(render_findings([finding]), ContractWarning, stacklevel=2)
    if stale:
        pytest.fail("\n".join(entry.stale_message for entry in stale), pytrace=False)
    if findings and not fresh:
        pytest.xfail(_reasons(findings))


def _reasons(findings: Iterable[Finding]) -> str:
    return "; ".join(f"{finding.rule}: {finding.excuse}" for finding in findings if finding.excuse)


class _Shared(Generic[_T]):
    """A context manager that the first test enters and the end of pytest leaves."""

    def __init__(self, make: Callable[[], AbstractContextManager[_T]]) -> None:
        self._make = make
        self._value: _T | None = None
        self._broken = ""

    def entered(self, config: pytest.Config) -> _T:
        """Return the entered value; fail the test if entering failed."""
        if self._value is None and not self._broken:
            stack = ExitStack()
            try:
                self._value = stack.enter_context(self._make())
            except MockveoError as error:
                # Tried once: a hundred tests must not wait a hundred times for a program that does not start.
                self._broken = str(error)
            config.add_cleanup(stack.close)
        return self._value or pytest.fail(self._broken, pytrace=False)
