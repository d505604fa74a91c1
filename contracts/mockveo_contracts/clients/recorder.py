"""Records the cases of a check in its report: what was found in each, with the evidence."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from mockveo.rules.engine import Verdict
from mockveo.text import ending, truncate
from mockveo_contracts.cases.definitions import BRIEF, GENERATED, TestCase
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.clients.wire_log import kept, wire_log
from mockveo_contracts.reports.case_result import CaseResult
from mockveo_contracts.reports.finding import FINDINGS, Finding, exercised
from mockveo_contracts.reports.model import Report

#: Exchanges of a finding that the report has whole. Arbitrary: a client that polls without a pause makes thousands.
MAX_EXCHANGES: Final = 100
#: Characters of a text of an outcome. Arbitrary: no id and few error messages are longer.
MAX_TEXT: Final = 2000
#: What is kept of an outcome's objects if they are long. Source: docs/client-protocol.md.
VIDEO_MEMBERS: Final = ("id", "status", "model")
ERROR_MEMBERS: Final = ("type", "message")
#: Characters of what a client wrote that the report has, from the end.
MAX_OUTPUT: Final = 4000


class ClientRecorder:
    """Records the runs of cases in a report.

    `reproduce` is the command that runs one case again, with {case} for its name or file.
    """

    def __init__(self, report: Report, *, reproduce: str = "") -> None:
        self.report = report
        self._reproduce = reproduce

    def record(
        self, run: CaseRun, verdicts: Sequence[Verdict] | None = None, *, counted: bool = False
    ) -> list[Finding]:
        """Record a run with all its verdicts, or with these; return the findings.

        `counted` says that the report has counted the verdicts already.
        """
        verdicts = run.verdicts() if verdicts is None else verdicts
        if not counted:
            self.report.count_verdicts(verdicts)
            self.report.jobs += run.bill.jobs
            self.report.refused += run.refused
        case = _case_result(run, verdicts)
        findings = [
            self._with_evidence(self.report.finding(verdict, case), run)
            for verdict in verdicts
            if verdict.verdict in FINDINGS
        ]
        if run.adapter_error:
            findings.append(self._with_evidence(self.report.adapter_error(case), run))
        self.report.record(case, findings)
        return findings

    def _with_evidence(self, finding: Finding, run: CaseRun) -> Finding:
        numbers = kept([exchange["number"] for exchange in run.trace], finding.exchanges, MAX_EXCHANGES)
        return replace(
            finding,
            clock=run.clock,
            pace=run.pace,
            trace=tuple(exchange for exchange in run.trace if exchange["number"] in numbers),
            output=ending(run.output, MAX_OUTPUT),
            file=run.test_case.file or None,
            reproduce=self._commands(run.test_case),
        )

    def _commands(self, test_case: TestCase) -> tuple[str, ...]:
        """Return the commands that reproduce a case; none for a generated one without a file, which has no name."""
        if not test_case.file and test_case.name.startswith(GENERATED):
            return ()
        name = shlex.quote(test_case.file or test_case.name)
        check = [self._reproduce.replace("{case}", name)] if self._reproduce else []
        # A kill needs a check, which owns the client's process.
        return tuple(check) if test_case.restarts else (*check, f"mockveo replay {name}")


def _case_result(run: CaseRun, verdicts: Sequence[Verdict]) -> CaseResult:
    scenario = run.test_case.data["scenario"]
    marked = {number for verdict in verdicts for breach in verdict.breaches for number in breach.exchanges}
    return CaseResult(
        name=run.test_case.name,
        description=run.test_case.description,
        call=run.test_case.data["call"],
        scenario=scenario,
        default_phases=isinstance(scenario, dict) and scenario.get("phases") == list(BRIEF),
        outcome=_shown(run.outcome),
        adapter_error=run.adapter_error,
        starts=tuple(start.to_json() for start in run.starts),
        log=wire_log(run, marked),
        verdicts=exercised(verdicts),
        since=run.test_case.since,
    )


def _shown(outcome: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return an outcome as reports have it: members that a client made up are left out if there are many."""
    if outcome is None:
        return None
    shown = {name: _cut(value) for name, value in outcome.items()}
    for name, members in (("video", VIDEO_MEMBERS), ("error", ERROR_MEMBERS)):
        value = shown.get(name)
        if isinstance(value, dict) and len(json.dumps(value)) > MAX_OUTPUT:
            shown[name] = {member: value[member] for member in members if isinstance(value.get(member), str)}
    return shown


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return truncate(value, MAX_TEXT)
    return {name: _cut(member) for name, member in value.items()} if isinstance(value, dict) else value
