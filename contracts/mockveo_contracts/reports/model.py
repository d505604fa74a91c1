"""The report: what a check of a client, or a verification of a server, found. All formats are made of it.

`to_json` and `from_json` are the only places that know its form in JSON, which `report.schema.json` describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self, TypeAlias

from mockveo._version import __version__
from mockveo.rules.bill import Bill, BilledJob
from mockveo.rules.engine import Verdict
from mockveo.rules.requirements import newer
from mockveo.text import counted
from mockveo_contracts.reports.case_result import CaseResult, JsonObject, SkippedCase
from mockveo_contracts.reports.finding import (
    FINDINGS,
    BrokenRule,
    Finding,
    RuleGroup,
    RuleResult,
    problems,
    read_findings,
)
from mockveo_contracts.reports.known_failures import KnownFailure

#: Exit statuses. Source: the client protocol.
CLEAN, BROKEN, UNUSABLE, STALE = 0, 1, 2, 3
#: Stands in for the bill of a server in JSON.
NO_BILL: Final[JsonObject] = {"jobs": (), "budget": None, "refused": 0}
#: Messages of one verdict that are shown. Arbitrary: more of them say the same.
MAX_MESSAGES: Final = 3


@dataclass(frozen=True, slots=True)
class ClientSubject:
    """A client that was checked."""

    kind: ClassVar = "client"
    command: ClassVar = "mockveo check"
    name: str
    version: str = ""
    features: JsonObject = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name and version."""
        return f"{self.name} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class ServerSubject:
    """A server that was verified."""

    kind: ClassVar = "server"
    command: ClassVar = "mockveo verify"
    name: str
    url: str

    @property
    def title(self) -> str:
        """Its name."""
        return self.name


Subject: TypeAlias = ClientSubject | ServerSubject


