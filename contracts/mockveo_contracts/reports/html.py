"""Reports as one page of HTML, which needs nothing else: rules x clients, each cell with the exchanges behind it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mockveo.text import printable
from mockveo_contracts.reports import wording
from mockveo_contracts.reports.model import FINDINGS

_HERE: Final = Path(__file__).parent
#: Characters of a client's output that the page carries for a finding.
MOST_OUTPUT: Final = 800
#: What stands in the place of a rule where an adapter broke.
ADAPTER: Final = "adapter"


def page(reports: Sequence[Mapping[str, Any]]) -> str:
    """The page of one report or of several, side by side."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    clients = [_client(one, name) for one, name in zip(reports, _names(reports), strict=True)]
    what = "Server contracts" if all("server" in one for one in reports) else "Client contracts"
    title = f"{what}: {', '.join(one['name'] for one in clients)}"
    parts = {
        "title": html.escape(printable(title)),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "data": _embedded({"title": what, "clients": clients, "rules": _rules(reports)}),
    }
    template = (_HERE / "report.html").read_text(encoding="utf-8")
    # In one go, so that nothing in the data is taken for a place of the template.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def _hash(text: str) -> str:
    """What a policy names an inline script by, so that no other one runs."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(data: Any) -> str:
    """JSON that can be in a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _names(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """The clients' names; with a number where two are the same."""
    names = [wording.client_of(one) for one in reports]
    return [
        f"{name} (#{names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _rules(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rules: dict[str, Mapping[str, Any]] = {}
    for one in reports:
        rules = one["rules"] | rules
    found = [
        {"id": name, **{word: rule[word] for word in ("severity", "says", "source")}} for name, rule in rules.items()
    ]
    broke = [one for report in reports for one in report["findings"] if one["rule"] is None]
    if broke:
        adapter = {"id": ADAPTER, "severity": None, "says": broke[0]["says"], "source": broke[0]["source"]}
        found.insert(0, adapter)
    return found


def _client(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    cases = _Cases(report)
    findings = [
        {
            "rule": one["rule"] or ADAPTER,
            "verdict": one["verdict"],
            "case": cases.of(one),
            "message": printable(one["message"]),
            "known": f"{one['known']['place']}: {one['known']['reason']}".rstrip(": ") if one["known"] else "",
            "marks": one["exchanges"],
            "again": one["again"],
            "output": printable(one["output"][-MOST_OUTPUT:]).strip(),
        }
        for one in _ordered(report)
    ]
    cells = {rule: _cell(rule, counts, cases, findings) for rule, counts in report["rules"].items()}
    if any(one["rule"] == ADAPTER for one in findings):
        cells[ADAPTER] = _cell(ADAPTER, {}, cases, findings)
    return {
        "name": printable(name),
        "verdict": wording.verdict_of(report),
        "tone": _tone(report),
        "sum": ", ".join([wording.played_of(report), *wording.aside_of(report), f"seed {report['seed']}"]),
        "stopped": report.get("stopped"),
        "cases": cases.shown,
        "cells": cells,
        "skipped": list(wording.skipped(report).items()),
        "stale": [wording.stale(one) for one in report["stale"]],
    }


def _tone(report: Mapping[str, Any]) -> str:
    found = wording.broken(report)
    if report.get("stopped") or report["stale"] or not report["summary"]["cases"]:
        return "violation"
    return found[0].verdict if found else "pass"


def _ordered(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings, known ones too: by rule the worst and smallest first."""
    new = [one for group in wording.broken(report) for one in group.findings]
    return [*new, *wording.known(report)]


def _cell(rule: str, counts: Mapping[str, Any], cases: _Cases, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [one for one in findings if one["rule"] == rule]
    new = [one["verdict"] for one in own if not one["known"]]
    kept = counts.get("pass", 0)
    passes = cases.passing(rule)
    verdict = "known" if own else "pass" if kept or passes else "not exercised"
    if new:
        verdict = min(new, key=FINDINGS.index)
    return {"verdict": verdict, "findings": own, "passes": passes, "kept": max(kept, len(passes))}


class _Cases:
    """The cases of a report, as the page shows them; a finding names its one by place."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self.shown: list[dict[str, Any]] = []
        self._verdicts: list[Mapping[str, str]] = []
        self._places: dict[str, list[int]] = {}
        self._logs: list[Any] = []
        for one in report["cases"]:
            self._add(one["name"], one["says"], one)

    def _add(self, name: str, says: str, one: Mapping[str, Any]) -> int:
        self._places.setdefault(name, []).append(len(self.shown))
        self._verdicts.append(one.get("verdicts", {}))
        self._logs.append(one["log"])
        self.shown.append(
            {
                "name": name,
                "says": says,
                "call": wording.call_of(one),
                "scenario": wording.scenario_of(one),
                # Of a server nothing is reported; it is the server that answers.
                "reported": printable(wording.reported(one["outcome"])) if one["outcome"] is not None else "",
                "log": [[row["number"], row["at"], printable(row["line"])] for row in one["log"]],
            }
        )
        return len(self.shown) - 1

    def of(self, finding: Mapping[str, Any]) -> int:
        """The place of the case of a finding."""
        same = [place for place in self._places.get(finding["case"], ()) if self._logs[place] == finding["log"]]
        return same[0] if same else self._add(finding["case"], finding["case_says"], finding)

    def passing(self, rule: str) -> list[int]:
        """The places of the cases in which a rule was kept."""
        return [place for place, verdicts in enumerate(self._verdicts) if verdicts.get(rule) == "pass"]
