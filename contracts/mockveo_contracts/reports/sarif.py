"""A report as SARIF 2.1.0, which code scanning shows.

Source: the OASIS standard SARIF 2.1.0, and what GitHub's pages say of the part of it that they read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mockveo._version import __version__
from mockveo.text import printable
from mockveo_contracts.reports import terminal, wording

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"violation": "error", "warning": "warning", "info": "note"}
_SEVERITIES: Final = {"must": "error", "should": "warning", "info": "note"}


def sarif(report: Mapping[str, Any]) -> str:
    """The log of one run. An adapter that broke is no result but a notification: it says nothing about the client."""
    rules = list(report["rules"])
    results = [_result(one, rules.index(one["rule"]), report) for one in report["findings"] if one["rule"]]
    notes = [one["message"] for one in report["findings"] if one["verdict"] == "adapter error"]
    notes += [report["stopped"]] if report.get("stopped") else []
    invocation = {
        "executionSuccessful": not report.get("stopped"),
        "toolExecutionNotifications": [{"level": "error", "message": {"text": printable(one)}} for one in notes],
    }
    driver = {
        "name": "mockveo",
        "version": report.get("mockveo", __version__),
        "rules": [_rule(name, rule) for name, rule in report["rules"].items()],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        # Which client it was, so that the results of two clients do not take each other's place.
        "automationDetails": {"id": f"mockveo-check/{printable(report['client']['name'])}/"},
        "results": results,
        "properties": {"client": printable(wording.client_of(report)), "seed": report["seed"]},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _rule(name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    says, source = printable(rule["says"]), printable(rule["source"])
    return {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": says},
        "fullDescription": {"text": says},
        "help": {
            "text": f"{says}\n\nSource: {source}\n\n`mockveo explain {name}` says the same.",
            "markdown": f"{says}\n\n**Source:** {source}\n\n`mockveo explain {name}` says the same.",
        },
        "defaultConfiguration": {"level": _SEVERITIES[rule["severity"]]},
        "properties": {"tags": ["contract", rule["severity"]]},
    }


def _result(finding: Mapping[str, Any], index: int, report: Mapping[str, Any]) -> dict[str, Any]:
    key = f"{report['client']['name']} {finding['rule']} {finding['case']}"
    result: dict[str, Any] = {
        "ruleId": finding["rule"],
        "ruleIndex": index,
        "level": _LEVELS[finding["verdict"]],
        "message": {"text": printable(f"{finding['message']}\n\n{terminal.told([finding])}")},
        "locations": [_location(finding)],
        "partialFingerprints": {"mockveoCase/v1": hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()},
    }
    if finding["known"]:
        result["suppressions"] = [{"kind": "external", "justification": printable(finding["known"]["reason"])}]
    return result


def _location(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Where a finding is. A check sees what a client sends, never its source, so the true place is the case.

    Code scanning refuses a result without a file and a line, however: then it is the first line of the case's file, or
    of the one that it would have, which is the same from run to run.
    """
    file = finding["file"] or f"cases/{finding['case']}.yaml"
    uri = quote(file.replace("\\", "/").lstrip("/"), errors="replace")
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}},
        "logicalLocations": [
            {"name": finding["case"], "fullyQualifiedName": f"case {finding['case']}", "kind": "case"}
        ],
    }
