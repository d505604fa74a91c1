"""The exchanges of a report's findings as HAR, which the network tools of browsers open."""

from __future__ import annotations

from collections.abc import Sequence

from mockveo.traffic.exchange import ExchangeJson
from mockveo.traffic.har import HarPage, har_of_pages
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.json_report import as_text
from mockveo_contracts.reports.model import Report, ServerSubject


def har(report: Report) -> str:
    """Return the exchanges of the cases with findings, a page for each case."""
    findings: dict[str, list[Finding]] = {}
    for finding in report.findings:
        findings.setdefault(finding.case.name, []).append(finding)
    root = report.subject.url if isinstance(report.subject, ServerSubject) else ""
    pages = [_page(name, own, root) for name, own in sorted(findings.items()) if own[0].trace]
    return f"{as_text(har_of_pages(pages))}\n"


def _page(case: str, findings: Sequence[Finding], root: str) -> HarPage:
    broken = ", ".join(finding.rule or finding.verdict for finding in findings)
    return HarPage(case, f"{case}: {broken}", _in_clients_time(findings[0]), root)


def _in_clients_time(finding: Finding) -> list[ExchangeJson]:
    """Return a trace timed by the client's clock; the real times of a case in virtual time say nothing."""
    first = finding.trace[0]
    return [
        {**exchange, "time": round(first["time"] + (exchange[finding.clock] - first[finding.clock]) / finding.pace, 6)}
        for exchange in finding.trace
    ]
