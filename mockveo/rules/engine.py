"""The rules of the contract for clients, and the judge.

`rules.yaml` says each rule in a sentence, with its severity and its source; here a pure check stands behind each one.
A check reads a `CallTrace` - what was asked for, the exchanges, what came of it - and tells what breaks the rule, or
that the trace has nothing to do with it. There is no more to the judge than that: no clock, no server, no state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from mockveo import yamlfiles
from mockveo.errors import MockveoError, RuleError, did_you_mean
from mockveo.rules.trace import CallTrace, Exchange, split_calls

#: Severity -> the verdict of a rule of it that is broken.
VERDICTS: Final = {"must": "violation", "should": "warning", "info": "info"}


class Breach(NamedTuple):
    """A rule is broken: what was seen against what was wanted, in a sentence, and in which exchanges, by number.

    `lenient` is for what is less than the rule: its verdict is one step down.
    """

    message: str
    exchanges: tuple[int, ...] = ()
    lenient: bool = False


def breach(message: str, *seen: Exchange, lenient: bool = False) -> Breach:
    """A breach, with the exchanges that show it."""
    return Breach(message, tuple(one.number for one in seen), lenient)


#: What breaks the rule; None where the story has nothing to do with it.
Check = Callable[[CallTrace], list[Breach] | None]
CHECKS: Final[dict[str, Check]] = {}


def check(rule: str) -> Callable[[Check], Check]:
    """Puts a check behind a rule."""

    def put(function: Check) -> Check:
        CHECKS[rule] = function
        return function

    return put


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the catalogue."""

    id: str
    #: must, should or info.
    severity: str
    #: Whether the requests alone decide it.
    wire: bool
    says: str
    source: str

    @property
    def assumed(self) -> bool:
        """Whether nobody knows that the real service is like that."""
        return self.source.startswith("assumed")


class Verdict(NamedTuple):
    """What the judge says of one rule in one story."""

    rule: Rule
    #: pass, violation, warning, info, or "not exercised".
    verdict: str
    breaches: tuple[Breach, ...] = ()


@cache
def catalogue() -> Mapping[str, Rule]:
    """All rules by their ids, in the order of the file."""
    return read(Path(__file__).with_name("rules.yaml"))


def read(path: Path) -> dict[str, Rule]:
    """The rules in a file of such, by their ids, in its order."""
    data = yamlfiles.parse(path.read_bytes(), path.name, MockveoError)
    return {
        name: Rule(name, one["severity"], one.get("wire", False), one["says"], one["source"])
        for name, one in data.items()
    }


def find(name: str, among: Mapping[str, Rule] | None = None) -> Rule:
    """The rule of that id, of the catalogue or among others.

    Raises RuleError, which names the nearest and all there are.
    """
    known = catalogue() if among is None else among
    if name not in known:
        hint = did_you_mean(name, known)
        raise RuleError(f"the rule {name!r} does not exist; {hint}wanted one of {', '.join(known)}")
    return known[name]


def judge(story: CallTrace, rules: Iterable[str] | None = None) -> list[Verdict]:
    """The verdicts on a story, for all rules or for some by their ids. Raises RuleError for one that does not exist."""
    known = _checks()
    chosen = map(find, catalogue() if rules is None else rules)
    return [verdict(rule, known[rule.id](story)) for rule in chosen]


def judge_traffic(trace: Iterable[Mapping[str, Any]], *, clock: str = "time", pace: float = 1.0) -> list[Verdict]:
    """What the requests alone decide, of traffic that no case is known of: the rules that are broken."""
    wire = [rule.id for rule in catalogue().values() if rule.wire]
    found = [verdict for story in split_calls(trace, clock=clock, pace=pace) for verdict in judge(story, wire)]
    return [verdict for verdict in found if verdict.breaches]


def as_finding(verdict: Verdict) -> Iterator[dict[str, Any]]:
    """A verdict as reports and the control API tell it: an object for each breach."""
    for one in verdict.breaches:
        yield {
            "rule": verdict.rule.id,
            "severity": verdict.rule.severity,
            "verdict": verdict.verdict,
            "message": one.message,
            "source": verdict.rule.source,
            "exchanges": list(one.exchanges),
        }


def findings(trace: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `judge_traffic` finds, as reports and the control API tell it."""
    return [finding for verdict in judge_traffic(trace) for finding in as_finding(verdict)]


def verdict(rule: Rule, breaches: list[Breach] | None) -> Verdict:
    """The verdict on a rule that is broken like this; None = it has not been exercised."""
    if breaches is None:
        return Verdict(rule, "not exercised")
    if not breaches:
        return Verdict(rule, "pass")
    word = "info" if rule.assumed else VERDICTS[rule.severity]
    if all(one.lenient for one in breaches):
        word = {"violation": "warning", "warning": "info"}.get(word, word)
    return Verdict(rule, word, tuple(breaches))


@cache
def _checks() -> Mapping[str, Check]:
    # Here, not above: they import this module to say what they are.
    from mockveo.rules import outcome, requests, sequence  # noqa: F401

    return CHECKS
