"""The rules of the contract for clients, and how saved or running traffic is judged by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from mockveo.rules import credentials, outcome, requests, restarts, retries, sequence
from mockveo.rules.engine import RuleBook, Verdict
from mockveo.rules.trace import CallTrace, split_calls
from mockveo.traffic.exchange import ClockName, ExchangeJson

#: The modules with the checks of the rules.
MODULES: Final = (credentials, requests, sequence, retries, outcome, restarts)


@cache
def client_rules() -> RuleBook[CallTrace]:
    """Return the book of client rules, loaded on the first call."""
    path = Path(__file__).with_name("rules.yaml")
    return RuleBook(path, *(module.checks for module in MODULES), pages="docs/rules")


def judge_traffic(trace: Iterable[ExchangeJson], *, clock: ClockName = "time", pace: float = 1.0) -> list[Verdict]:
    """Return the rules that traffic without a known case breaks: only those that requests alone decide."""
    book = client_rules()
    wire = [rule.id for rule in book.rules.values() if rule.wire]
    calls = split_calls(trace, clock=clock, pace=pace)
    verdicts = [verdict for call in calls for verdict in book.judge(call, wire)]
    return [verdict for verdict in verdicts if verdict.breaches]


@dataclass(frozen=True, slots=True)
class TrafficFinding:
    """A breach found in traffic without a known case, as the control API and the log show it."""

    rule: str
    severity: str
    verdict: str
    message: str
    source: str
    #: Numbers of the exchanges that show it.
    exchanges: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the control API documents it."""
        return {**asdict(self), "exchanges": list(self.exchanges)}


def findings_of(verdict: Verdict) -> Iterator[TrafficFinding]:
    """Yield a finding for each breach of a verdict."""
    rule = verdict.rule
    for breach in verdict.breaches:
        yield TrafficFinding(rule.id, rule.severity, verdict.verdict, breach.message, rule.source, breach.exchanges)


def findings(trace: Iterable[ExchangeJson]) -> list[TrafficFinding]:
    """Return what `judge_traffic` finds, a finding for each breach."""
    return [finding for verdict in judge_traffic(trace) for finding in findings_of(verdict)]
