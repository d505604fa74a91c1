"""A finding: a rule that is broken in a case, with what shows it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from mockveo.traffic.exchange import ClockName, ExchangeJson
from mockveo_contracts.reports.case_result import CaseResult, JsonObject, LogLine
from mockveo_contracts.reports.known_failures import KnownFailure

#: Verdicts that are findings, the worst first.
FINDINGS: Final = ("violation", "warning", "adapter error", "info")
#: Those of them that progress counts.
COUNTED: Final = FINDINGS[:-1]
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
    def size(self) -> tuple[int, int]:
        """How much there is to read, so that the smallest of several can be shown."""
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
    """The findings of one rule: the worst verdict first, the smallest case first among equals."""

    rule: str | None
    findings: Sequence[Finding]

    @classmethod
    def of(cls, rule: str | None, findings: Iterable[Finding]) -> Self:
        """Return the findings of a rule in their order."""
        return cls(rule, sorted(findings, key=lambda finding: (finding.rank, finding.size)))

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
