"""The rule engine, for clients and for servers.

A rule is an entry of a YAML file: what must hold, how severe breaking it is, why, and where that comes from. A check is
a pure function that reads a trace and returns what breaks the rule. Each module with checks keeps them in its own
`Checks`; a `RuleBook` binds a file of rules to the checks and refuses to load if one lacks the other.

The engine has no clock, no server and no state. It does not know what a trace is: a `CallTrace` of a client in
`client_rules`, a `Conversation` with a server in `mockveo_contracts.servers.server_rules`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from mockveo import yamlfiles
from mockveo.errors import RuleError, did_you_mean
from mockveo.rules.requirements import FIRST
from mockveo.text import truncate

log: Final = logging.getLogger("mockveo.rules")

#: Severity -> the verdict on a broken rule of that severity.
VERDICTS: Final = {"must": "violation", "should": "warning", "info": "info"}
#: Verdict -> the verdict one step down, for lenient breaches.
LENIENT: Final = {"violation": "warning", "warning": "info"}

#: Characters of the message of a breach, which may repeat what a client or a server said. Arbitrary.
MAX_MESSAGE_CHARS: Final = 4000

Trace = TypeVar("Trace")


class Numbered(Protocol):
    """An exchange, as far as the engine needs it."""

    @property
    def number(self) -> int:
        """Return its number in the trace."""


class Breach(NamedTuple):
    """One way in which a rule is broken: actual against expected, in a sentence."""

    message: str
    #: Numbers of the exchanges that show it.
    exchanges: tuple[int, ...] = ()
    #: Whether it is less than the rule: the verdict is then one step down.
    lenient: bool = False


def breach(message: str, *exchanges: Numbered, lenient: bool = False) -> Breach:
    """Return a breach with the exchanges that show it."""
    return Breach(message, tuple(exchange.number for exchange in exchanges), lenient)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the contract."""

    id: str
    #: must, should or info.
    severity: str
    #: What must hold, in a sentence.
    description: str
    #: What goes wrong if it does not.
    why: str
    #: What breaking it looks like.
    example: str
    #: How to mend it.
    advice: str
    #: Where the rule comes from.
    source: str
    #: Path of its page, relative to the root of the repository.
    page: str
    #: Whether requests alone decide it, without the case and the outcome.
    wire: bool = False
    #: The feature without which a client does not exercise it; empty for none.
    needs: str = ""
    #: The month of the first requirements that ask for it.
    since: str = FIRST

    @property
    def assumed(self) -> bool:
        """Whether the behaviour of the real service is unknown here."""
        return self.source.startswith("assumed")


class Verdict(NamedTuple):
    """The result of one rule for one trace."""

    rule: Rule
    #: pass, violation, warning, info, or "not exercised".
    verdict: str
    breaches: tuple[Breach, ...] = ()


def verdict(rule: Rule, breaches: Iterable[Breach] | None) -> Verdict:
    """Return the verdict on a rule with these breaches; None = not exercised."""
    if breaches is None:
        return Verdict(rule, "not exercised")
    breaches = tuple(breach._replace(message=truncate(breach.message, MAX_MESSAGE_CHARS)) for breach in breaches)
    if not breaches:
        return Verdict(rule, "pass")
    word = "info" if rule.assumed else VERDICTS[rule.severity]
    if all(breach.lenient for breach in breaches):
        word = LENIENT.get(word, word)
    return Verdict(rule, word, breaches)


#: Returns what breaks the rule; None if the trace does not exercise it.
Check = Callable[[Trace], "list[Breach] | None"]


class Checks(Generic[Trace]):
    """The checks of one module, by the ids of their rules."""

    def __init__(self) -> None:
        self.by_rule: dict[str, Check[Trace]] = {}

    def check(self, *rules: str) -> Callable[[Check[Trace]], Check[Trace]]:
        """Register the decorated function as the check of these rules. Raises RuleError for a second check."""

        def register(function: Check[Trace]) -> Check[Trace]:
            for rule in rules:
                self.add(rule, function)
            return function

        return register

    def add(self, rule: str, check: Check[Trace]) -> None:
        """Register the check of a rule. Raises RuleError for a second check."""
        if rule in self.by_rule:
            raise RuleError(f"the rule {rule!r} has two checks; expected one")
        self.by_rule[rule] = check


