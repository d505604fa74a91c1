"""What a rule comes to: a finding in a case that breaks it, and its verdicts in all cases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self

from mockveo.errors import ReportError
from mockveo.rules.engine import Rule, Verdict
from mockveo.rules.requirements import FIRST
from mockveo.traffic.exchange import ClockName, ExchangeJson
from mockveo_contracts.reports.case_result import CaseResult, JsonObject, LogLine, log_from_json
from mockveo_contracts.reports.known_failures import KnownFailure

#: Verdicts that are findings, the worst first.
FINDINGS: Final = ("violation", "warning", "adapter error", "info")
#: Those of them that progress counts.
COUNTED: Final = FINDINGS[:-1]
#: Verdicts of rules, as a report counts them.
RULE_VERDICTS: Final = ("pass", "violation", "warning", "info", "not exercised")
#: What a finding's JSON repeats of its case, so that it can be read on its own.
COPIED_FROM_CASE: Final = ("call", "scenario", "default_phases", "outcome", "log")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A rule that is broken in a case, or an adapter that failed in it."""

    #: None if the adapter failed, which is about no rule.
    rule: str | None
    severity: str | None
    verdict: str
    description: str
    message: str
    source: str
    #: How to fix it, in a sentence, and where more is said about the rule.
    advice: str = ""
    page: str = ""
    known_failure: KnownFailure | None = None
    #: Since when its rule and case are asked for, if that is after the requirements of the run; else empty.
    newer: str = ""
    #: Numbers of the exchanges that show it.
    exchanges: tuple[int, ...] = ()
    case: CaseResult
    #: Which time of an exchange in the trace is the client's, and how many of its seconds are one of the client's.
    clock: ClockName = "time"
    pace: float = 1.0
    trace: tuple[ExchangeJson, ...] = ()
    #: What the client wrote.
    output: str = ""
    #: The file that the case was read from.
    file: str | None = None
    #: Commands that reproduce it.
    reproduce: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON data."""
        case = self.case.to_json()
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "known_failure": self.known_failure and asdict(self.known_failure),
            "exchanges": list(self.exchanges),
            "trace": list(self.trace),
            "reproduce": list(self.reproduce),
            "case": case["name"],
            "case_description": case["description"],
            **{name: case[name] for name in COPIED_FROM_CASE},
        }

    @classmethod
    def from_json(cls, data: JsonObject, case: CaseResult) -> Self:
        """Return the finding that `to_json` wrote, in its case."""
        own = {field.name: data[field.name] for field in fields(cls)}
        lists = {name: tuple(data[name]) for name in ("exchanges", "trace", "reproduce")}
        entry = data["known_failure"]
        return cls(**{**own, **lists, "known_failure": entry and KnownFailure(**entry), "case": case})

    @property
    def rank(self) -> int:
        """Where its verdict is among all, the worst at 0."""
        return FINDINGS.index(self.verdict)

    @property
    def excuse(self) -> str:
        """Why it does not count; empty if it does."""
        if self.newer:
            return f"new since {self.newer}, not counted"
        entry = self.known_failure
        return f"known failure, {entry.place}: {entry.reason}".rstrip(": ") if entry else ""

    @property
    def is_mild(self) -> bool:
        """Whether its verdict is milder than broken rules of its severity get; the rule says when."""
        return self.verdict == "warning" and self.severity == "must"

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Where it is among findings of its rule: the worst, in the least peculiar and the smallest case first."""
        return self.rank, self.case.peculiarity, *self._size

    @property
    def _size(self) -> tuple[int, int]:
        """How much there is to read."""
        if not self.case.scenario and not self.case.call:
            # Of a server: what has to be sent to see it.
            return len(self.trace), len("".join(self.reproduce))
        return len(self.case.log), len(json.dumps([self.case.scenario, self.case.call]))

    @property
    def marked_log(self) -> Iterator[tuple[bool, LogLine | int]]:
        """Lines of the log, each with whether it shows the finding; a number for each gap."""
        previous = 0
        for line in self.case.log:
            if previous and line.number > previous + 1:
                yield False, line.number - previous - 1
            yield line.number in self.exchanges, line
            previous = line.number