@dataclass(kw_only=True)
class Report:
    """What was found of a client or of a server. It grows case by case, with `record` and `skip`."""

    subject: Subject
    rules: dict[str, RuleResult]
    seed: int
    profile: str
    strict: bool = False
    known_failures: tuple[KnownFailure, ...] = ()
    #: The month of the requirements that count; empty for all there are.
    requirements: str = ""
    #: Whether all cases were asked for, so that a rule that is not exercised or broken in any says something.
    complete: bool = True
    #: The part of the cases that was run, e.g. "2/5"; empty for all of them.
    shard: str = ""
    #: Why the run ended before its end; empty if it did not.
    aborted: str = ""
    findings: list[Finding] = field(default_factory=list)
    cases: list[CaseResult] = field(default_factory=list)
    skipped: list[SkippedCase] = field(default_factory=list)
    #: What went wrong apart from the subject, e.g. that a case could not be written.
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    #: Generated cases that were run.
    generated: int = 0
    #: Further numbers of the summary, e.g. jobs and requests of a verification.
    spent: dict[str, int] = field(default_factory=dict)
    version: str = __version__
    #: The jobs that a client made, each with what became of it, and the creates that its budget refused.
    jobs: list[BilledJob] = field(default_factory=list)
    budget: str = ""
    refused: int = 0
    #: When it was begun, and the command line; empty if that is unknown.
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    command: str = ""

    def skip(self, case: str, description: str, reason: str) -> None:
        """Note a case that was not run, or not to its end."""
        self.skipped.append(SkippedCase(case, description, reason))

    def count_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Count verdicts at their rules."""
        for verdict in verdicts:
            self.rules[verdict.rule.id].counts[verdict.verdict] += 1

    def record(self, case: CaseResult, findings: Iterable[Finding]) -> None:
        """Add a case with its findings."""
        self.cases.append(case)
        self.findings += findings

    def sort(self, names: Iterable[str]) -> None:
        """Put cases and findings in the order of these names of cases; others come last, as they came."""
        places = {name: place for place, name in enumerate(names)}
        self.cases.sort(key=lambda case: places.get(case.name, len(places)))
        self.findings.sort(key=lambda finding: places.get(finding.case.name, len(places)))

    def finding(self, verdict: Verdict, case: CaseResult) -> Finding:
        """Return the finding that a verdict on a case is, without evidence."""
        rule = verdict.rule
        messages = list(dict.fromkeys(breach.message for breach in verdict.breaches))
        more = f" (and {len(messages) - MAX_MESSAGES} more)" if len(messages) > MAX_MESSAGES else ""
        return Finding(
            rule=rule.id,
            severity=rule.severity,
            verdict=verdict.verdict,
            description=rule.description,
            message="; ".join(messages[:MAX_MESSAGES]) + more,
            source=rule.source,
            advice=rule.advice,
            page=rule.page,
            known_failure=next((entry for entry in self.known_failures if entry.covers(rule.id, case.name)), None),
            newer=newer(max(rule.since, case.since), self.requirements),
            exchanges=tuple(sorted({number for breach in verdict.breaches for number in breach.exchanges})),
            case=case,
        )

    def adapter_error(self, case: CaseResult) -> Finding:
        """Return the finding that the adapter of a client failed in a case, without evidence."""
        return Finding(
            rule=None,
            severity=None,
            verdict="adapter error",
            description="The adapter failed, not your client.",
            message=case.adapter_error,
            source="the client protocol",
            newer=newer(case.since, self.requirements),
            case=case,
        )

    @property
    def stale(self) -> list[KnownFailure]:
        """Known failures whose cases were run and broke nothing."""
        names = [case.name for case in self.cases if not case.adapter_error]
        return [
            entry
            for entry in self.known_failures
            if self._is_covered(entry, names)
            and not any(entry.covers(str(finding.rule), finding.case.name) for finding in self.findings)
        ]

    def _is_covered(self, entry: KnownFailure, names: Sequence[str]) -> bool:
        """Return whether the cases that an entry is about were run."""
        if self.complete and not self.shard and not self.aborted:
            return any(entry.covers(entry.rule, name) for name in names)
        # A pattern may be about cases that were left out this time.
        return entry.case in names

    def count(self, verdict: str) -> int:
        """Return how many findings have a verdict and count."""
        return sum(finding.verdict == verdict for finding in self.counted_findings)

    @property
    def counted_findings(self) -> list[Finding]:
        """The findings that are neither known failures nor newer than the requirements."""
        return [finding for finding in self.findings if not finding.excuse]

    @property
    def known_findings(self) -> list[Finding]:
        """The findings that are known failures."""
        return [finding for finding in self.findings if finding.known_failure and not finding.newer]

    @property
    def newer_findings(self) -> list[Finding]:
        """The findings that are newer than the requirements."""
        return [finding for finding in self.findings if finding.newer]

    @property
    def judged(self) -> int:
        """How many cases were judged, generated ones apart."""
        return sum(not case.adapter_error for case in self.cases)

    @property
    def broken_rules(self) -> list[BrokenRule]:
        """What is broken, the worst first."""
        groups: dict[str | None, list[Finding]] = {}
        for finding in self.counted_findings:
            groups.setdefault(finding.rule, []).append(finding)
        order = {rule: place for place, rule in enumerate(self.rules)}
        broken = [BrokenRule.of(rule, findings) for rule, findings in groups.items()]
        return sorted(broken, key=lambda group: (group.first.rank, order.get(group.rule or "", len(order))))

    @property
    def problems(self) -> list[RuleGroup]:
        """What is broken by its causes, without infos, the worst first."""
        return problems(rule for rule in self.broken_rules if rule.verdict != "info")

    @property
    def fatal(self) -> tuple[str, ...]:
        """The verdicts of rules that fail the run."""
        return ("violation", "warning") if self.strict else ("violation",)

    @property
    def exit_status(self) -> int:
        """0 clean, 1 broken, 2 the run could not judge, 3 a stale known failure."""
        if self.aborted or not self.judged:
            return UNUSABLE
        if self.undeclared or any(self.count(verdict) for verdict in self.fatal):
            return BROKEN
        return STALE if self.stale else CLEAN

    @property
    def unexercised(self) -> list[str]:
        """The rules that no case had to do with; empty if not all cases were asked for."""
        everything = self.complete and not self.shard
        return [name for name, rule in self.rules.items() if not rule.exercised] if everything else []

    @property
    def undeclared(self) -> dict[str, str]:
        """The rules that a strict run could not judge, each with the feature about which the client says nothing."""
        if not self.strict or not isinstance(self.subject, ClientSubject):
            return {}
        silent = [name for name, value in self.subject.features.items() if value is None]
        unjudged = {name: self.rules[name] for name in self.unexercised}
        return {
            name: rule.needs
            for name, rule in unjudged.items()
            if rule.needs in silent and not newer(rule.since, self.requirements)
        }

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """What fails the run although no case shows it, in a few words and in a sentence each."""
        remarks = [("stale known failure", entry.stale_message) for entry in self.stale]
        for feature in dict.fromkeys(self.undeclared.values()):
            rules = ", ".join(rule for rule, needed in self.undeclared.items() if needed == feature)
            text = f"--strict could not judge {rules}, as the client says nothing about the feature {feature};"
            example = f'declare it, e.g. "features": {{"{feature}": true}}, or false if the client cannot'
            remarks.append(("undeclared feature", f"{text} {example}"))
        return remarks

    @property
    def skipped_by_reason(self) -> dict[str, list[str]]:
        """The names of skipped cases by the reason."""
        names: dict[str, list[str]] = {}
        for skipped in self.skipped:
            names.setdefault(skipped.reason, []).append(skipped.case)
        return names

    @property
    def result(self) -> str:
        """What was found in few words, e.g. "violations of 2 rules in 3 cases"."""
        parts = [self._number_of(verdict) for verdict in FINDINGS if self.count(verdict)]
        if self.stale:
            parts.append(counted(len(self.stale), "stale known failure"))
        if self.undeclared:
            parts.append(f"{counted(len(self.undeclared), 'rule')} not judged")
        # If no case could be judged, that nothing was found says nothing.
        nothing = "nothing is broken" if self.judged else "nothing was judged"
        return ", ".join(parts) or nothing

    def _number_of(self, verdict: str) -> str:
        """Return in how many rules and cases there is a verdict."""
        findings = [finding for finding in self.counted_findings if finding.verdict == verdict]
        rules = {finding.rule for finding in findings} - {None}
        of_rules = f" of {counted(len(rules), 'rule')}" if rules else ""
        return f"{verdict}s{of_rules} in {counted(len({id(finding.case) for finding in findings}), 'case')}"

    @property
    def scope(self) -> str:
        """What was run, e.g. "84 cases (+200 generated) in 3.1 s"."""
        generated = f" (+{self.generated} generated)" if self.generated else ""
        shard = f" of shard {self.shard}" if self.shard else ""
        return f"{counted(self.judged, 'case')}{generated}{shard} in {self.seconds:.1f} s"

    @property
    def left_out(self) -> list[str]:
        """How much does not count, e.g. ["3 skipped"]."""
        numbers = {"skipped": len(self.skipped), "known": len(self.known_findings)}
        numbers["new, not counted"] = len(self.newer_findings)
        return [f"{number} {word}" for word, number in numbers.items() if number]

    @property
    def headline(self) -> str:
        """The whole report in one line."""
        return f"{self.scope}: {', '.join([self.result, *self.left_out])} \u00b7 seed {self.seed}"

    @property
    def bill(self) -> Bill | None:
        """What the jobs of a client came to; None for a server."""
        return Bill(tuple(self.jobs), self.budget, self.refused) if isinstance(self.subject, ClientSubject) else None

    @property
    def data(self) -> dict[str, Any]:
        """What `--report json` writes."""
        return self.to_json()

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "mockveo": self.version,
            self.subject.kind: asdict(self.subject),
            "date": self.date,
            "command": self.command,
            "seed": self.seed,
            "profile": self.profile,
            "strict": self.strict,
            "requirements": self.requirements or None,
            "aborted": self.aborted or None,
            "complete": self.complete,
            "shard": self.shard or None,
            "exit_status": self.exit_status,
            "summary": self._summary(),
            "findings": [finding.to_json() for finding in sorted(self.findings, key=lambda finding: finding.rank)],
            "rules": {name: rule.to_json() for name, rule in self.rules.items()},
            "cases": [case.to_json() for case in self.cases],
            "skipped": [asdict(skipped) for skipped in self.skipped],
            "known_failures": [asdict(entry) for entry in self.known_failures],
            "stale": [asdict(entry) for entry in self.stale],
            "undeclared": self.undeclared,
            "notes": self.notes,
            "bill": self.bill and {**self.bill.to_json(), "jobs": [job.to_json() for job in self.jobs]},
        }

    def _summary(self) -> dict[str, float]:
        return {
            "cases": self.judged,
            "generated": self.generated,
            "violations": self.count("violation"),
            "warnings": self.count("warning"),
            "infos": self.count("info"),
            "known": len(self.known_findings),
            "newer": len(self.newer_findings),
            "skipped": len(self.skipped),
            "adapter_errors": self.count("adapter error"),
            **self.spent,
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Return the report that `to_json` wrote. Raises ReportError for a finding in a case that is missing."""
        summary, bill = data["summary"], data["bill"] or NO_BILL
        cases = [CaseResult.from_json(case) for case in data["cases"]]
        return cls(
            version=data["mockveo"],
            date=data["date"],
            command=data["command"],
            subject=_subject_of(data),
            rules={name: RuleResult.from_json(rule) for name, rule in data["rules"].items()},
            seed=data["seed"],
            profile=data["profile"],
            strict=data["strict"],
            requirements=data["requirements"] or "",
            known_failures=tuple(KnownFailure(**entry) for entry in data["known_failures"]),
            complete=data["complete"],
            shard=data["shard"] or "",
            aborted=data["aborted"] or "",
            findings=list(read_findings(data["findings"], cases)),
            cases=cases,
            skipped=[SkippedCase(**skipped) for skipped in data["skipped"]],
            notes=data["notes"],
            jobs=[BilledJob.from_json(job) for job in bill["jobs"]],
            budget=bill["budget"] or "",
            refused=bill["refused"],
            seconds=summary["seconds"],
            generated=summary["generated"],
            spent={name: summary[name] for name in ("jobs", "requests") if name in summary},
        )


def _subject_of(data: JsonObject) -> Subject:
    if "server" in data:
        return ServerSubject(**data["server"])
    return ClientSubject(**data["client"])
