"""Reports as one self-contained HTML page: rules x subjects, each cell with the exchanges behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from mockveo.dashboard import files
from mockveo.dashboard.bundle import bundled, embedded, policy_hash
from mockveo.dashboard.exchanges import messages, summary_of
from mockveo.text import ending, printable, truncate
from mockveo.traffic.exchange import ExchangeJson
from mockveo_contracts.reports.case_result import CaseResult
from mockveo_contracts.reports.finding import FINDINGS, Finding, RuleGroup, RuleResult
from mockveo_contracts.reports.model import Report, ServerSubject
from mockveo_contracts.reports.terminal import as_ranges

_HERE: Final = Path(__file__).parent
#: Characters of a client's output that the page shows for a finding: the end, where errors are.
MAX_OUTPUT: Final = 2000
#: Exchanges of a finding that the page has in full, and characters of a body. Arbitrary: more is in the JSON report.
MAX_TRACE: Final = 40
MAX_BODY: Final = 4000
#: Stands for the rule if an adapter failed.
ADAPTER: Final = "adapter"


def html(reports: Sequence[Report]) -> str:
    """Return the page of one report, or of several side by side."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    # The same components as on the dashboard.
    style, script = f"{files.text('parts.css')}{style}", f"{bundled('vendor.js', 'parts.js')}\n{script}"
    titles = _titles(reports)
    heading = _heading(reports)
    data = {
        "title": heading,
        "subjects": [_subject(report, title) for report, title in zip(reports, titles, strict=True)],
        "rules": _rules(reports),
    }
    parts = {
        "title": escape(printable(f"{heading}: {', '.join(titles)}")),
        "style": style,
        "script": script,
        "style_hash": policy_hash(style),
        "script_hash": policy_hash(script),
        "data": embedded(data),
    }
    template = (_HERE / "report.html").read_text(encoding="utf-8")
    # In one pass, so that a placeholder inside the data is not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda placeholder: parts[placeholder[1]], template)


def _heading(reports: Sequence[Report]) -> str:
    kinds = sorted({report.subject.kind for report in reports})
    return f"{' and '.join(kinds)} contracts".capitalize()


def _titles(reports: Sequence[Report]) -> list[str]:
    """Return the subjects' titles, equal ones numbered."""
    titles = [report.subject.title for report in reports]
    return [
        f"{title} (#{titles[:place].count(title) + 1})" if titles.count(title) > 1 else title
        for place, title in enumerate(titles)
    ]


