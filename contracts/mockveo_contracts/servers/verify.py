"""The verification of a server: it sends probes, within a budget, and reports which rules the server breaks.

from mockveo_contracts.verify import Plan, verify

data = verify("http://127.0.0.1:8360", Plan())
assert data["exit_status"] == 0, data["findings"]
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from typing import Any, Final, NamedTuple

from mockveo._paths import profiles
from mockveo.control_client import RemoteError
from mockveo.errors import SettingsError, did_you_mean
from mockveo.spec.operations import ASSUMED_OPERATIONS
from mockveo.spec.spec import DEFAULT_PROFILE, load
from mockveo_contracts.interruption import Interrupted
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.model import Report
from mockveo_contracts.servers.budget import OutOfBudget
from mockveo_contracts.servers.exchanges import USUAL, SentExchange
from mockveo_contracts.servers.http_client import root_of
from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.probes import PROBES
from mockveo_contracts.servers.run import VerifyError, VerifyRun

#: Prefix of the names of generated checks, and the one that generates histories of jobs.
GENERATED: Final = "generated/"
HISTORIES: Final = f"{GENERATED}histories"


class ServerCheck(NamedTuple):
    """A named check of a server; `run` does it and returns the findings."""

    name: str
    says: str
    run: Callable[[], list[Finding]]


class Verification(VerifyRun):
    """A run with the checks that its plan asks for."""

    def checks(self) -> Iterator[ServerCheck]:
        """Yield the checks of the plan, in order. Raises SettingsError for a pattern that matches none."""
        for name in names(self.plan):
            yield ServerCheck(name, description(name), self._run_of(name))

    def _run_of(self, name: str) -> Callable[[], list[Finding]]:
        if name in PROBES:
            return partial(self.probe, PROBES[name])
        # Imported lazily: hypothesis and schemathesis are slow to load, and optional.
        if name == HISTORIES:
            from mockveo_contracts.servers import stateful

            return partial(stateful.check_histories, self)
        from mockveo_contracts.servers import fuzzing

        return partial(fuzzing.fuzz, self, name.removeprefix(GENERATED))

    def all(self) -> Report:
        """Run all checks; return the report."""
        try:
            checks = list(self.checks())
            with self.plan.stop.soon():
                self.prepare()
            for number, check in enumerate(checks, 1):
                findings = check.run()
                self.plan.progress(number, len(checks), check.name, len(findings))
                if self.plan.stop.asked:
                    break
                if not self.client.exchanges[-1].status:
                    with suppress(OutOfBudget):
                        self.prepare()
        except (VerifyError, RemoteError, OutOfBudget) as error:
            self.recorder.abort(str(error))
        except Interrupted:
            pass  # before the first check
        if self.plan.stop.asked:
            self.recorder.abort(self.interruption())
        if self.recorder.report.count("violation") and not (self.control or self.plan.spec or self.plan.overlays):
            used = self.recorder.report.profile
            others = [name for name in profiles() if name != used]
            self.recorder.compare_profiles({name: load(None, profile=name) for name in others})
        return self.report


def names(plan: VerifyPlan) -> list[str]:
    """Return the names of a plan's checks.

    Raises SettingsError for a pattern that matches none, and for generated checks that need a missing package.
    """
    valid = list(PROBES)
    for count, package, extra in (
        (plan.examples, "schemathesis", "schemathesis"),
        (plan.histories, "hypothesis", "contracts"),
    ):
        if count and find_spec(package) is None:
            raise SettingsError(
                f"generated checks need {package}, which is not installed; expected 'mockveo[{extra}]', e.g."
                f" pip install 'mockveo[{extra}]', or --examples 0 --histories 0"
            )
    if plan.examples:
        spec = load(plan.spec, profile=plan.profile or DEFAULT_PROFILE, overlays=plan.overlays)
        asked = [operation for operation in spec.operations if operation not in ASSUMED_OPERATIONS]
        valid += [f"{GENERATED}{operation}" for operation in asked] + [f"{GENERATED}links"]
    if plan.histories:
        valid.append(HISTORIES)
    for pattern in plan.probes:
        if not any(fnmatchcase(name, pattern) for name in valid):
            hint = did_you_mean(pattern, valid)
            raise SettingsError(f"no check is named {pattern!r}; {hint}expected one of {', '.join(valid)}")
    return [name for name in valid if not plan.probes or any(fnmatchcase(name, pattern) for pattern in plan.probes)]


def description(name: str) -> str:
    """Return what a check does, in a sentence."""
    if name in PROBES:
        return PROBES[name].says
    # Imported lazily, as above.
    if name == HISTORIES:
        from mockveo_contracts.servers import stateful

        return stateful.SAYS
    from mockveo_contracts.servers import fuzzing

    return fuzzing.says(name.removeprefix(GENERATED))


@contextmanager
def verification(url: str, plan: VerifyPlan) -> Iterator[Verification]:
    """Open a verification whose checks run one by one. Raises MockveoError if that is impossible."""
    opened = Verification(url, plan)
    try:
        yield opened
    finally:
        opened.close()


def verify(url: str, plan: VerifyPlan) -> dict[str, Any]:
    """Verify a server; return the JSON data of the report. Raises MockveoError if the plan cannot be followed."""
    return verified(url, plan).to_json()


def verified(url: str, plan: VerifyPlan) -> Report:
    """Verify a server; return the report. Raises MockveoError if the plan cannot be followed."""
    with verification(url, plan) as opened:
        return opened.all()


def rehearse(url: str, plan: VerifyPlan) -> list[str]:
    """Return what `verify` would send, as lines, without sending it. Raises MockveoError.

    A mockveo answers instead of the server, so responses, and hence the number of polls, may differ.
    """
    import mockveo

    root, profile = root_of(url), plan.profile or DEFAULT_PROFILE
    plan.check_keys()
    ours = secrets.token_hex(8)
    keys = (ours, plan.other_key) if plan.other_key else (ours,)
    harmless = replace(
        plan, key=ours, profile=profile, max_jobs=plan.job_limit(root), max_seconds=None, rate=None, examples=0,
        histories=0, turn_time=False, poll_interval=0.0, upstream=None,
    )  # fmt: skip
    server = mockveo.serve(
        clock="poll", step=30.0, seed=plan.seed, render=False, profile=profile, spec=plan.spec, overlay=plan.overlays,
        key=keys,
    )  # fmt: skip
    lines: list[str] = []
    with server, verification(server.url, harmless) as rehearsal:
        for check in rehearsal.checks():
            before = len(rehearsal.client.exchanges)
            check.run()
            lines += _planned(check.name, rehearsal.client.exchanges[before:])
    return lines


def _planned(name: str, exchanges: Sequence[SentExchange]) -> Iterator[str]:
    """Yield the lines of one check; repeated requests share a line."""
    for (line, purpose), group in groupby(exchanges, lambda exchange: (exchange.line_sent, exchange.purpose)):
        count = len(list(group))
        if count == 1:
            yield f"{name}: {line}"
        elif purpose == USUAL and count > 2:
            yield f"{name}: {line}, until it ends"
        else:
            yield f"{name}: {line}, {count} times"
