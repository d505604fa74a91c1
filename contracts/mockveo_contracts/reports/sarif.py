"""A report as SARIF 2.1.0, which code scanning shows.

Source: the OASIS standard SARIF 2.1.0, and GitHub's documentation of the part that it reads.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final
from urllib.parse import quote

from mockveo.text import printable
from mockveo_contracts.reports.finding import Finding, RuleResult
from mockveo_contracts.reports.model import Report
from mockveo_contracts.reports.terminal import render_findings

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"violation": "error", "warning": "warning", "info": "note"}
_SEVERITIES: Final = {"must": "error", "should": "warning", "info": "note"}


def sarif(report: Report) -> str:
    """Return the log of one run. A failed adapter is a notification, not a result: it says nothing about a client."""
    subject = report.subject
    places = {name: place for place, name in enumerate(report.rules)}
    errors = [finding.message for finding in report.findings if finding.verdict == "adapter error"]
    errors += [report.aborted] if report.aborted else []
    invocation = {
        "executionSuccessful": not report.aborted,
        "toolExecutionNotifications": [{"level": "error", "message": {"text": printable(error)}} for error in errors],
    }
    driver = {
        "name": "mockveo",
        "version": report.version,
        "rules": [_rule(name, rule) for name, rule in report.rules.items()],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        # It names the subject, so that the results of two clients do not replace each other.
        "automationDetails": {"id": f"{subject.command.replace(' ', '-')}/{printable(subject.name)}/"},
        "results": [
            _result(finding, places[finding.rule], subject.name) for finding in report.findings if finding.rule
        ],
        "properties": {subject.kind: printable(subject.title), "seed": report.seed},
    }
    if report.bill:
        run["properties"]["bill"] = printable(report.bill.line)
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _rule(name: str, rule: RuleResult) -> dict[str, Any]:
    description, source = printable(rule.description), printable(rule.source)
    fix = [f"Fix: {printable(rule.advice)}"] if rule.advice else []
    more = f"See {rule.page}, or run `mockveo explain {name}`."
    help_text = "\n\n".join([description, *fix, f"Source: {source}", more])
    return {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": description},
        "fullDescription": {"text": description},
        "help": {"text": help_text, "markdown": help_text},
        "defaultConfiguration": {"level": _SEVERITIES[rule.severity]},
        "properties": {"tags": ["contract", rule.severity]},
    }


def _result(finding: Finding, index: int, subject: str) -> dict[str, Any]:
    key = f"{subject} {finding.rule} {finding.case.name}"
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.verdict],
        "message": {"text": printable(f"{finding.message}\n\n{render_findings([finding])}")},
        "locations": [_location(finding)],
        "partialFingerprints": {"mockveoCase/v1": hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()},
    }
    if finding.excuse:
        result["suppressions"] = [{"kind": "external", "justification": printable(finding.excuse)}]
    return result


def _location(finding: Finding) -> dict[str, Any]:
    """Return where a finding is: in the first line of its case's file.

    A check sees what a client sends and never its source, so the true place is the case. But code scanning refuses a
    result without a file and a line; a case without a file gets a name that is the same from run to run.
    """
    name = finding.case.name
    file = finding.file or f"cases/{name}.yaml"
    uri = quote(file.replace("\\", "/").lstrip("/"), errors="replace")
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}},
        "logicalLocations": [{"name": name, "fullyQualifiedName": f"case {name}", "kind": "case"}],
    }
