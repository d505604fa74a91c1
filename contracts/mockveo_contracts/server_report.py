"""The report of a verification: what was found of a server, as data of the same shape as that of a client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mockveo
from mockveo.rules import Rule, Verdict
from mockveo_contracts.known import Entry
from mockveo_contracts.report import BROKEN, CLEAN, FINDINGS, STALE, UNUSABLE
from mockveo_contracts.server_exchanges import Conversation, Exchange
from mockveo_contracts.server_rules import catalogue, judge
from mockveo_contracts.server_wire import curl_lines


@dataclass
class ServerReport:
    """What a verification found."""

    url: str
    name: str
    profile: str
    seed: int
    strict: bool = False
    known: Sequence[Entry] = ()
    seconds: float = 0.0
    #: Jobs that were made, and requests that were sent.
    jobs: int = 0
    requests: int = 0
    #: Generated requests among them.
    generated: int = 0
    #: Why the run ended before its time, if it did.
    stopped: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {rule: Counter() for rule in catalogue()})

    def skip(self, name: str, says: str, why: str) -> None:
        """Notes a check that was not done, or not to its end."""
        self.skipped.append({"case": name, "says": says, "why": why})

    def judged(
        self, name: str, says: str, conversation: Conversation, again: str, *, verdicts: Sequence[Verdict] = ()
    ) -> list[dict[str, Any]]:
        """Takes a conversation with its verdicts, or has it judged; the findings."""
        verdicts = verdicts or judge(conversation)
        for one in verdicts:
            self.counts[one.rule.id][one.verdict] += 1
        shown = _log(conversation.exchanges)
        found = [self._finding((name, says), conversation, again, one) for one in verdicts if one.verdict in FINDINGS]
        self.findings += found
        self.cases.append(
            {
                "name": name,
                "says": says,
                "call": {},
                "scenario": {},
                "verdicts": {one.rule.id: one.verdict for one in verdicts if one.verdict != "not exercised"},
                "outcome": None,
                "adapter_error": None,
                "log": shown,
            }
        )
        return found

    def _finding(self, what: tuple[str, str], conversation: Conversation, again: str, one: Verdict) -> dict[str, Any]:
        name, says = what
        messages = list(dict.fromkeys(breach.message for breach in one.breaches))
        known = next((entry for entry in self.known if entry.covers(one.rule.id, name)), None)
        numbers = {number for breach in one.breaches[:3] for number in breach.exchanges}
        shortest = _shortest(conversation, numbers)
        more = f" (and {len(messages) - 3} more)" if len(messages) > 3 else ""
        return {
            "rule": one.rule.id,
            "severity": one.rule.severity,
            "verdict": one.verdict,
            "says": one.rule.says,
            "message": "; ".join(messages[:3]) + more,
            "source": one.rule.source,
            "known": {"place": known.place, "reason": known.reason} if known else None,
            "exchanges": sorted(numbers),
            "case": name,
            "case_says": says,
            "call": {},
            "scenario": {},
            "outcome": None,
            "log": _log(conversation.exchanges),
            "trace": [seen.as_json() for seen in shortest],
            "output": "",
            "again": [*curl_lines(self.url, shortest), again],
            "file": None,
        }

    def count(self, verdict: str) -> int:
        """Findings of a verdict that are not known."""
        return sum(one["verdict"] == verdict and not one["known"] for one in self.findings)

    @property
    def stale(self) -> list[Entry]:
        """Known failures that are none any more."""
        done = [one["name"] for one in self.cases]
        return [
            entry
            for entry in self.known
            if any(entry.covers(entry.rule, name) for name in done)
            and not any(entry.covers(str(one["rule"]), one["case"]) for one in self.findings)
        ]

    @property
    def exit_status(self) -> int:
        """0 clean, 1 broken, 2 the run could not be done, 3 a stale known failure."""
        if self.stopped or not self.cases:
            return UNUSABLE
        if self.count("violation") or (self.strict and self.count("warning")):
            return BROKEN
        return STALE if self.stale else CLEAN

    @property
    def data(self) -> dict[str, Any]:
        """The report as an object of JSON."""
        return {
            "mockveo": mockveo.__version__,
            "server": {"name": self.name, "url": self.url},
            "client": {"name": self.name, "version": "", "features": {}},
            "seed": self.seed,
            "profile": self.profile,
            "strict": self.strict,
            "stopped": self.stopped or None,
            "exit_status": self.exit_status,
            "summary": {
                "cases": len(self.cases),
                "generated": self.generated,
                "violations": self.count("violation"),
                "warnings": self.count("warning"),
                "infos": self.count("info"),
                "known": sum(one["known"] is not None for one in self.findings),
                "skipped": len(self.skipped),
                "adapter_errors": 0,
                "jobs": self.jobs,
                "requests": self.requests,
                "seconds": round(self.seconds, 3),
            },
            "findings": sorted(self.findings, key=lambda one: FINDINGS.index(one["verdict"])),
            "rules": {rule.id: self._counted(rule) for rule in catalogue().values()},
            "cases": self.cases,
            "skipped": self.skipped,
            "stale": [{"place": one.place, "rule": one.rule, "case": one.case} for one in self.stale],
        }

    def _counted(self, rule: Rule) -> dict[str, Any]:
        counts = self.counts[rule.id]
        words = ("pass", "violation", "warning", "info", "not exercised")
        return {"severity": rule.severity, "says": rule.says, "source": rule.source} | {
            word: counts[word] for word in words
        }


def _shortest(conversation: Conversation, numbers: set[int]) -> list[Exchange]:
    """The exchanges that show a breach, and the creates of the jobs they are about."""
    cited = [one for one in conversation.exchanges if one.number in numbers]
    jobs = {one.job for one in cited if one.job}
    creates = [conversation.creates[job] for job in jobs if job in conversation.creates]
    return sorted({one.number: one for one in (*creates, *cited)}.values(), key=lambda one: one.number)


def _log(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    first = exchanges[0].at if exchanges else 0.0
    return [{"number": one.number, "at": round(one.at - first, 3), "line": one.line} for one in exchanges]
