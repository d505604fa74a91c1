"""Contract tests in pytest: each case of a client, and each check of a server, is a test.

    from mockveo_contracts.pytest import client_contract, server_contract

    test_client = client_contract(my_client)
    test_server = server_contract("http://127.0.0.1:8000")

makes `test_client[image/two-ordered]` and so on, `test_client[generated]`, and `test_server[job/text-only]` and so on.
`my_client` is a function that takes a Case, or the command of a program that speaks the client protocol.
"""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from mockveo.errors import MockveoError
from mockveo_contracts.clients.check import CheckPlan, check, chosen_by, drive, usual_count
from mockveo_contracts.reports import known_failures
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.reports.model import SkippedCase
from mockveo_contracts.reports.terminal import render_findings

if TYPE_CHECKING:
    from mockveo_contracts.servers.plan import VerifyPlan
    from mockveo_contracts.servers.verify import Verification

_T = TypeVar("_T")
#: The test of all generated cases.
GENERATED = "generated"


class ContractWarning(UserWarning):
    """A client or a server breaks a rule of severity SHOULD."""


def client_contract(
    client: Callable[[Any], Any] | Sequence[str],
    *,
    mode: str = "session",
    features: Mapping[str, Any] | None = None,
    cases: Sequence[str] = (),
    corpus: str | os.PathLike[str] | None = None,
    generated: int | None = None,
    seed: int = 0,
    strict: bool = False,
    known: str | os.PathLike[str] | None = None,
    profile: str = "docs-2026-03",
) -> Callable[..., None]:
    """A test function, with a parameter for each case, of a client.

    `mode` and `features` are as of `mockveo check`, and so are the others. A rule of severity SHOULD that is broken is
    a ContractWarning; with `strict` it fails. A known failure is an xfail. Raises MockveoError.
    """
    plan = CheckPlan(
        cases=tuple(cases),
        corpus=None if corpus is None else Path(corpus),
        generated=(0 if cases else usual_count(client)) if generated is None else generated,
        seed=seed,
        strict=strict,
        known=() if known is None else tuple(known_failures.read(Path(known))),
        profile=profile,
    )
    chosen = {one.name: one for one in chosen_by(plan)}
    held = _Held(lambda: drive(client, mode=mode, features=features, profile=profile))
    names = [*chosen, *([GENERATED] if plan.generated else [])]

    @pytest.mark.parametrize("case", names)
    def contract(case: str, request: pytest.FixtureRequest) -> None:
        driver = held.entered(request.config)
        one = () if case == GENERATED else (chosen[case],)
        again = f"pytest {shlex.quote(request.node.nodeid)}"
        report = check(driver, replace(plan, again=again, generated=plan.generated if case == GENERATED else 0), one)
        if report.aborted:
            pytest.fail(report.aborted, pytrace=False)
        _judge(report.findings, report.skipped, report.stale, strict=strict)

    return contract


def server_contract(url: str = "", *, fixture: str = "", plan: VerifyPlan | None = None) -> Callable[..., None]:
    """A test function, with a parameter for each check, of a server at a URL.

    `fixture` names a fixture that has the URL instead, of scope module or wider; `plan` is what is asked, and what it
    may cost, as of `mockveo verify`. What is broken is told as by `client_contract`. Raises MockveoError.
    """
    # Here, not above: who tests a client does not wait for it.
    from mockveo_contracts.servers.plan import VerifyPlan
    from mockveo_contracts.servers.verify import names, verification

    asked = plan or VerifyPlan(key=os.environ.get("COMETAPI_KEY"))
    held: dict[str, _Held[Verification]] = {}

    @pytest.mark.parametrize("check", names(asked))
    def contract(check: str, request: pytest.FixtureRequest) -> None:
        where = request.getfixturevalue(fixture) if fixture else url
        found = held.setdefault(where, _Held(lambda: _prepared(verification(where, asked)))).entered(request.config)
        before = len(found.report.skipped)
        (one,) = (one for one in found.checks() if one.name == check)
        findings = one.run()
        stale = [entry for entry in found.report.stale if entry.case == check]
        # What was done in part is judged by that part.
        played = any(case.name == check for case in found.report.cases)
        skipped = [] if played else found.report.skipped[before:]
        _judge(findings, skipped, stale, strict=asked.strict)

    return contract


def _prepared(verification: AbstractContextManager[Verification]) -> AbstractContextManager[Verification]:
    @contextmanager
    def prepared() -> Iterator[Verification]:
        with verification as found:
            found.prepare()
            yield found

    return prepared()


def _judge(
    findings: Sequence[Finding],
    skipped: Sequence[SkippedCase],
    stale: Sequence[KnownFailure],
    *,
    strict: bool,
) -> None:
    """Makes the outcome of a test of what was found."""
    if skipped:
        pytest.skip(skipped[0].reason)
    fresh = [finding for finding in findings if not finding.known]
    fatal = ("violation", "adapter error", *(("warning",) if strict else ()))
    broken = [finding for finding in fresh if finding.verdict in fatal]
    if broken:
        pytest.fail(render_findings(broken), pytrace=False)
    for finding in fresh:
        if finding.verdict == "warning":
            warnings.warn(render_findings([finding]), ContractWarning, stacklevel=2)
    if stale:
        pytest.fail("\n".join(entry.stale_message for entry in stale), pytrace=False)
    if findings and not fresh:
        pytest.xfail(_reasons(findings))


def _reasons(findings: Iterable[Finding]) -> str:
    known = ((finding.rule, finding.known) for finding in findings if finding.known)
    return "; ".join(f"{rule}: {entry.reason or entry.place}" for rule, entry in known)


class _Held(Generic[_T]):
    """Something that is entered with its first test, and left with pytest."""

    def __init__(self, make: Callable[[], AbstractContextManager[_T]]) -> None:
        self._make = make
        self._found: _T | None = None
        self._broken = ""

    def entered(self, config: pytest.Config) -> _T:
        """What it is that was entered; fails where it cannot be."""
        if self._found is None and not self._broken:
            stack = ExitStack()
            try:
                self._found = stack.enter_context(self._make())
            except MockveoError as error:
                # Once: a hundred tests are not to wait a hundred times for a program that does not start.
                self._broken = str(error)
            config.add_cleanup(stack.close)
        return self._found or pytest.fail(self._broken, pytrace=False)
