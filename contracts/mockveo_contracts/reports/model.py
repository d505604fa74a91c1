"""The report of a check: what was found, as data. Every format is made of this data, and of nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from mockveo import yamlfiles
from mockveo._version import __version__
from mockveo.errors import MockveoError
from mockveo.rules.engine import Rule, Verdict
from mockveo.text import truncate
from mockveo_contracts.reports.known_failures import Entry

#: Verdicts that are findings, the worst first.
FINDINGS: Final = ("violation", "warning", "adapter error", "info")
#: Those of them that progress tells of.
TOLD: Final = FINDINGS[:-1]
#: Exit statuses. Source: the client protocol.
CLEAN, BROKEN, UNUSABLE, STALE = 0, 1, 2, 3
#: Messages of a verdict that are told.
MOST_MESSAGES: Final = 3
#: Characters of what is wrong with a file that is no report; arbitrary.
MAX_PROBLEM: Final = 200
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class ReportError(MockveoError):
    """A report cannot be read or written."""


@dataclass(kw_only=True)
class Report:
    """What a check found. `subject` is the client or the server, as the data has it."""

    subject: dict[str, Any]
    #: What was held against it, by id.
    rules: Mapping[str, Rule]
    seed: int
    profile: str
    strict: bool = False
    known: Sequence[Entry] = ()
    seconds: float = 0.0
    generated: int = 0
    #: More numbers for the summary.
    more: dict[str, int] = field(default_factory=dict)
    #: Why the check ended before its time, if it did.
    stopped: str = ""
    #: Whether all cases were played, so that what is not found any more is gone.
    whole: bool = True
    findings: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def skip(self, case: str, says: str, why: str) -> None:
        """Notes a case that was not played, or not to its end, with the reason."""
        self.skipped.append({"case": case, "says": says, "why": why})

    def count_in(self, verdicts: Iterable[Verdict]) -> None:
        """Counts verdicts."""
        for one in verdicts:
            self.counts[one.rule.id][one.verdict] += 1

    def take(self, case: dict[str, Any], verdicts: Iterable[Verdict], findings: list[dict[str, Any]]) -> None:
        """Takes a case that was played, its verdicts and what was found in it."""
        said = {one.rule.id: one.verdict for one in verdicts if one.verdict != "not exercised"}
        self.cases.append({**case, "verdicts": said})
        self.findings += findings

    def finding(self, one: Verdict, case: str) -> dict[str, Any]:
        """What a finding says of a rule in a case."""
        messages = list(dict.fromkeys(breach.message for breach in one.breaches))
        more = f" (and {len(messages) - MOST_MESSAGES} more)" if len(messages) > MOST_MESSAGES else ""
        known = next((entry for entry in self.known if entry.covers(one.rule.id, case)), None)
        return {
            "rule": one.rule.id,
            "severity": one.rule.severity,
            "verdict": one.verdict,
            "says": one.rule.description,
            "message": "; ".join(messages[:MOST_MESSAGES]) + more,
            "source": one.rule.source,
            "known": {"place": known.place, "reason": known.reason} if known else None,
            "exchanges": sorted({number for breach in one.breaches for number in breach.exchanges}),
            "case": case,
        }

    @property
    def stale(self) -> list[Entry]:
        """Known failures that are none any more: their cases were played, and nothing was found."""
        played = [one["name"] for one in self.cases if not one["adapter_error"]]
        whole = self.whole and not self.stopped
        return [
            entry
            for entry in self.known
            # A pattern may be about cases that were left out this time.
            if (any(entry.covers(entry.rule, name) for name in played) if whole else entry.case in played)
            and not any(entry.covers(str(one["rule"]), one["case"]) for one in self.findings)
        ]

    def count(self, verdict: str) -> int:
        """Findings of a verdict that are not known."""
        return sum(one["verdict"] == verdict and not one["known"] for one in self.findings)

    @property
    def exit_status(self) -> int:
        """0 clean, 1 broken, 2 the check could not run, 3 a stale known failure."""
        if self.stopped or not any(not one["adapter_error"] for one in self.cases):
            return UNUSABLE
        if self.count("violation") or (self.strict and self.count("warning")):
            return BROKEN
        return STALE if self.stale else CLEAN

    @property
    def data(self) -> dict[str, Any]:
        """The report as an object of JSON."""
        return {
            "mockveo": __version__,
            **self.subject,
            "seed": self.seed,
            "profile": self.profile,
            "strict": self.strict,
            "stopped": self.stopped or None,
            "whole": self.whole,
            "exit_status": self.exit_status,
            "summary": {
                "cases": sum(not one["adapter_error"] for one in self.cases),
                "generated": self.generated,
                "violations": self.count("violation"),
                "warnings": self.count("warning"),
                "infos": self.count("info"),
                "known": sum(one["known"] is not None for one in self.findings),
                "skipped": len(self.skipped),
                "adapter_errors": self.count("adapter error"),
                **self.more,
                "seconds": round(self.seconds, 3),
            },
            "findings": sorted(self.findings, key=lambda one: FINDINGS.index(one["verdict"])),
            "rules": {rule.id: self._counted(rule) for rule in self.rules.values()},
            "cases": self.cases,
            "skipped": self.skipped,
            "stale": [
                {"place": one.place, "rule": one.rule, "case": one.case, "reason": one.reason} for one in self.stale
            ],
        }

    def _counted(self, rule: Rule) -> dict[str, Any]:
        counts = self.counts[rule.id]
        words = ("pass", "violation", "warning", "info", "not exercised")
        about = {"severity": rule.severity, "says": rule.description, "source": rule.source}
        return about | {word: counts[word] for word in words}


def as_text(data: Any) -> str:
    """A report as JSON that every reader takes, whatever a prompt is made of."""
    text = json.dumps(data, ensure_ascii=False)
    # Half a pair of UTF-16 is in no UTF-8; in JSON it can be escaped, and comes in strings only.
    return _SURROGATES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def read(path: Path) -> dict[str, Any]:
    """A report that `--report json=FILE` wrote. Raises ReportError, which says what is wrong with the file."""
    text = yamlfiles.read(path, ReportError)
    wanted = "wanted what `mockveo check --report json=FILE` writes"
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ReportError(f"{path}: not JSON ({error}); {wanted}") from None
    problem = next(_shape().iter_errors(data), None)
    if problem is not None:
        place = ".".join(map(str, problem.instance_path)) or "the whole"
        raise ReportError(f"{path}: no report: {place}: {truncate(problem.message, MAX_PROBLEM)}; {wanted}")
    found: dict[str, Any] = data
    return found


@cache
def _shape() -> jsonschema_rs.Validator:
    """What of a report the formats rely on."""
    schema = Path(__file__).with_name("report.schema.json")
    return jsonschema_rs.validator_for(schema.read_text(encoding="utf-8"))
