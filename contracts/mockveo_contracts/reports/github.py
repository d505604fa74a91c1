"""A report for GitHub Actions: annotations on standard output, and a table in the summary of the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mockveo.text import printable
from mockveo_contracts.reports.finding import BrokenRule
from mockveo_contracts.reports.model import Report
from mockveo_contracts.reports.terminal import few

#: Verdict -> the command of a workflow.
_COMMANDS: Final = {"violation": "error", "adapter error": "error", "warning": "warning", "info": "notice"}
#: Cases that a row of the table names. Arbitrary: as many as fit.
MAX_CASES: Final = 5


def github(report: Report) -> str:
    """Return the workflow commands that annotate a run: one for each broken rule."""
    return "".join(f"{line}\n" for line in _annotations(report))


def _annotations(report: Report) -> Iterator[str]:
    title = report.subject.title
    for broken in report.broken_rules:
        fatal = broken.verdict in report.fatal
        command = "error" if fatal else _COMMANDS[broken.verdict]
        about = f" of {broken.rule}" if broken.rule else ""
        yield _command(command, f"{title}: {broken.verdict}{about}", list(_annotation(broken)))
    for kind, text in report.remarks:
        yield _command("error", f"{title}: {kind}", [text])
    if report.aborted:
        yield _command("error", f"{title}: aborted", [report.aborted])


def _annotation(broken: BrokenRule) -> Iterator[str]:
    finding = broken.first
    yield f"{finding.case.name}: {finding.message}"
    yield finding.description
    if finding.advice:
        yield f"Fix: {finding.advice}"
    if finding.rule:
        yield f"Source: {finding.source}"
    if finding.page:
        yield f"More: mockveo explain {finding.rule}, or {finding.page}"
    if broken.other_cases:
        yield f"Also in: {few(broken.other_cases)}"
    yield from finding.reproduce[:1]


def _command(command: str, title: str, lines: Sequence[str]) -> str:
    text = printable("\n".join(lines))
    return f"::{command} title={_property(printable(title))}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def summary(report: Report) -> str:
    """Return a table in Markdown for the summary of a step.

    A step shows at most ten annotations of a level; its summary has room for all.
    """
    lines = [f"### {_cell(report.subject.title)}: {_cell(report.result)}", "", report.headline]
    if report.broken_rules:
        lines += ["", "| verdict | rule | message | cases |", "|---|---|---|---|"]
    lines += map(_row, report.broken_rules)
    if report.bill and report.bill.made:
        lines += ["", f"Bill: {_cell(report.bill.line)}"]
    lines += ["", *(f"- {_cell(text)}" for _, text in report.remarks)]
    lines += [
        f"- {finding.rule or 'adapter'} in {_cell(finding.case.name)}: {_cell(finding.excuse)}"
        for finding in report.newer_findings
    ]
    if report.aborted:
        lines.append(f"Aborted: {_cell(report.aborted)}")
    return "\n".join([*lines, ""])


def _row(broken: BrokenRule) -> str:
    names = [broken.first.case.name, *broken.other_cases]
    more = ["..."] if len(names) > MAX_CASES else []
    cases = ", ".join(map(_cell, [*names[:MAX_CASES], *more]))
    return f"| {broken.verdict} | {_cell(broken.rule or '')} | {_cell(broken.first.message)} | {cases} |"


def _cell(text: str) -> str:
    """Return text that Markdown shows as it is."""
    flat = " ".join(printable(text).split("\n"))
    return "".join(f"&#{ord(sign)};" if sign in "|<>&`*_[]\\#!~$@" else sign for sign in flat)
