"""Contract tests in pytest: each case is a test.

    from mockveo_contracts.pytest import client_contract

    test_client = client_contract(my_client)

makes `test_client[image/two-ordered]` and so on, and `test_client[generated]`. `my_client` is a function that takes a
Case, or the command of a program that speaks the client protocol.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mockveo.errors import MockveoError
from mockveo_contracts import known as known_failures
from mockveo_contracts.check import Plan, check, chosen_by
from mockveo_contracts.drivers import Driver, drive, usual_count
from mockveo_contracts.report import Report
from mockveo_contracts.terminal import told

#: The test of all generated cases.
GENERATED = "generated"


class ContractWarning(UserWarning):
    """A client breaks a rule of severity SHOULD."""


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
    plan = Plan(
        cases=tuple(cases),
        corpus=None if corpus is None else Path(corpus),
        generated=usual_count(client) if generated is None else generated,
        seed=seed,
        strict=strict,
        known=() if known is None else tuple(known_failures.read(Path(known))),
        profile=profile,
    )
    chosen = {one.name: one for one in chosen_by(plan)}
    held = _Held(lambda: drive(client, mode=mode, features=features, seed=seed, profile=profile))
    names = [*chosen, *([GENERATED] if plan.generated and not cases else [])]

    @pytest.mark.parametrize("case", names)
    def contract(case: str, request: pytest.FixtureRequest) -> None:
        driver = held.driver(request.config)
        one = () if case == GENERATED else (chosen[case],)
        _judge(check(driver, plan if case == GENERATED else replace(plan, generated=0), one))

    return contract


def _judge(report: Report) -> None:
    """Makes the outcome of a test of a report."""
    if report.stopped:
        pytest.fail(report.stopped, pytrace=False)
    if report.skipped:
        pytest.skip(report.skipped[0]["why"])
    fresh = [one for one in report.findings if not one["known"]]
    fatal = ("violation", "adapter error", *(("warning",) if report.strict else ()))
    broken = [one for one in fresh if one["verdict"] in fatal]
    if broken:
        pytest.fail(told(broken), pytrace=False)
    for one in fresh:
        if one["verdict"] == "warning":
            warnings.warn(told([one]), ContractWarning, stacklevel=2)
    if report.stale:
        stale = (f"{entry} is stale: the rule is not broken there any more" for entry in report.stale)
        pytest.fail("\n".join(stale), pytrace=False)
    if report.findings and not fresh:
        pytest.xfail(_reasons(report.findings))


def _reasons(findings: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(f"{one['rule']}: {one['known']['reason'] or one['known']['place']}" for one in findings)


class _Held:
    """A driver that is entered with its first test, and left with pytest."""

    def __init__(self, make: Callable[[], Driver]) -> None:
        self._make = make
        self._driver: Driver | None = None
        self._broken = ""

    def driver(self, config: pytest.Config) -> Driver:
        if self._driver is None and not self._broken:
            try:
                driver = self._driver = self._make().__enter__()
            except MockveoError as error:
                # Once: a hundred tests are not to wait a hundred times for a program that does not start.
                self._broken = str(error)
            else:
                config.add_cleanup(lambda: driver.__exit__(None, None, None))
        return self._driver or pytest.fail(self._broken, pytrace=False)