class RuleBook(Generic[Trace]):
    """The rules in a YAML file with their checks.

    `pages` is the folder of the rules' pages, relative to the root of the repository. Raises RuleError for a rule
    without a check, a check without a rule, and a rule with missing or unknown fields.
    """

    def __init__(self, path: Path, *checks: Checks[Trace], pages: str) -> None:
        # With its folder, since the rules for clients and those for servers have the same file name.
        file = "/".join(path.parts[-2:])
        data = yamlfiles.parse(path.read_bytes(), file, RuleError)
        #: All rules by their ids, in the order of the file.
        self.rules: Mapping[str, Rule] = {name: _rule(name, entry, pages) for name, entry in data.items()}
        merged = Checks[Trace]()
        for module in checks:
            for name, check in module.by_rule.items():
                merged.add(name, check)
        self._checks: Mapping[str, Check[Trace]] = merged.by_rule
        _match(file, self.rules, self._checks)

    def find(self, name: str) -> Rule:
        """Return the rule of that id. Raises RuleError, which names the nearest and all valid ids."""
        return find(name, self.rules)

    def judge(self, trace: Trace, rules: Iterable[str] | None = None) -> list[Verdict]:
        """Return the verdicts on a trace, for all rules or for those of some ids. Raises RuleError for unknown ids."""
        return self.judge_all([trace], rules)

    def judge_all(self, traces: Sequence[Trace], rules: Iterable[str] | None = None) -> list[Verdict]:
        """Return the verdicts on traces that belong together, as the starts of one call do; see `judge`."""
        chosen = self.rules.values() if rules is None else map(self.find, rules)
        return [verdict(rule, self._breaches(rule, traces)) for rule in chosen]

    def _breaches(self, rule: Rule, traces: Sequence[Trace]) -> list[Breach] | None:
        """Return what breaks a rule in any of some traces; None if none of them exercises it."""
        try:
            results = [breaches for breaches in map(self._checks[rule.id], traces) if breaches is not None]
        except Exception:
            # One rule less is better than no verdict at all.
            log.exception("the rule %s failed, so it is not exercised here; this is a bug of mockveo", rule.id)
            return None
        return [each for breaches in results for each in breaches] if results else None


def find(name: str, rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of that id. Raises RuleError, which names the nearest and all valid ids."""
    if name not in rules:
        hint = did_you_mean(name, rules)
        raise RuleError(f"the rule {name!r} does not exist; {hint}expected one of {', '.join(rules)}")
    return rules[name]


def _rule(name: str, entry: Mapping[str, Any], pages: str) -> Rule:
    valid = {field.name for field in fields(Rule)} - {"id", "page"}
    missing = valid - {"wire", "needs", "since"} - set(entry)
    unknown = set(entry) - valid
    if missing or unknown:
        raise RuleError(f"the rule {name!r} lacks {sorted(missing)} and has unknown fields {sorted(unknown)}")
    if entry["severity"] not in VERDICTS:
        raise RuleError(f"the severity of {name!r} is {entry['severity']!r}; expected one of {', '.join(VERDICTS)}")
    return Rule(id=name, page=f"{pages}/{name}.md", **entry)


def _match(file: str, rules: Mapping[str, Rule], checks: Mapping[str, object]) -> None:
    """Raise RuleError for a rule without a check and for a check without a rule."""
    if without_check := [rule for rule in rules if rule not in checks]:
        raise RuleError(f"{file}: no check decides {', '.join(without_check)}; expected one for each rule")
    if without_rule := [check for check in checks if check not in rules]:
        raise RuleError(f"{file}: checks exist for unknown rules {', '.join(without_rule)}; expected an entry for each")