@dataclass(frozen=True)
class BrokenRule:
    """The findings of one rule; the first represents them."""

    rule: str | None
    findings: Sequence[Finding]

    @classmethod
    def of(cls, rule: str | None, findings: Iterable[Finding]) -> Self:
        """Return the findings of a rule: the worst first, then those in the least peculiar and smallest cases."""
        return cls(rule, sorted(findings, key=lambda finding: finding.order))

    @property
    def first(self) -> Finding:
        """The finding that is shown in full."""
        return self.findings[0]

    @property
    def verdict(self) -> str:
        """The worst verdict."""
        return self.first.verdict

    @property
    def other_cases(self) -> list[str]:
        """The names of the other cases."""
        return list(dict.fromkeys(finding.case.name for finding in self.findings[1:]))

    @property
    def number_of_cases(self) -> int:
        """In how many cases it is broken."""
        return len({id(finding.case) for finding in self.findings})

    def represented_by(self, case: CaseResult, exchanges: frozenset[int]) -> Self | None:
        """Return the same with its finding in a case first, if that has the same cause and represents it as well."""
        for finding in self.findings:
            as_well = finding.order[:2] == self.first.order[:2]
            # A finding without exchanges is about the whole case.
            same_cause = not finding.exchanges or not exchanges or not exchanges.isdisjoint(finding.exchanges)
            if finding.case is case and as_well and same_cause:
                return replace(self, findings=[finding, *(other for other in self.findings if other is not finding)])
        return None


@dataclass(frozen=True)
class RuleGroup:
    """Rules that the same exchanges of one case break, which likely have one cause. The worst rule comes first."""

    rules: Sequence[BrokenRule]

    @property
    def first(self) -> Finding:
        """The finding of the worst rule, with the exchanges that show any of them."""
        return replace(self.rules[0].first, exchanges=tuple(sorted(self._exchanges)))

    @property
    def _exchanges(self) -> frozenset[int]:
        return frozenset(number for rule in self.rules for number in rule.first.exchanges)

    @property
    def other_cases(self) -> list[str]:
        """The names of the other cases in which one of the rules is broken."""
        names = dict.fromkeys(name for rule in self.rules for name in rule.other_cases)
        return [name for name in names if name != self.first.case.name]

    def with_rule(self, rule: BrokenRule) -> Self | None:
        """Return the same with another rule, if that has the same cause."""
        same = rule.represented_by(self.rules[0].first.case, self._exchanges)
        return None if same is None else replace(self, rules=[*self.rules, same])


def problems(rules: Iterable[BrokenRule]) -> list[RuleGroup]:
    """Return broken rules, those together that the same exchanges of one case break."""
    grouped: list[RuleGroup] = []
    for rule in rules:
        joined = ((place, problem.with_rule(rule)) for place, problem in enumerate(grouped))
        place, larger = next(((place, larger) for place, larger in joined if larger), (len(grouped), RuleGroup([rule])))
        grouped[place : place + 1] = [larger]
    return grouped


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """A rule, and how often it got which verdict."""

    severity: str
    description: str
    source: str
    advice: str = ""
    page: str = ""
    needs: str = ""
    since: str = FIRST
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """Return a rule without verdicts."""
        return cls(
            severity=rule.severity,
            description=rule.description,
            source=rule.source,
            advice=rule.advice,
            page=rule.page,
            needs=rule.needs,
            since=rule.since,
        )

    @property
    def exercised(self) -> bool:
        """Whether any case had to do with it."""
        return any(count for verdict, count in self.counts.items() if verdict != "not exercised")

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON data, its counts by the verdicts' names."""
        data = {name: value for name, value in asdict(self).items() if name != "counts"}
        return data | {verdict: self.counts[verdict] for verdict in RULE_VERDICTS}

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Return the rule that `to_json` wrote."""
        about = {name: value for name, value in data.items() if name not in RULE_VERDICTS}
        return cls(counts=Counter({verdict: data[verdict] for verdict in RULE_VERDICTS}), **about)


def without_verdicts(rules: Mapping[str, Rule]) -> dict[str, RuleResult]:
    """Return rules as a report has them before anything is judged."""
    return {name: RuleResult.of(rule) for name, rule in rules.items()}


def exercised(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """Return the verdicts on a case by rule, without those that it did not exercise."""
    return {verdict.rule.id: verdict.verdict for verdict in verdicts if verdict.verdict != "not exercised"}


def read_findings(findings: Iterable[JsonObject], cases: Iterable[CaseResult]) -> Iterator[Finding]:
    """Yield findings in their cases; of several cases of a name it is the one with the finding's log."""
    by_name: dict[str, list[CaseResult]] = {}
    for case in cases:
        by_name.setdefault(case.name, []).append(case)
    for data in findings:
        log = log_from_json(data["log"])
        same = [case for case in by_name.get(data["case"], ()) if case.log == log]
        if not same:
            raise ReportError(f"the case {data['case']}, in which {data['rule']} is broken, is missing")
        yield Finding.from_json(data, same[0])