def _rules(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Return the rules of all reports, each once; a failed adapter first."""
    rules: dict[str, RuleResult] = {}
    for report in reports:
        rules = report.rules | rules
    rows = [_rule(name, rule) for name, rule in rules.items()]
    errors = [finding for report in reports for finding in report.findings if finding.rule is None]
    return [_rule(ADAPTER, errors[0]), *rows] if errors else rows


def _rule(name: str, rule: RuleResult | Finding) -> dict[str, Any]:
    words = ("severity", "description", "source", "advice", "page")
    return {"id": name, **{word: getattr(rule, word) for word in words}}


def _subject(report: Report, title: str) -> dict[str, Any]:
    places = {id(case): place for place, case in enumerate(report.cases)}
    traces = _Traces()
    findings = [_finding(finding, places[id(finding.case)], traces) for finding in _ordered(report)]
    cells = {name: _cell(name, rule, report.cases, findings) for name, rule in report.rules.items()}
    if any(finding["rule"] == ADAPTER for finding in findings):
        cells[ADAPTER] = _cell(ADAPTER, None, report.cases, findings)
    return {
        "title": printable(title),
        "isServer": isinstance(report.subject, ServerSubject),
        "result": report.result,
        "tone": _tone(report),
        "scope": ", ".join([report.scope, *report.left_out]),
        "about": _about(report),
        "command": printable(report.command),
        "aborted": printable(report.aborted),
        "problems": [_problem(group, places[id(group.first.case)], traces) for group in _groups(report)],
        "cases": [_case(case) for case in report.cases],
        "traces": traces.data,
        "cells": cells,
        "skipped": list(report.skipped_by_reason.items()),
        "remarks": [text for _, text in report.remarks],
        "notes": [printable(note) for note in [*_bill(report), *report.notes]],
    }


def _bill(report: Report) -> list[str]:
    """Return what the jobs of a client came to, and each that was wasted."""
    bill = report.bill
    return [f"bill: {bill.line}", *bill.wasted.lines] if bill and bill.made else []


def _about(report: Report) -> list[str]:
    date = report.date.replace("T", " ").replace("+00:00", " UTC")
    asked = f"requirements {report.requirements}" if report.requirements else ""
    about = [f"mockveo {report.version}", f"profile {report.profile}", asked, f"seed {report.seed}", date]
    return [printable(part) for part in about if part]


def _groups(report: Report) -> list[RuleGroup]:
    """Return what is listed on top: the problems, and each info."""
    infos = [RuleGroup([rule]) for rule in report.broken_rules if rule.verdict == "info"]
    return [*report.problems, *infos]


def _problem(group: RuleGroup, case: int, traces: _Traces) -> dict[str, Any]:
    finding = _finding(group.first, case, traces)
    rules = [
        {
            "id": rule.rule or ADAPTER,
            "severity": rule.first.severity,
            "verdict": rule.verdict,
            "message": printable(rule.first.message),
            # Only if further exchanges show others.
            "marks": "" if rule.first.exchanges == finding["marks"] else as_ranges(rule.first.exchanges),
        }
        for rule in group.rules
    ]
    return {**finding, "message": "", "rules": rules, "others": [printable(name) for name in group.other_cases]}


def _tone(report: Report) -> str:
    if report.aborted or report.remarks or not report.judged:
        return "violation"
    return report.broken_rules[0].verdict if report.broken_rules else "pass"


def _ordered(report: Report) -> list[Finding]:
    """Return the findings, of each rule the worst and smallest first, and those last that do not count."""
    new = [finding for broken in report.broken_rules for finding in broken.findings]
    return [*new, *(finding for finding in report.findings if finding.excuse)]


class _Traces:
    """The exchanges of findings, each trace once."""

    def __init__(self) -> None:
        self.data: list[list[dict[str, Any]]] = []
        self._places: dict[tuple[int, tuple[int, ...]], int] = {}

    def place(self, finding: Finding) -> int:
        """Return the place of the exchanges of a finding in `data`: those that show it, and some around."""
        key = (id(finding.trace), finding.exchanges)
        if key not in self._places:
            self._places[key] = len(self.data)
            self.data.append([_exchange(finding, exchange) for exchange in _around(finding)])
        return self._places[key]


def _around(finding: Finding) -> Sequence[ExchangeJson]:
    trace = finding.trace
    if len(trace) <= MAX_TRACE:
        return trace
    marked = [place for place, exchange in enumerate(trace) if exchange["number"] in finding.exchanges]
    near = {place + step for place in marked[: MAX_TRACE // 4] for step in (-2, -1, 0, 1)}
    kept = {*near, *range(4), *range(len(trace) - 4, len(trace))}
    return [exchange for place, exchange in enumerate(trace) if place in kept]


def _exchange(finding: Finding, exchange: ExchangeJson) -> dict[str, Any]:
    """Return an exchange in short, at the time of the client, and its messages with no more than people read."""
    shown = messages(exchange)
    for message in shown:
        message["body"] = message["body"] and truncate(message["body"], MAX_BODY)
    at = exchange[finding.clock] / finding.pace
    return {"summary": {**summary_of(exchange), "at": at}, "messages": shown}


def _finding(finding: Finding, case: int, traces: _Traces) -> dict[str, Any]:
    return {
        "rule": finding.rule or ADAPTER,
        "verdict": finding.verdict,
        "case": case,
        "message": printable(finding.message),
        "excuse": finding.excuse,
        "marks": finding.exchanges,
        "trace": traces.place(finding),
        "reproduce": finding.reproduce,
        "output": printable(ending(finding.output, MAX_OUTPUT)).strip("\n"),
    }


def _cell(
    name: str, rule: RuleResult | None, cases: Sequence[CaseResult], findings: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    own = [finding for finding in findings if finding["rule"] == name]
    passes = [place for place, case in enumerate(cases) if case.verdicts.get(name) == "pass"]
    passed = max(rule.counts["pass"] if rule else 0, len(passes))
    new = [finding["verdict"] for finding in own if not finding["excuse"]]
    if new:
        verdict = min(new, key=FINDINGS.index)
    elif own:
        verdict = "not counted"
    else:
        verdict = "pass" if passed else "not exercised"
    return {"verdict": verdict, "findings": own, "passes": passes, "passed": passed}


def _case(case: CaseResult) -> dict[str, Any]:
    return {
        "name": case.name,
        "description": case.description,
        "call": case.call_lines,
        "scenario": case.scenario_lines,
        "reported": printable(case.outcome_line),
        "log": [[line.number, line.at, printable(line.line)] for line in case.log],
    }
